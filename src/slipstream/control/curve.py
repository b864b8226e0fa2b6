"""The verify-cost curve r[n]: milliseconds of a target pass over n tokens, kept as a raw table because it is jagged."""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PLAIN_RATE = 0.2
"""How fast the present cost of a plain pass is followed (other load, frequency)."""
PLAIN_FRESH = 32
"""Rounds after the last plain pass during which wider ones are compared with it."""
WIDE_RATE = 0.15
"""How fast all wider passes follow what real rounds cost against plain ones: the table may rest on a disturbed cell."""
WIDTH_RATE = 0.05
"""How fast one width's own correction does."""
OUTLIER = 1.5
"""An observation this much off is clipped: one hiccup is not the machine's speed."""
FURTHEST = 3.0
"""Corrections stay within this factor of what was measured."""


@dataclass(slots=True)
class VerifyCost:
    """`table[depth][width]` is measured milliseconds, at a few depths (tokens in KV) and widths (tokens in the pass).

    Between widths the cost is interpolated linearly; with depth it grows as measured. Real rounds refine the ratios,
    never by absolute time: a wide pass is compared with the plain passes just before it, so a machine that slows down
    as a whole changes nothing. `wide` corrects all passes of more than one token, `corrections` single widths.
    """

    table: dict[int, dict[int, float]]
    wide: float = 1.0
    corrections: dict[int, float] = field(default_factory=dict)
    _plain: float = 0.0
    _since_plain: int = PLAIN_FRESH
    _cached: tuple[int, list[float]] | None = None

    def __post_init__(self) -> None:
        if not self.table or any(1 not in row for row in self.table.values()):
            raise ValueError("a verify-cost table needs at least one depth, and width 1 at each")
        if any(not 0 < cost < math.inf for row in self.table.values() for cost in row.values()):
            raise ValueError("a verify-cost table holds positive times")

    @property
    def max_width(self) -> int:
        """Widest measured pass; the policy never plans beyond it."""
        return max(max(row) for row in self.table.values())

    def costs(self, depth: int) -> list[float]:
        """Milliseconds by width: index n is a pass over n tokens at this depth; index 0 is unused."""
        bucket = depth // 64
        if self._cached is None or self._cached[0] != bucket:
            self._cached = (bucket, self._row(bucket * 64))
        return self._cached[1]

    def ratio(self, width: int, depth: int = 0) -> float:
        """r[width] in plain passes."""
        costs = self.costs(depth)
        return costs[width] / costs[1]

    def plain_ms(self, depth: int) -> float:
        """What a plain pass costs at present, by the latest ones; by the table before there were any."""
        return self.costs(depth)[1] * (self._plain or 1.0)

    def refine(self, width: int, depth: int, milliseconds: float) -> None:
        """Learn from a real pass."""
        if not 1 <= width <= self.max_width:
            return
        pace = milliseconds / self.costs(depth)[width]
        if width == 1:
            if self._since_plain >= PLAIN_FRESH or not self._plain:
                self._plain = pace
            else:
                self._plain *= _clipped(pace / self._plain) ** PLAIN_RATE
            self._since_plain = 0
            return
        self._since_plain += 1
        if self._since_plain >= PLAIN_FRESH or not self._plain:
            return
        error = _clipped(pace / self._plain)
        self.wide = _bounded(self.wide * error**WIDE_RATE)
        self.corrections[width] = _bounded(self.corrections.get(width, 1.0) * error**WIDTH_RATE)
        self._cached = None

    def _row(self, depth: int) -> list[float]:
        depths = sorted(self.table)
        costs = _interpolated(self.table[depths[0]], self.max_width)
        if len(depths) > 1:
            deep = _interpolated(self.table[depths[-1]], self.max_width)
            share = max(0.0, (depth - depths[0]) / (depths[-1] - depths[0]))
            # Noise must not make a deep pass cheaper than a shallow one: attention only grows with depth.
            costs = [low + share * max(0.0, high - low) for low, high in zip(costs, deep, strict=True)]
        return [
            cost * (self.wide * self.corrections.get(width, 1.0) if width > 1 else 1.0)
            for width, cost in enumerate(costs)
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain values for a state file."""
        return {
            "table": {str(d): {str(w): ms for w, ms in row.items()} for d, row in self.table.items()},
            "wide": self.wide,
            "corrections": {str(w): c for w, c in self.corrections.items()},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "VerifyCost":
        """Raises ValueError, KeyError, TypeError or AttributeError on a damaged value."""
        table = {int(d): {int(w): float(ms) for w, ms in row.items()} for d, row in value["table"].items()}
        corrections = {int(w): _bounded(float(c)) for w, c in value["corrections"].items()}
        return cls(table, wide=_bounded(float(value["wide"])), corrections=corrections)


def _clipped(ratio: float) -> float:
    return min(OUTLIER, max(1 / OUTLIER, ratio))


def _bounded(correction: float) -> float:
    return min(FURTHEST, max(1 / FURTHEST, correction))


def _interpolated(row: Mapping[int, float], max_width: int) -> list[float]:
    """Costs for widths 0..max_width from those measured; the last slope goes on beyond them."""
    widths: Sequence[int] = sorted(row)
    costs = [0.0]
    for width in range(1, max_width + 1):
        at = bisect_left(widths, width)
        if at < len(widths) and widths[at] == width:
            costs.append(row[width])
            continue
        at = min(max(at, 1), len(widths) - 1)
        low, high = (widths[at - 1], widths[at]) if len(widths) > 1 else (1, 2)
        slope = (row[high] - row[low]) / (high - low) if len(widths) > 1 else 0.0
        costs.append(row[low] + slope * (width - low))
    return costs
