"""Perplexity of a text: how many tokens the model hesitates between, on average."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from slipstream.bench.quality.likelihood import surprise
from slipstream.bench.quality.windows import Reads, read, require_context, scored, windows
from slipstream.control.measure import Progress

WINDOW = 512
"""llama.cpp's default: figures are comparable only at the same one."""

Report = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Perplexity:
    """`value` is the exponential of the mean surprise of `tokens` tokens; `error` its standard error as llama.cpp gives
    it, which takes tokens as independent."""

    value: float
    error: float
    tokens: int


def perplexity(
    model: Reads,
    tokens: Sequence[int],
    window: int = WINDOW,
    *,
    stride: int = 0,
    begin: int | None = None,
    report: Report = lambda progress: None,
) -> Perplexity:
    """Of an open model, on a text in its own tokens, window by window (see `windows`).

    For llama.cpp's own figure give the whole prompt's tokens (with the begin token in front, if the model wants one),
    and that token as `begin`. RequestError if text, window and context don't go together.
    """
    require_context(model, window)
    parts = windows(tokens, window, stride, begin)
    found = []
    for done, part in enumerate(parts):
        report(Progress(done, len(parts), "windows"))
        found += [surprise(logits, token) for token, logits in read(model, part, scored(window, stride))]
    report(Progress(len(parts), len(parts), "windows"))
    return of(found)


def of(surprises: Sequence[float]) -> Perplexity:
    """Of the surprises of single tokens, in nats. ValueError if there are none."""
    if not surprises:
        raise ValueError("perplexity needs at least one token")
    value = math.exp(min(700.0, float(np.mean(surprises))))
    return Perplexity(value, value * standard_error(surprises), len(surprises))


def standard_error(values: Sequence[float]) -> float:
    """Of the mean; 0 for a single value."""
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else 0.0
