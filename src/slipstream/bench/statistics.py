"""Ratios and their intervals: a speed-up is the median of paired ratios, never a quotient of two averages."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

RESAMPLES = 4000


@dataclass(frozen=True, slots=True)
class Ratio:
    """A speed-up with its 95 % interval over `pairs` interleaved pairs of `prompts` prompts."""

    value: float
    low: float
    high: float
    prompts: int
    pairs: int


def geometric_mean(values: Sequence[float]) -> float:
    """Raises ValueError on an empty sequence or values that aren't positive."""
    if not values or min(values) <= 0:
        raise ValueError("a geometric mean needs positive values")
    return math.exp(sum(map(math.log, values)) / len(values))


def ratio_of(pairs_by_prompt: Sequence[Sequence[float]], seed: int = 0) -> Ratio:
    """Geometric mean over prompts of each prompt's median paired ratio.

    The interval is a percentile bootstrap: prompts are drawn with replacement, then pairs within each. One prompt alone
    is resampled over its pairs only.
    """
    if not pairs_by_prompt or not all(pairs_by_prompt):
        raise ValueError("every prompt needs at least one pair")
    value = geometric_mean([median(pairs) for pairs in pairs_by_prompt])
    random = np.random.default_rng(seed)
    logs = []
    for pairs in pairs_by_prompt:
        draws = random.integers(0, len(pairs), (RESAMPLES, len(pairs)))
        logs.append(np.log(np.median(np.asarray(pairs)[draws], axis=1)))
    medians = np.stack(logs, axis=1)
    chosen = random.integers(0, medians.shape[1], medians.shape)
    means = np.exp(np.take_along_axis(medians, chosen, axis=1).mean(axis=1))
    low, high = np.percentile(means, (2.5, 97.5))
    return Ratio(value, float(low), float(high), len(pairs_by_prompt), sum(map(len, pairs_by_prompt)))
