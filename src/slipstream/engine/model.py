"""A loaded GGUF: owns llama.cpp's model, makes contexts, and turns its failures into one line with the real reason."""

import ctypes
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from llama_cpp import llama_cpp as library

from slipstream.core.errors import ContextOverflow, EngineError, ModelFileError
from slipstream.engine import log
from slipstream.engine.options import CACHE_TYPES, FLASH_ATTENTION, NUMA, ModelOptions, Override

MAGIC = b"GGUF"
METADATA_BYTES = 1 << 20

_start_lock = threading.Lock()
_started = False


def start_backend(numa: str = "off", *, verbose: bool = False) -> None:
    """Start llama.cpp, once per process: the first caller's NUMA mode holds."""
    global _started
    with _start_lock:
        log.install(verbose=verbose)
        if not _started:
            library.llama_backend_init()
            if numa != "off":
                library.llama_numa_init(NUMA[numa])
            _started = True


class LlamaModel:
    """Weights and vocabulary of one file. Close it after every context made from it (a context manager does)."""

    def __init__(self, path: Path, handle: Any, keep: Any = None) -> None:
        self.path = path
        self._handle = handle
        self._keep = keep
        self.vocabulary: Any = library.llama_model_get_vocab(handle)
        self.head_loaded = False
        self.watch: Any = None
        """llama.cpp's callback for every node of the graph, for contexts made from here on (`engine/watch.py`)."""

    @classmethod
    def load(cls, options: ModelOptions, *, verbose: bool = False) -> Self:
        """Load weights and vocabulary. ModelFileError: missing, damaged, or not a model that generates text."""
        parameters = library.llama_model_default_params()
        parameters.n_gpu_layers = 0
        parameters.load_mode = _load_mode(options.mmap, options.mlock)
        parameters.use_extra_bufts = options.repack
        parameters.load_mtp = options.native_head
        overrides = _overrides(options.kv_overrides) if options.kv_overrides else None
        if overrides is not None:
            parameters.kv_overrides = ctypes.cast(overrides, ctypes.POINTER(library.llama_model_kv_override))
        model = cls._load(options.path, parameters, options.numa, verbose, keep=overrides)
        model.head_loaded = options.native_head
        kind = (
            "an encoder-decoder model" if library.llama_model_has_encoder(model.handle)
            else "a model without a decoder" if not library.llama_model_has_decoder(model.handle)
            else "a diffusion model" if library.llama_model_is_diffusion(model.handle)
            else ""
        )  # fmt: skip
        if kind:
            model.close()
            raise ModelFileError(f"{options.path.name} is {kind}", hint="choose a model that generates token by token")
        return model

    @classmethod
    def load_vocabulary(cls, path: Path, *, verbose: bool = False) -> Self:
        """Load the vocabulary and metadata only: cheap, no weights."""
        parameters = library.llama_model_default_params()
        parameters.vocab_only = True
        return cls._load(Path(path), parameters, "off", verbose)

    @classmethod
    def _load(cls, path: Path, parameters: Any, numa: str, verbose: bool, keep: Any = None) -> Self:
        check_file(path)
        start_backend(numa, verbose=verbose)
        log.forget()
        handle = library.llama_model_load_from_file(str(path).encode(), parameters)
        if not handle:
            why = log.reason().removeprefix("llama_model_load: error loading model: ")
            raise ModelFileError(
                f"{path} could not be loaded: {why}",
                hint="if it is damaged, copy it again; if its architecture is unknown, update llama-cpp-python",
            )
        return cls(path, handle, keep)

    @property
    def handle(self) -> Any:
        """llama.cpp's model pointer."""
        if self._handle is None:
            raise EngineError(f"the model {self.path.name} is closed")
        return self._handle

    @property
    def trained_context(self) -> int:
        """Tokens the model was trained for."""
        return int(library.llama_model_n_ctx_train(self.handle))

    @property
    def window(self) -> int:
        """Sliding attention window in tokens; 0 if attention is global."""
        return max(0, int(library.llama_model_n_swa(self.handle)))

    @property
    def size(self) -> int:
        """Bytes of all tensors."""
        return int(library.llama_model_size(self.handle))

    @property
    def description(self) -> str:
        """llama.cpp's short name of architecture, size and quantization."""
        buffer = ctypes.create_string_buffer(256)
        library.llama_model_desc(self.handle, buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace")

    def metadata(self, key: str) -> str | None:
        """A scalar of the file's metadata as text; None if it is not there."""
        buffer = ctypes.create_string_buffer(256)
        length = library.llama_model_meta_val_str(self.handle, key.encode(), buffer, len(buffer))
        if length >= len(buffer):
            buffer = ctypes.create_string_buffer(min(length + 1, METADATA_BYTES))
            length = library.llama_model_meta_val_str(self.handle, key.encode(), buffer, len(buffer))
        return None if length < 0 else buffer.value.decode("utf-8", "replace")

    def chat_template(self) -> str | None:
        """The file's own chat template."""
        text = library.llama_model_chat_template(self.handle, None)
        return None if text is None else bytes(text).decode("utf-8", "replace")

    def slot_context(self, wanted: int) -> int:
        """Tokens one slot shall hold: `wanted`, or what the model was trained for if that is 0."""
        trained = self.trained_context
        if trained and wanted > trained:
            raise ContextOverflow(
                f"a context of {wanted} tokens was asked for, but {self.path.name} was trained for {trained}",
                hint=f"ask for at most {trained}",
            )
        return wanted or trained

    def shares_cache(self, options: ModelOptions) -> bool:
        """Whether all slots lie in one buffer: asked for, and not a model with both a recurrent state and a window,
        where restoring one slot's checkpoint could take cells that another slot still has to go back to."""
        hybrid = library.llama_model_is_hybrid(self.handle) or library.llama_model_is_recurrent(self.handle)
        return options.shared_cache and not (hybrid and self.window)

    def new_context(self, options: ModelOptions, head_of: Any = None) -> Any:
        """llama.cpp's context for `options`; the caller frees it. EngineError with llama.cpp's reason if it refuses.
        `head_of`: for the model's own next-token head instead, beside this context of the whole model."""
        parameters = library.llama_context_default_params()
        if head_of is not None:
            parameters.ctx_type = library.LLAMA_CONTEXT_TYPE_MTP
            parameters.ctx_other = head_of
        parameters.kv_unified = self.shares_cache(options)
        parameters.n_ctx = self.slot_context(options.context_length) * options.slots
        parameters.n_seq_max = options.slots
        parameters.n_batch = options.batch_size
        parameters.n_ubatch = min(options.micro_batch, options.batch_size)
        # More wanted logits than n_outputs_max abort the process, so the target checks it; and llama.cpp wants one per
        # slot. The per-slot limit (default 1) only binds samplers inside the graph, which are not used here.
        parameters.n_outputs_max = min(max(options.output_rows, options.slots), options.batch_size)
        parameters.n_outputs_max_per_seq = parameters.n_outputs_max
        # llama.cpp aborts unless a micro batch holds more than the tokens that can be taken back and two.
        micro_batch = min(parameters.n_ubatch, parameters.n_ctx)
        parameters.n_rs_seq = max(0, min(options.rollback, micro_batch - 2)) if head_of is None else 0
        parameters.n_threads = options.threads
        parameters.n_threads_batch = options.batch_threads or options.threads
        parameters.flash_attn_type = FLASH_ATTENTION[options.flash_attention]
        parameters.type_k = CACHE_TYPES[options.key_type]
        parameters.type_v = CACHE_TYPES[options.value_type]
        # A sliding-window cache that drops old cells could neither rewind nor reuse a prefix.
        parameters.swa_full = True
        parameters.no_perf = True
        if self.watch is not None:
            parameters.cb_eval = self.watch
        log.forget()
        context = library.llama_init_from_model(self.handle, parameters)
        if not context:
            raise EngineError(
                f"no context for {self.path.name}: {log.reason()}",
                hint="try a smaller context, fewer slots, or f16 cache types",
            )
        return context

    def close(self) -> None:
        """Free the weights. Safe to call again."""
        if self._handle is not None:
            library.llama_model_free(self._handle)
            self._handle = None
            self.vocabulary = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def check_file(path: Path) -> None:
    """ModelFileError unless `path` is a readable file that starts like a GGUF."""
    hint = "give the path of a .gguf file"
    if not path.exists():
        raise ModelFileError(f"there is no file {path}", hint=hint)
    if not path.is_file():
        raise ModelFileError(f"{path} is not a file", hint=hint)
    try:
        with path.open("rb") as file:
            magic = file.read(len(MAGIC))
    except OSError as error:
        raise ModelFileError(f"{path} could not be read: {error.strerror}", hint="check its permissions") from None
    if magic != MAGIC:
        found = "it is empty" if not magic else f"it starts with {magic!r} instead of {MAGIC!r}"
        raise ModelFileError(f"{path} is not a GGUF file: {found}", hint=hint)


def _load_mode(mmap: bool, mlock: bool) -> int:
    modes = {
        (False, False): library.LLAMA_LOAD_MODE_NONE,
        (True, False): library.LLAMA_LOAD_MODE_MMAP,
        (False, True): library.LLAMA_LOAD_MODE_MLOCK,
        (True, True): library.LLAMA_LOAD_MODE_MMAP_MLOCK,
    }
    return int(modes[mmap, mlock])


def _overrides(values: Any) -> Any:
    """llama.cpp's array of overrides, ended by one with an empty key."""
    items: dict[str, Override] = dict(values)
    array = (library.llama_model_kv_override * (len(items) + 1))()
    for entry, (key, value) in zip(array, items.items(), strict=False):
        entry.key = key.encode()
        # bool before int: a bool is an int.
        if isinstance(value, bool):
            entry.tag = library.LLAMA_KV_OVERRIDE_TYPE_BOOL
            entry.value.val_bool = value
        elif isinstance(value, int):
            entry.tag = library.LLAMA_KV_OVERRIDE_TYPE_INT
            entry.value.val_i64 = value
        elif isinstance(value, float):
            entry.tag = library.LLAMA_KV_OVERRIDE_TYPE_FLOAT
            entry.value.val_f64 = value
        else:
            entry.tag = library.LLAMA_KV_OVERRIDE_TYPE_STR
            entry.value.val_str = value.encode()
    return array
