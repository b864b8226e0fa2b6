"""What drafting with a model costs, in plain passes of the target."""

import math
from dataclasses import dataclass

from slipstream.control.curve import VerifyCost
from slipstream.core.stats import Paid

RATE = 0.15
"""How fast the price of a draft token follows what real ones cost."""
FURTHEST = 4.0
"""It stays within this factor of what the drafter's curve says."""


@dataclass(slots=True)
class Price:
    """`curve` is the drafter's own cost of a pass by width; `pace` corrects it against the target's, by real drafts,
    `intake` what it takes to catch up."""

    curve: VerifyCost
    pace: float = 1.0
    intake: float = 1.0

    def step(self, depth: int, plain_ms: float, slots: int = 1) -> float:
        """Plain passes for one more draft token of a slot, `slots` of them drafting together; `plain_ms` is a plain
        pass by the target's curve."""
        costs = self.curve.costs(depth)
        return self.pace * costs[min(slots, len(costs) - 1)] / slots / plain_ms

    def catch_up(self, tokens: int, depth: int, plain_ms: float) -> float:
        """Plain passes to take in so many tokens."""
        costs = self.curve.costs(depth)
        widest = len(costs) - 1
        return self.intake * costs[min(tokens, widest)] * max(1.0, tokens / widest) / plain_ms if tokens else 0.0

    def learn(self, paid: Paid, depth: int, curve_plain_ms: float, plain_ms: float) -> None:
        """From a round: `plain_ms` is what a plain pass costs at present, `curve_plain_ms` what the curve says."""
        slots = len(paid.slots)
        if paid.steps:
            expected = paid.steps * slots * self.step(depth, curve_plain_ms, slots)
            self.pace = _followed(self.pace, paid.step_ms / plain_ms / expected)
        if paid.caught_up:
            expected = slots * self.catch_up(paid.caught_up // slots, depth, curve_plain_ms)
            self.intake = _followed(self.intake, paid.catch_up_ms / plain_ms / expected) if expected else self.intake


def _followed(value: float, error: float) -> float:
    return min(FURTHEST, max(1 / FURTHEST, value * math.pow(min(2.0, max(0.5, error)), RATE)))
