"""What asking a paid source has brought: emitted tokens over what the rounds cost, learnt by workload and request."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

FADE = 0.98
"""What a further round leaves of the record of a workload."""
REQUEST_FADE = 0.94
FORECAST_WEIGHT = 8.0
"""What the forecast weighs against the workload's record, in plain passes."""
WORKLOAD_WEIGHT = 8.0
"""What the workload's record weighs against the request's own."""
EXPECTED = 0.75
"""Acceptance that a source is believed capable of before it was tried."""
PATIENCE = 400.0
"""Rounds without asking after which a source is taken for twice as good as it last was: a reason to look again."""


@dataclass(slots=True)
class Record:
    """Tokens emitted in rounds that asked, what these rounds cost in plain passes (drafting included), and the rounds
    since that didn't ask."""

    tokens: float = 0.0
    cost: float = 0.0
    since: int = 0

    def add(self, tokens: float, cost: float, fade: float) -> None:
        """A round that asked."""
        self.tokens = fade * self.tokens + tokens
        self.cost = fade * self.cost + cost
        self.since = 0

    def rate(self, expected: float, weight: float) -> float:
        """Tokens a plain pass, if `expected` is what one would think without this record."""
        return (self.tokens + weight * expected) / (self.cost + weight)


RUNS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Lengths by which runs are counted, in tokens: a run counts for the longest that it reaches, and is taken to be
anything up to the next."""
RUNS_EXPECTED = tuple(length**-0.9 for length in RUNS)
"""Runs of every length that are believed in before any was seen: long ones are rarer, but hold most of the tokens."""
RUNS_FADE = 0.97


@dataclass(slots=True)
class Droughts:
    """How long free sources stay without anything to offer: runs of tokens emitted in rounds without a free draft.

    They tell whether it pays that a draft model takes in all it has missed: edits know short droughts only, chats long
    ones, and one that has lasted tends to go on.
    """

    counts: list[float] = field(default_factory=lambda: [0.0] * len(RUNS))

    def add(self, run: int) -> None:
        """A run is over."""
        self.counts = [RUNS_FADE * count for count in self.counts]
        self.counts[bisect_right(RUNS, run) - 1] += 1

    def left(self, run: int, most: int) -> float:
        """Tokens that a drought of `run` tokens so far is expected to go on for, at most `most`."""
        weight = total = 0.0
        for length, seen, expected in zip(RUNS, self.counts, RUNS_EXPECTED, strict=True):
            if run < length:
                share, left = 1.0, 1.5 * length - run
            elif length == RUNS[-1]:
                share, left = 1.0, run / 2
            else:
                share, left = max(0.0, 2 - run / length), max(0.0, length - run / 2)
            weight += share * (seen + expected)
            total += share * (seen + expected) * min(left, most)
        return min(float(most), total / weight)  # the quotient may be above by a rounding


def forecast(costs: Sequence[float], step: float, acceptance: float = EXPECTED, longest: int = 16) -> float:
    """Best tokens a plain pass with fixed draft lengths of 1 and more, where every token stands with the same
    probability; less than 1 if plain decoding is better, 0 if no draft fits.

    `costs[n]` is the cost of a pass over n tokens, `step` what a draft token costs in plain passes.
    """
    best, expected, prefix = 0.0, 0.0, 1.0
    for length in range(1, min(longest, len(costs) - 2) + 1):
        prefix *= acceptance
        expected += prefix
        best = max(best, (1 + expected) / (costs[1 + length] / costs[1] + length * step))
    return best


def estimate(expected: float, workload: Record, request: Record) -> float:
    """Tokens a plain pass when the source is asked now: each level corrects the one before it. Workloads differ so much
    that what one has shown says little about another."""
    return request.rate(workload.rate(expected, FORECAST_WEIGHT), WORKLOAD_WEIGHT)
