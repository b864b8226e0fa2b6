"""When to stop drafting: the marginal rule on the cumulative probability (DESIGN section 6)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from slipstream.core.draft import Draft

LOOKAHEAD = 16
HOPELESS = 0.03
"""A draft less likely than this to stand up to here isn't looked further into."""
AGREEABLE = 0.85
"""Probability that further tokens are expected to have, before the request showed its own."""


@dataclass(slots=True)
class Pace:
    """The probability that draft tokens of a request have on average: what a further token is expected to bring."""

    value: float = AGREEABLE

    def learn(self, probability: float) -> None:
        """A token was drafted with this calibrated probability."""
        self.value += 0.1 * (probability - self.value)


class Pursuit:
    """One paid draft in the making: drafts on while some longer draft is expected to give more tokens per time, its own
    making included, than the best end so far.

    An end is this draft cut anywhere, or continued by a free source. Every length is looked at, because the curve is
    jagged. `costs[n]` is a pass over n tokens, `base` the width of the pass without this draft, `step` what a draft
    token costs in plain passes.
    """

    def __init__(
        self,
        costs: Sequence[float],
        base: int,
        step: float,
        pace: Pace,
        calibrate: Callable[[float], float],
        continuation: Callable[[Draft], Sequence[float]],
    ) -> None:
        self.costs, self.base, self.step_ms = costs, base, step * costs[1]
        self.pace, self.calibrate, self.continuation = pace, calibrate, continuation
        self.length, self.prefix, self.expected = 0, 1.0, 0.0
        self.ends = [(0.0, costs[base])]

    def __call__(self, probability: float, follow: Draft) -> bool:
        """Whether to draft another token after one of this probability; `follow` is what a free source would add."""
        probability = self.calibrate(probability)
        self.pace.learn(probability)
        self.length += 1
        self.prefix *= probability
        self.expected += self.prefix
        if self.base + self.length >= len(self.costs) - 1:
            return False
        self.ends.append((self.expected, self.costs[self.base + self.length]))
        if self.prefix < HOPELESS:
            return False
        spent = self.length * self.step_ms
        best = max((self.base + expected) / (cost + spent) for expected, cost in self.ends)
        if follow:
            best = max(best, self._best(self.continuation(follow), 0.0))
        return self._best([self.pace.value] * LOOKAHEAD, self.step_ms) > best

    def _best(self, probabilities: Sequence[float], step_ms: float) -> float:
        """The best rate at an end among the next tokens, of these probabilities, each at `step_ms` for drafting it."""
        best, expected, prefix = 0.0, self.expected, self.prefix
        spent = self.length * self.step_ms
        first = self.base + self.length + 1
        for probability, cost in zip(probabilities, self.costs[first:], strict=False):
            prefix *= probability
            expected += prefix
            spent += step_ms
            best = max(best, (self.base + expected) / (cost + spent))
        return best
