"""How a model is opened: everything llama.cpp is told before the first token."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from slipstream.core.errors import RequestError, UnknownName

CACHE_TYPES: Mapping[str, int] = MappingProxyType(
    {"f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8, "iq4_nl": 20, "bf16": 30}
)
"""Types a KV cache can have, with ggml's numbers."""

FLASH_ATTENTION: Mapping[str, int] = MappingProxyType({"auto": -1, "off": 0, "on": 1})
NUMA: Mapping[str, int] = MappingProxyType({"off": 0, "distribute": 1, "isolate": 2, "numactl": 3, "mirror": 4})

UNQUANTIZED = frozenset({"f32", "f16", "bf16"})
MOST_SLOTS = 256
MOST_ROLLBACK = 64
LONGEST_KEY = 127

Override = int | float | bool | str


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """One model file, opened one way.

    `context_length` is what ONE slot can hold, in tokens; 0 takes what the model was trained for (the caller caps it).
    `threads` serve passes of one token, `batch_threads` (None: the same) wider ones: verify passes are wide.
    `batch_size` is the widest pass; up to `micro_batch` tokens run as one graph, so the weights are read once.
    `output_rows` is the most positions of one pass that may want logits: their rows (vocabulary x 4 bytes each) are
    reserved, but only touched when used. `shared_cache` keeps all slots in one buffer: a pass of unequal slots is then
    one graph, where a buffer per slot needs several that each read the weights; but what other slots hold then moves a
    slot's tokens about in the buffer, which changes its logits in the last bits. `repack` lets llama.cpp copy weights
    into the layout its kernels like best. `rollback` is the most tokens that a recurrent state is wound back by without
    computing any again, where llama.cpp can; it keeps that many more copies of the state per slot (0: none).
    `native_head` also loads the block by which some models predict the token after next, for `engine/native_head.py`.
    `kv_overrides` replace metadata of the file, e.g. "llama.expert_used_count": 2.
    """

    path: Path
    threads: int
    batch_threads: int | None = None
    context_length: int = 0
    slots: int = 1
    batch_size: int = 512
    micro_batch: int = 512
    output_rows: int = 256
    shared_cache: bool = True
    mmap: bool = True
    mlock: bool = False
    repack: bool = True
    rollback: int = 8
    native_head: bool = False
    flash_attention: Literal["auto", "on", "off"] = "auto"
    key_type: str = "f16"
    value_type: str = "f16"
    numa: Literal["off", "distribute", "isolate", "numactl", "mirror"] = "off"
    kv_overrides: Mapping[str, Override] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))
        for kind, name, table in (
            ("key cache type", self.key_type, CACHE_TYPES),
            ("value cache type", self.value_type, CACHE_TYPES),
            ("flash attention mode", self.flash_attention, FLASH_ATTENTION),
            ("NUMA mode", self.numa, NUMA),
        ):
            if name not in table:
                raise UnknownName(kind, name, table)
        self._within("threads", self.threads, 1, 4096)
        if self.batch_threads is not None:
            self._within("batch_threads", self.batch_threads, 1, 4096)
        self._within("context_length", self.context_length, 0, 1 << 30)
        self._within("slots", self.slots, 1, MOST_SLOTS)
        self._within("batch_size", self.batch_size, 1, 1 << 20)
        self._within("micro_batch", self.micro_batch, 1, 1 << 20)
        self._within("output_rows", self.output_rows, 1, 1 << 20)
        self._within("rollback", self.rollback, 0, MOST_ROLLBACK)
        if self.slots > self.batch_size:
            raise RequestError(
                f"{self.slots} slots do not fit a batch of {self.batch_size} tokens",
                hint="every slot feeds at least one token a round: raise the batch size or lower the slots",
            )
        if self.value_type not in UNQUANTIZED and self.flash_attention == "off":
            raise RequestError(
                f"a {self.value_type} value cache needs flash attention, which is off",
                hint="set flash attention to auto or on, or use an f16 value cache",
            )
        for key, value in self.kv_overrides.items():
            if not key or len(key.encode()) > LONGEST_KEY:
                raise RequestError(f"metadata key {key[:40]!r} is empty or longer than {LONGEST_KEY} bytes")
            if isinstance(value, str) and len(value.encode()) > LONGEST_KEY:
                raise RequestError(f"the override of {key} is longer than {LONGEST_KEY} bytes")

    @staticmethod
    def _within(name: str, value: int, low: int, high: int) -> None:
        if not low <= value <= high:
            raise RequestError(f"{name} is {value}", hint=f"it must lie between {low} and {high}")
