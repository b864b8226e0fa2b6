"""Marks of single answers, and what they add up to: a share with its interval."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from slipstream.bench import garbage
from slipstream.bench.workload import Prompt

Z = 1.96
"""Of a 95 % interval."""

Outcome = Literal["passed", "failed", "timeout", "truncated", "garbage", "refused"]
"""refused: it could not be marked, for a reason that isn't the model's; such an answer counts nowhere."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What became of one answer, and why."""

    outcome: Outcome
    reason: str = ""


class Scorer(Protocol):
    """Marks one whole answer. `scratch` is a folder for what it writes meanwhile."""

    def __call__(self, prompt: Prompt, answer: str, scratch: Path) -> Mark: ...


@dataclass(frozen=True, slots=True)
class Quality:
    """`share` of `n` answers that passed, with its 95 % interval; None if nothing was marked. What was cut off or is
    garbage failed, and is counted apart too; `refused` answers aren't in `n`."""

    share: float | None
    low: float
    high: float
    n: int
    passed: int = 0
    truncated: int = 0
    garbage: int = 0
    refused: int = 0


def mark(
    scorer: Scorer, prompt: Prompt, text: str, tokens: Sequence[int], limit: int, finish: str, scratch: Path
) -> Mark:
    """The mark of an answer: garbage and what isn't whole never reach the scorer. For `tokens`, `limit` and `finish`
    see `garbage.doubt`."""
    if why := garbage.doubt(text, tokens, limit, finish):
        return Mark("garbage", why)
    if why := garbage.truncated(tokens, limit, finish):
        return Mark("truncated", why)
    return scorer(prompt, text, scratch)


def fold(marks: Iterable[Mark]) -> Quality:
    """What marks add up to."""
    outcomes = [one.outcome for one in marks]
    refused = outcomes.count("refused")
    n, passed = len(outcomes) - refused, outcomes.count("passed")
    low, high = wilson(passed, n)
    share = passed / n if n else None
    return Quality(share, low, high, n, passed, outcomes.count("truncated"), outcomes.count("garbage"), refused)


def wilson(passed: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion (J. Am. Stat. Assoc. 22, 1927): right for few answers, and for none or all
    of them right, where the usual one has no width."""
    if not n:
        return 0.0, 1.0
    share, spread = passed / n, Z * Z / n
    middle = (share + spread / 2) / (1 + spread)
    half = Z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    # Rounding would put the ends of none and all a hair inside.
    return max(0.0, middle - half) if passed else 0.0, min(1.0, middle + half) if passed < n else 1.0
