"""What a target pass costs on another machine: the larger of reading the weights and computing with them.

    ms(n) = max(bytes(n) / bandwidth, operations(n) / arithmetic(n)) + layers x synchronization

(the roofline model, Williams et al., CACM 2009). How much arithmetic the kernels get out of a core's cycle is not
assumed but read off the curve that was measured here, by quantization, width and depth: it differs several times over,
and not smoothly. Where a pass was waiting for memory here, that is a lower bound, so what is projected is cautious; on
the machine it was read off, the model gives the measured curve back.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from slipstream.bench.machine import Machine
from slipstream.control.curve import VerifyCost
from slipstream.models.gguf import Header
from slipstream.models.gguf_reader import Reader, Tensor

EXPERTS = "_exps."
EMBEDDING, OUTPUT = "token_embd.weight", "output.weight"
LEAST_SHARE = 0.01
"""Of a measured pass that is computing, at least: synchronization was then overestimated."""


@dataclass(frozen=True, slots=True)
class Work:
    """What one pass moves and computes. Bytes of weights that every pass reads, and of all experts, of which every
    token takes `used` of `experts`; weights that a token multiplies with; bytes of KV a token of context."""

    quantization: str
    layers: int
    dense_bytes: int
    expert_bytes: int
    experts: int
    used: int
    weights: int
    kv_bytes: int

    def bytes(self, width: int, depth: int) -> float:
        """Read by a pass over `width` tokens with `depth` of context. Experts are taken to be chosen evenly."""
        read = 1 - (1 - self.used / self.experts) ** width if self.experts else 0.0
        return self.dense_bytes + self.expert_bytes * read + self.kv_bytes * (depth + width)

    def operations(self, width: int) -> float:
        """Multiplications and additions, attention left out: it is in what the curve says about depth."""
        return 2.0 * self.weights * width


def work_of(header: Header) -> Work:
    """Of a model file. The table of token embeddings is looked up in, not read, unless it is the output too."""
    tensors = {tensor.name: tensor for file in header.files for tensor in _tensors(file)}
    unread = {EMBEDDING} if OUTPUT in tensors else set()
    used = [tensor for name, tensor in tensors.items() if name not in unread]
    experts = [tensor for tensor in used if EXPERTS in tensor.name]
    count = header.expert_count if experts else 0
    share = header.experts_used / count if count else 0.0
    expert_bytes = sum(tensor.size for tensor in experts)
    expert_weights = sum(tensor.weights for tensor in experts)
    return Work(
        quantization=header.quantization,
        layers=header.block_count,
        dense_bytes=sum(tensor.size for tensor in used) - expert_bytes,
        expert_bytes=expert_bytes,
        experts=count,
        used=header.experts_used if count else 0,
        weights=round(sum(tensor.weights for tensor in used) - expert_weights * (1 - share)),
        kv_bytes=header.kv_bytes_per_token,
    )


def _tensors(file: Path) -> Iterator[Tensor]:
    with Reader(file) as reader:
        _, tensors, keys = reader.preamble()
        for _ in range(keys):
            reader.key_value()
        for _ in range(tensors):
            yield reader.tensor()


@dataclass(frozen=True, slots=True)
class Roofline:
    """Calibrated on one machine. `rates[depth][width]`: operations for every core cycle. `attained`: share of the
    triad's bandwidth at which a plain pass reads, 1 at most. `bound`: what a plain pass waits for here."""

    rates: Mapping[int, Mapping[int, float]]
    attained: float

    @property
    def bound(self) -> str:
        """What holds a plain pass up on the calibrating machine, in words."""
        return "memory" if self.attained >= 0.8 else "arithmetic, or latency"


def calibrate(work: Work, curve: VerifyCost, here: Machine) -> Roofline:
    """From the curve that was measured on `here`."""
    rates: dict[int, dict[int, float]] = {}
    for depth, row in curve.table.items():
        rates[depth] = {}
        for width, milliseconds in row.items():
            computing = max(milliseconds - work.layers * here.layer_ms, LEAST_SHARE * milliseconds)
            rates[depth][width] = work.operations(width) / (computing * 1e6) / here.arithmetic
    depth = min(curve.table)
    plain = curve.table[depth][1] / 1000
    return Roofline(rates, min(1.0, work.bytes(1, depth) / plain / here.bandwidth(1.0)))


def project(work: Work, roofline: Roofline, machine: Machine) -> VerifyCost:
    """The curve that a machine is expected to have for this work, at the depths and widths of the calibration."""
    bandwidth = machine.bandwidth(roofline.attained)
    table: dict[int, dict[int, float]] = {}
    for depth, row in roofline.rates.items():
        table[depth] = {}
        for width, rate in row.items():
            reading = 1000 * work.bytes(width, depth) / bandwidth
            computing = work.operations(width) / (rate * 1e6) / machine.arithmetic
            table[depth][width] = max(reading, computing) + work.layers * machine.layer_ms
    return VerifyCost(table)
