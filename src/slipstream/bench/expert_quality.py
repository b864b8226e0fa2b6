"""How far a model with fewer experts is from the whole one, on a text."""

from collections.abc import Sequence
from typing import Any

from slipstream.bench.quality.divergence import divergence
from slipstream.bench.quality.perplexity import WINDOW, perplexity
from slipstream.core.errors import RequestError

LEAST = 128
"""Tokens of text below which a perplexity says nothing."""


def window_of(tokens: Sequence[int], context: int) -> int:
    """Length of the windows that the text is read in, half of each scored: llama.cpp's, or what text and context hold.

    RequestError for a text that is too short.
    """
    if len(tokens) < LEAST:
        raise RequestError(f"the text has {len(tokens)} tokens", hint=f"give one of {LEAST} at least, better of 10,000")
    return min(WINDOW, len(tokens), context)


def quality(target: Any, full: Any, tokens: Sequence[int], window: int, begin: int | None = None) -> dict[str, float]:
    """Perplexity of `target`; and its divergence from `full`, another load, where there is one.

    Every token of the text but its beginning is scored once, as windows overlap by half.
    """
    stride = window // 2
    if full is None or full is target:
        found = perplexity(target, tokens, window, stride=stride, begin=begin)
        figures = {"perplexity": found.value, "perplexity_error": found.error}
        return figures if full is None else {**figures, "divergence": 0.0, "agreement": 1.0}
    apart = divergence(full, target, tokens, window, stride=stride, begin=begin)
    return {
        "perplexity": apart.reduced.value,
        "perplexity_error": apart.reduced.error,
        "divergence": apart.mean,
        "agreement": apart.agreement,
    }
