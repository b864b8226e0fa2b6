"""Keeps drafting from costing more than it brings, whatever was predicted: a budget of losses."""

from collections.abc import Sequence
from dataclasses import dataclass

START = 1.5
"""Plain passes that a request may lose on drafts before they have gained anything, at least."""
WORTHWHILE = 1.2
"""Speed-up that a draft must be able to give for a request to be allowed to lose its whole pass."""
INCOME = 0.015
"""What every emitted token adds: after losses drafting is probed again once enough has come in for it."""
TRUST = 1.0
"""Share of what the workload's earlier requests gained that a new one may risk."""
FORGETTING = 0.4
"""Weight of the latest request in that gain."""
WORST = 1.5
"""A pass counts for at most this much more than predicted: a hiccup of the machine is not the draft's fault."""


def least_start(costs: Sequence[float]) -> float:
    """What a request must be allowed to lose on this curve (`costs[n]` of a pass over n tokens): the narrowest draft
    that could be worthwhile, or else it would never be drafted at all."""
    plain = costs[1]
    bets = (cost / plain - 1 for width, cost in enumerate(costs[2:], 2) if width * plain >= WORTHWHILE * cost)
    return max(START, next(bets, START))


@dataclass(slots=True)
class Watchdog:
    """A request's account, in plain passes. A draft is allowed if its pass, with nothing accepted, would not overdraw
    it; gains are paid in, losses paid out. In the long run drafting can cost no more than `INCOME` of the time.

    The idea of a utility gate is Cascade's (arXiv 2506.20675); a budget needs no test phases and holds from the first
    token, which matters for short answers.
    """

    balance: float = START
    gained: float = 0.0

    @classmethod
    def of(cls, workload_gain: float, start: float = START) -> "Watchdog":
        """For a request of a workload whose requests gained `workload_gain` lately."""
        return cls(start + TRUST * max(0.0, workload_gain))

    @property
    def most(self) -> float:
        """What a pass may cost, in plain passes."""
        return 1 + self.balance

    def settle(self, tokens: int, cost: float, predicted: float) -> None:
        """A drafted round emitted `tokens` at `cost` plain passes, where `predicted` was expected."""
        gain = tokens - min(cost, WORST * predicted)
        self.balance += gain
        self.gained += gain

    def invest(self, cost: float) -> None:
        """So many plain passes were spent on the rest of the answer. They were weighed against it beforehand, so they
        don't stop drafting now; they count in what the request gained."""
        self.gained -= cost

    def earn(self, tokens: int, income: float = INCOME) -> None:
        """`tokens` were emitted."""
        self.balance += income * tokens

    def close(self, workload_gain: float) -> float:
        """The workload's gain, this request included."""
        return workload_gain + FORGETTING * (self.gained - workload_gain)
