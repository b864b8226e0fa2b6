"""A mixture of experts drafting for itself: the same file, loaded once more with fewer experts. Output stays the same.

Both loads share the file's pages where it is mapped and not repacked; the second one then costs its KV and buffers.
"""

from collections.abc import Callable, Iterable

from slipstream.bench.experts import DraftUse
from slipstream.bench.predict import Aligned
from slipstream.bench.probe import Question, probe, prospect
from slipstream.control.curve import VerifyCost
from slipstream.control.measure import Progress
from slipstream.core.ports import Clock, Target

WORTH = 1.05
"""Predicted speed-up from which on it is offered: less is within what a short probe can't tell from nothing."""


def draft_use(
    full: Target,
    reduced: Target,
    questions: Iterable[Question],
    ends: frozenset[int],
    curve: VerifyCost,
    tokens: int,
    clock: Clock,
    report: Callable[[Progress], None] = lambda progress: None,
) -> DraftUse:
    """Probe it on `tokens` tokens of the whole model's answers; `curve` is the whole model's. RequestError if no
    question fits the context."""
    found = probe(full, questions, Aligned(reduced, clock), ends, tokens, clock, report)
    forecast, (low, high) = prospect(found, curve.costs(found.depth))
    return DraftUse(found.acceptance, found.draft_ms / found.plain_ms, forecast.speed_up, low, high, found.tokens)


def best_draft(drafts: dict[int, DraftUse]) -> int | None:
    """The number of experts to draft with; None if none pays: that takes WORTH, and an interval above 1."""
    paying = {count: use for count, use in drafts.items() if use.speed_up >= WORTH and use.low > 1}
    return max(paying, key=lambda count: paying[count].speed_up, default=None)
