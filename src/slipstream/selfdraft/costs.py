"""What a pass costs by sub-layer and by width, measured on the model itself, and the speed-up that follows."""

import math
from dataclasses import dataclass

from slipstream.control.curve import VerifyCost
from slipstream.core.ports import Clock, Feed
from slipstream.core.skip import SkipSet
from slipstream.selfdraft.ports import Masked
from slipstream.selfdraft.sublayers import to_sublayers
from slipstream.selfdraft.texts import Text

LONGEST_DRAFT = 10
"""KnapSpec's."""
WIDTHS = (1, 2, 3, 4, 6, 8, LONGEST_DRAFT + 1)
REPEATS = 5


@dataclass(frozen=True, slots=True)
class Costs:
    """Milliseconds of a one-token pass by sub-layer (2n: attention of block n, 2n + 1: its feed-forward) and of the
    rest; `widths` are milliseconds of verification by its width. Attention costs what it does at the depth measured."""

    sublayers: tuple[float, ...]
    rest: float
    widths: VerifyCost

    def relative(self, skip: SkipSet) -> float:
        """A one-token pass without these sub-layers, as a share of a whole one."""
        whole = sum(self.sublayers) + self.rest
        return 1 - sum(self.sublayers[number] for number in to_sublayers(skip)) / whole

    def verify(self, width: int) -> float:
        """A pass of `width` tokens, in plain passes."""
        costs = self.widths.costs(0)
        return costs[width] / costs[1]


def measure(model: Masked, text: Text, clock: Clock) -> Costs:
    """Time passes at the end of `text`, in slot 0. Other load adds time, so a cell's value is its fastest timing."""
    tokens = (*text.prompt, *text.answer)
    depth = max(1, len(tokens) - WIDTHS[-1])
    model.hold(0, tokens[:depth])
    widths = [width for width in WIDTHS if width <= min(len(tokens) - depth, model.batch_size)]
    times: dict[int, list[float]] = {width: [] for width in widths}
    parts: tuple[float, ...] = ()
    total = math.inf
    for _ in range(REPEATS):
        for width in widths:
            begin = clock()
            model.run([Feed(0, depth, tokens[depth : depth + width], width)])
            model.logits(width - 1)
            times[width].append(1000 * (clock() - begin))
            model.rewind(0, depth)
        begin = clock()
        model.run([Feed(0, depth, tokens[depth : depth + 1], 1)], watch=True)
        model.logits(0)
        if (milliseconds := 1000 * (clock() - begin)) < total:
            # All parts from one pass: the fastest of each would add up to a pass that never was.
            total, parts = milliseconds, tuple(part for block in model.times() for part in block)
        model.rewind(0, depth)
    return Costs(
        parts,
        max(0.0, total - sum(parts)),
        VerifyCost({depth: {width: min(timings) for width, timings in times.items()}}),
    )


@dataclass(frozen=True, slots=True)
class Choice:
    """A set with its measured agreement, its relative cost, the best draft length, and the speed-up that follows."""

    skip: SkipSet
    agreement: float
    cost: float
    length: int
    speedup: float


def tokens_per_pass(agreement: float, cost: float, length: int, verify: float = 1.0) -> float:
    """Expected tokens in the time of one plain pass: (1 - a^(g+1)) / (1 - a) / (g draft + verify), KnapSpec's measure
    (arXiv 2602.20217). `cost` is a draft pass and `verify` the verification, in plain passes; the paper's is 1."""
    expected = length + 1.0 if agreement >= 1 else (1 - agreement ** (length + 1)) / (1 - agreement)
    return expected / (length * cost + verify)


def choose_length(skip: SkipSet, agreement: float, costs: Costs) -> Choice:
    """The draft length, at most 10, that gives most tokens per time."""
    cost = costs.relative(skip)
    longest = min(LONGEST_DRAFT, costs.widths.max_width - 1)
    rates = {
        length: tokens_per_pass(agreement, cost, length, costs.verify(length + 1)) for length in range(1, longest + 1)
    }
    length = max(rates, key=lambda length: rates[length])
    return Choice(skip, agreement, cost, length, rates[length])
