"""What is believed of a draft token before anything was observed, from replays of chats, edits, code and mathematics.

Rows are matched length (see `length_bucket`), columns agreement (see `agreement_bucket`). The figures are pooled over
two model families and rounded; a few dozen observations outweigh them.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence

LENGTH_LIMITS = (1, 2, 3, 4, 6, 9, 16, 32, 64)
"""First matched length of buckets 1 to 9."""

Table = Sequence[Sequence[float]]

COPY: Table = (
    # divided, majority, one occurrence, two that agree, three or more
    (0.15, 0.30, 0.30, 0.45, 0.70),  # nothing matched: a guess at how answers begin
    (0.16, 0.34, 0.28, 0.45, 0.71),  # 1
    (0.20, 0.31, 0.55, 0.65, 0.83),  # 2
    (0.20, 0.45, 0.66, 0.72, 0.84),  # 3
    (0.25, 0.55, 0.74, 0.79, 0.89),  # 4-5
    (0.35, 0.58, 0.84, 0.90, 0.96),  # 6-8
    (0.35, 0.60, 0.90, 0.94, 0.97),  # 9-15
    (0.40, 0.60, 0.95, 0.96, 0.98),  # 16-31
    (0.50, 0.65, 0.97, 0.98, 0.99),  # 32-63
    (0.50, 0.65, 0.98, 0.99, 0.99),  # 64 and more
)

EXPECTED: Table = (
    # The caller expects this text: it is right more often than anything found, above all once it was right for a while.
    *((0.5, 0.6, 0.85, 0.85, 0.85),) * 2,
    *((0.5, 0.6, 0.92, 0.92, 0.92),) * 4,
    *((0.5, 0.6, 0.98, 0.98, 0.98),) * 4,
)

CONFIDENCE_LIMITS = (0.3, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 0.99, 0.997)
"""Least probability of confidence buckets 1 to 9."""

CONFIDENCE: Sequence[float] = (0.30, 0.45, 0.63, 0.79, 0.90, 0.955, 0.975, 0.983, 0.993, 0.998)
"""How often a model's own likeliest token stands, by the bucket of the probability it gives it: pooled over answers of
a 1.5B model to chats, code and edits, drafted by a 0.5B one, and shaded a little."""

MODEL = 5
"""The column that stands for a model's own probabilities, beside the five agreement buckets."""

PRIORS: Mapping[str, Table] = {"reference": EXPECTED}
"""Tables of sources that aren't plain copying; every other source starts from `COPY`."""


def prior(source: str, row: int, column: int) -> float:
    """What is believed of a bucket before anything was observed."""
    return CONFIDENCE[row] if column == MODEL else PRIORS.get(source, COPY)[row][column]


def confidence_bucket(probability: float) -> int:
    """The row of a probability that a model gives its own token."""
    return bisect_right(CONFIDENCE_LIMITS, probability)


def length_bucket(length: int) -> int:
    """0, 1, 2, 3, 4-5, 6-8, 9-15, 16-31, 32-63, 64 and more tokens matched."""
    return sum(length >= limit for limit in LENGTH_LIMITS)


def agreement_bucket(share: float, support: int) -> int:
    """0 divided occurrences, 1 a clear majority, 2 one occurrence alone, 3 two that agree, 4 three or more."""
    if share > 0.95:
        return 1 + min(max(support, 1), 3)
    return 1 if share > 0.6 else 0
