"""The best drafts for one pass: pure arithmetic on probabilities and the verify-cost curve."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import accumulate

from slipstream.core.draft import Draft


@dataclass(frozen=True, slots=True)
class Candidate:
    """A draft on offer for a slot with its calibrated conditional probabilities, cut to what the slot can use."""

    slot: int
    draft: Draft
    probabilities: Sequence[float]


@dataclass(frozen=True, slots=True)
class Best:
    """Lengths to verify, one per candidate slot: `rate` is expected tokens per millisecond of the pass."""

    lengths: dict[int, tuple[Candidate, int, float]]
    width: int
    tokens: float
    rate: float


@dataclass(frozen=True, slots=True)
class Shape:
    """What a row of costs says about all lengths at once; costs of plain passes by width, as in `best_length`.

    `cheapest` is the least that a further token can add to a pass, in plain passes: the flattest line from r[1] to any
    r[n]. `floors[n]` is the least that any pass over n tokens or more costs.
    """

    costs: Sequence[float]
    cheapest: float
    floors: Sequence[float]

    @classmethod
    def of(cls, costs: Sequence[float]) -> "Shape":
        """Of a row of costs, index 0 unused."""
        plain = costs[1]
        cheapest = min(((cost - plain) / (more * plain) for more, cost in enumerate(costs[2:], 1)), default=math.inf)
        floors = list(accumulate(reversed(costs), min))
        return cls(costs, cheapest, floors[::-1])

    @property
    def length(self) -> int:
        """Longest draft that these costs cover."""
        return len(self.costs) - 2

    def widest(self, most: float) -> int:
        """The widest pass that costs at most `most` plain passes; 0 if none does."""
        return bisect_right(self.floors, most * self.costs[1], lo=1) - 1


@dataclass(frozen=True, slots=True)
class Replay:
    """Of a model that can't drop more than the last `free` tokens of a pass: after a rejection it restores a state, and
    the accepted tokens are computed again with the next pass, which gets so much wider."""

    costs: Sequence[float]
    free: int

    def lost(self, tokens: int) -> float:
        """Milliseconds to compute so many tokens again with a pass that is made anyway."""
        return self.costs[min(1 + tokens, len(self.costs) - 1)] - self.costs[1]


def best_length(
    probabilities: Iterable[float], costs: Sequence[float], cheapest: float, replay: Replay | None = None
) -> tuple[int, float, float]:
    """(length, expected accepted, tokens per millisecond) of the best draft prefix; length 0 is plain.

    `costs[n]` is milliseconds of a pass over n tokens, `cheapest` is their `Shape.cheapest`. Every length is
    evaluated, because the curve is jagged, up to where no further one can beat plain: each further token brings at
    most what the average one did so far, and costs at least `cheapest`. With a `replay`, what a rejection costs the
    next pass is added.
    """
    best, best_expected, best_rate = 0, 0.0, 1.0 / costs[1]
    prefix, expected, lost = 1.0, 0.0, 0.0
    for length, probability in enumerate(probabilities, 1):
        if length + 1 >= len(costs):
            break
        cost = costs[length + 1]
        if replay:
            lost += prefix * (1 - probability) * replay.lost(length)
            cost += lost if length > replay.free else 0.0
        prefix *= probability
        expected += prefix
        rate = (1.0 + expected) / cost
        if rate > best_rate:
            best, best_expected, best_rate = length, expected, rate
        if expected <= cheapest * length:
            break
    return best, best_expected, best_rate


def best_joint(candidates: Sequence[Candidate], slots: int, costs: Sequence[float]) -> Best:
    """Lengths for several slots that share one pass: the draft token most likely to stand is added next, over all
    slots, and the best total on the way wins. One candidate per slot (its own best source) goes in."""
    max_width = len(costs) - 1
    lengths: dict[int, tuple[Candidate, int, float]] = {}
    best = Best({}, slots, float(slots), slots / costs[min(slots, max_width)])
    heap = [(-c.probabilities[0], index) for index, c in enumerate(candidates) if c.probabilities]
    heapify(heap)
    taken = [0] * len(candidates)
    expected = [0.0] * len(candidates)
    total = float(slots)
    for width in range(slots + 1, max_width + 1):
        if not heap:
            break
        negative, index = heappop(heap)
        candidate = candidates[index]
        taken[index] += 1
        expected[index] -= negative
        total -= negative
        lengths[candidate.slot] = (candidate, taken[index], expected[index])
        if taken[index] < len(candidate.probabilities):
            heappush(heap, (negative * candidate.probabilities[taken[index]], index))
        if total / costs[width] > best.rate:
            best = Best(dict(lengths), width, total, total / costs[width])
    return best
