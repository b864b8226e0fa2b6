"""Which level of a cascade drafts next, and which levels are worth having: the arithmetic of CAS-Spec (arXiv
2510.26843) and CS-Drafting (arXiv 2312.11462). Pure functions; costs are in passes of the target."""

from collections.abc import Sequence
from dataclasses import dataclass

LONGEST = 8
"""Tokens that a level drafts before the routing is looked at again."""


@dataclass(frozen=True, slots=True)
class Level:
    """A drafter by its figures: `acceptance` of a token given those before it, `cost` of one."""

    name: str
    acceptance: float
    cost: float


@dataclass(frozen=True, slots=True)
class Route:
    """`level` (an index) drafts `length` tokens next; `score` is what for."""

    level: int
    length: int
    score: float


def route(levels: Sequence[Level], bottom: Level, longest: int = LONGEST) -> Route:
    """DyTC's step: the level and length with the best (a (1 - a^k) / (1 - a) + a^k b) / (c k + d), where the bottom
    level (acceptance b, cost d) is trusted to follow with at least one token."""
    best = Route(0, 1, 0.0)
    for index, level in enumerate(levels):
        stood, prefix = 0.0, 1.0
        for length in range(1, longest + 1):
            prefix *= level.acceptance
            stood += prefix
            score = (stood + prefix * bottom.acceptance) / (level.cost * length + bottom.cost)
            if score > best.score:
                best = Route(index, length, score)
    return best


def speed_up(levels: Sequence[Level], bottom: Level, verify: Sequence[float], longest: int = LONGEST) -> float:
    """Expected speed-up of a horizontal cascade: every level in turn drafts as long as that helps, then the bottom.
    `verify[n]` is the cost of a target pass over n tokens relative to one (the papers take 1; on a CPU it grows)."""
    expected, prefix, drafting, length, best = 1.0, 1.0, 0.0, 0, 1.0
    for level in (*levels, bottom):
        taken = (expected, prefix, drafting, length)
        at, top = taken, best
        for _ in range(longest):
            prefix *= level.acceptance
            expected, drafting, length = expected + prefix, drafting + level.cost, length + 1
            if length + 1 >= len(verify):
                break
            rate = expected / (verify[length + 1] / verify[1] + drafting)
            if rate > top:
                top, at = rate, (expected, prefix, drafting, length)
        best = top
        expected, prefix, drafting, length = at
    return best


def vertical_speed_up(level: Level, inner: Level, reviews: int, length: int, verify: Sequence[float]) -> float:
    """Expected speed-up when `level` reviews `length` tokens of `inner`, `reviews` times, before the target verifies
    (CS-Drafting's formula with the target's own cost of a wide pass). Costs are of one pass of each."""
    a, b = level.acceptance, inner.acceptance
    if a >= 1:
        return speed_up([level], inner, verify)
    per_review = (1 - b ** (length + 1)) / (1 - b) if b < 1 else length + 1.0
    phi = 1 + (a - 1) * (1 - (b * a) ** (length + 1)) / (1 - b * a)
    tokens = (1 - a * phi**reviews) / (1 - a)
    width = min(len(verify) - 1, 1 + round(reviews * per_review))
    return tokens / (verify[width] / verify[1] + reviews * (level.cost + length * inner.cost))


def prescreen(levels: Sequence[Level], bottom: Level, verify: Sequence[float]) -> tuple[tuple[int, ...], str]:
    """Indexes of the levels worth keeping, and why: one that doesn't raise the expected speed-up is left out, the one
    that costs most first."""
    kept = list(range(len(levels)))
    reasons = []
    for index in sorted(kept, key=lambda index: -levels[index].cost):
        others = [levels[other] for other in kept if other != index]
        having, without = speed_up([levels[other] for other in kept], bottom, verify), speed_up(others, bottom, verify)
        if having <= without:
            kept.remove(index)
            reasons.append(f"{levels[index].name} left out: {having:.2f}x with it, {without:.2f}x without")
    return tuple(kept), "; ".join(reasons) or "every level pays"
