"""Looks into llama.cpp's graph while it runs: which weights its nodes read, and what hidden states they give."""

import ctypes
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from llama_cpp import llama_cpp as library
from numpy.typing import NDArray

from slipstream.core.errors import EngineError

State = NDArray[np.float32]
DIMENSIONS, SOURCES, PARAMETERS, NAME = 4, 10, 16, 64
FLOAT32 = 0
BLOCK_WEIGHT = re.compile(r"blk\.(\d+)\.(.+)\.(weight|bias)")
BLOCK_END = re.compile(r"l_out-(\d+)")
AFTER_ATTENTION = re.compile(r"(?:ffn_inp|sa_out|attn_residual)-(\d+)")
"""Names that llama.cpp's architectures give to the hidden state between attention and feed-forward."""


class Tensor(ctypes.Structure):
    """`struct ggml_tensor` of the pinned engine (ggml.h). `check` compares it with what ggml's own functions say."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("buffer", ctypes.c_void_p),
        ("ne", ctypes.c_int64 * DIMENSIONS),
        ("nb", ctypes.c_size_t * DIMENSIONS),
        ("op", ctypes.c_int),
        ("op_params", ctypes.c_int32 * PARAMETERS),
        ("flags", ctypes.c_int32),
        ("src", ctypes.c_void_p * SOURCES),
        ("view_src", ctypes.c_void_p),
        ("view_offs", ctypes.c_size_t),
        ("data", ctypes.c_void_p),
        ("name", ctypes.c_char * NAME),
        ("extra", ctypes.c_void_p),
    )


NAME_AT: int = Tensor.name.offset


@cache
def ggml() -> Any:
    """libggml-base, which the loaded engine uses: llama-cpp-python binds llama.h only."""
    folder = Path(library.__file__).parent / "lib"
    try:
        path = next(path for path in sorted(folder.iterdir()) if re.fullmatch(r"libggml-base\.(so|dylib)", path.name))
        functions = ctypes.CDLL(str(path))
    except (OSError, StopIteration) as error:
        raise EngineError(f"libggml-base can't be loaded from {folder}: {error}", hint="reinstall the engine") from None
    for name, result, arguments in (
        ("ggml_get_name", ctypes.c_char_p, 1),
        ("ggml_get_data", ctypes.c_void_p, 1),
        ("ggml_nbytes", ctypes.c_size_t, 1),
        ("ggml_backend_buffer_get_alloc_size", ctypes.c_size_t, 2),
    ):
        function = getattr(functions, name)
        function.restype, function.argtypes = result, [ctypes.c_void_p] * arguments
    return functions


@dataclass(frozen=True, slots=True)
class Weight:
    """A weight tensor: ggml's pointer, name, bytes in the file's layout and bytes of its memory (more if repacked)."""

    pointer: int
    name: str
    size: int
    room: int
    data: int

    def point_to(self, address: int) -> None:
        """Make the engine read this weight from `address` from the next pass on."""
        Tensor.from_address(self.pointer).data = address


@dataclass(slots=True)
class Watch:
    """The callback of one model's contexts. It costs about a microsecond a node while nothing is wanted.

    `weights` is filled by the first pass; `ends`, `middles` and `moments` by every pass run while `wanted`: hidden
    states after a block and between its sub-layers, shape (rows, embedding), and when they were there, in seconds.
    `middles` may hold something else in architectures that use the name differently: the caller finds out.
    """

    weights: dict[str, Weight] = field(default_factory=dict)
    scanning: bool = True
    wanted: bool = False
    begun: float = 0.0
    ends: dict[int, list[State]] = field(default_factory=dict)
    middles: dict[int, list[State]] = field(default_factory=dict)
    moments: dict[tuple[int, bool], float] = field(default_factory=dict)
    failure: BaseException | None = None
    callback: Any = None

    def __post_init__(self) -> None:
        # Kept here for as long as contexts may call it.
        self.callback = library.ggml_backend_sched_eval_callback(self._called)

    def run(self, run: Callable[[], None], *, wanted: bool) -> None:
        """Run a pass, and read its hidden states if they are `wanted`. EngineError if one could not be read."""
        self.failure = None
        if wanted:
            self.ends.clear()
            self.middles.clear()
            self.moments.clear()
            self.begun, self.wanted = time.perf_counter(), True
        try:
            run()
        finally:
            self.wanted = False
        self.check()

    def check(self) -> None:
        """Raise what went wrong inside the callback; Ctrl-C may have come there, too."""
        failure, self.failure = self.failure, None
        if isinstance(failure, Exception) and not isinstance(failure, EngineError):
            raise EngineError(f"the engine's graph could not be read: {failure}") from failure
        if failure is not None:
            raise failure

    def _called(self, pointer: int, ask: bool, _user_data: Any) -> bool:
        """llama.cpp asks before a node whether its result is wanted, and calls again when it is there. An exception
        can't leave a callback."""
        try:
            if ask:
                if self.scanning:
                    self._scan(pointer)
                return self.wanted and self._place(pointer) is not None
            if place := self._place(pointer):
                self._take(pointer, *place)
        except BaseException as error:
            self.failure = error
        return True

    @staticmethod
    def _place(pointer: int) -> tuple[int, bool] | None:
        """Block, and whether it is its end, if the node is a hidden state."""
        name = ctypes.string_at(pointer + NAME_AT).decode("utf-8", "replace")
        if match := BLOCK_END.fullmatch(name):
            return int(match[1]), True
        match = AFTER_ATTENTION.fullmatch(name)
        return (int(match[1]), False) if match else None

    def _take(self, pointer: int, block: int, end: bool) -> None:
        self.moments[block, end] = time.perf_counter()
        tensor = Tensor.from_address(pointer)
        width, rows = int(tensor.ne[0]), int(tensor.ne[1])
        if tensor.type != FLOAT32 or tensor.nb[1] != 4 * width or tensor.ne[2] * tensor.ne[3] != 1:
            raise ValueError(f"{tensor.name.decode()} is not a plain table of 32-bit numbers")
        values = np.frombuffer(ctypes.string_at(tensor.data, 4 * rows * width), np.float32)
        # A pass wider than a micro-batch comes in parts, in order.
        (self.ends if end else self.middles).setdefault(block, []).append(values.reshape(rows, width))

    def _scan(self, pointer: int) -> None:
        """Note the weights that a node reads."""
        for source in filter(None, Tensor.from_address(pointer).src):
            name = ctypes.string_at(source + NAME_AT).decode("utf-8", "replace")
            if name not in self.weights and BLOCK_WEIGHT.fullmatch(name):
                self.weights[name] = _weight(source, name)


def _weight(pointer: int, name: str) -> Weight:
    """The weight at `pointer`, read twice. EngineError if this file's idea of the structure is not the engine's."""
    tensor, functions = Tensor.from_address(pointer), ggml()
    size = int(functions.ggml_nbytes(pointer))
    said = (functions.ggml_get_name(pointer), functions.ggml_get_data(pointer))
    if said != (tensor.name, tensor.data) or said[0] != name.encode() or not tensor.buffer or not tensor.data:
        raise EngineError(
            f"the engine lays out {name} in another way than 0.3.36", hint="install the llama-cpp-python that is pinned"
        )
    room = int(functions.ggml_backend_buffer_get_alloc_size(tensor.buffer, pointer))
    return Weight(pointer, name, size, max(size, room), int(tensor.data))
