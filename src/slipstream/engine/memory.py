"""What a model will take of memory, estimated from its header, so that too large a one is refused before loading."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from slipstream.core.errors import MemoryShortage, UnknownName

BYTES_PER_VALUE: Mapping[str, float] = MappingProxyType(
    {
        "f32": 4, "f16": 2, "bf16": 2, "q8_0": 34 / 32, "q5_1": 24 / 32, "q5_0": 22 / 32, "q4_1": 20 / 32,
        "q4_0": 18 / 32, "iq4_nl": 18 / 32,
    }
)  # fmt: skip
"""Bytes per cached value: quantized types store blocks of 32 with their scales."""

CELL_STEP = 256
ACTIVATIONS = 12
LEAST_HEADROOM = 256 * 1024 * 1024
HEADROOM_SHARE = 0.05
GIGABYTE = 1e9


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes by use."""

    weights: int
    kv: int
    compute: int
    headroom: int

    @property
    def total(self) -> int:
        return self.weights + self.kv + self.compute + self.headroom

    def require(self, available: int, name: str) -> None:
        """MemoryShortage if `available` bytes are not enough for the model called `name`."""
        if self.total <= available:
            return
        parts = ", ".join(
            f"{part} {getattr(self, part) / GIGABYTE:.1f}" for part in ("weights", "kv", "compute", "headroom")
        )
        raise MemoryShortage(
            f"{name} needs about {self.total / GIGABYTE:.1f} GB ({parts}), but {available / GIGABYTE:.1f} GB are free",
            hint="use a shorter context, fewer slots, a q8_0 cache, or a smaller quantization",
        )


def estimate(
    *,
    file_bytes: int,
    layers: int,
    kv_heads: int,
    key_size: int,
    value_size: int,
    embedding_size: int,
    vocabulary_size: int,
    context_length: int,
    slots: int = 1,
    key_type: str = "f16",
    value_type: str = "f16",
    micro_batch: int = 512,
    output_rows: int = 256,
    feed_forward_size: int = 0,
) -> MemoryEstimate:
    """Memory of a model as this engine opens it, in bytes.

    weights   the file's size. Repacked weights replace the mapped ones, whose pages the kernel can drop.
    kv        slots x context (rounded up to 256) x layers x kv_heads x (key_size x key bytes + value_size x value
              bytes); sizes are per head. Every layer counts as if it held the whole context: right for dense attention
              and for the full sliding-window cache used here, too much for recurrent and hybrid models.
    compute   logits are held twice (graph and output buffer): 2 x output_rows x vocabulary x 4; activations of one
              micro batch: micro_batch x (12 x embedding + 3 x feed forward) x 4. Without flash attention the scores
              (heads x context x micro_batch x 4) come on top and are not counted.
    headroom  5 % of all that, at least 256 MiB.
    """
    for kind, name in (("key cache type", key_type), ("value cache type", value_type)):
        if name not in BYTES_PER_VALUE:
            raise UnknownName(kind, name, BYTES_PER_VALUE)
    cells = -(-context_length * slots // CELL_STEP) * CELL_STEP
    per_cell = key_size * BYTES_PER_VALUE[key_type] + value_size * BYTES_PER_VALUE[value_type]
    kv = int(cells * layers * kv_heads * per_cell)
    logits = 2 * output_rows * vocabulary_size * 4
    activations = micro_batch * (ACTIVATIONS * embedding_size + 3 * feed_forward_size) * 4
    compute = logits + activations
    headroom = max(LEAST_HEADROOM, int(HEADROOM_SHARE * (file_bytes + kv + compute)))
    return MemoryEstimate(file_bytes, kv, compute, headroom)
