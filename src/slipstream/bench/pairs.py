"""Cells of two arms, paired: the same prompt in the same repetition, measured in the same window."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from slipstream.bench.cell import Cell

Place = tuple[str, int]
"""Prompt id and repetition."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Ratios of tokens a second by prompt, in order of measurement, over so many repetitions; and, by status, the pairs
    left out because one of their cells doesn't count."""

    ratios: Mapping[str, tuple[float, ...]]
    repetitions: int
    left_out: Mapping[str, int]

    @property
    def count(self) -> int:
        """Pairs that count."""
        return sum(map(len, self.ratios.values()))

    @property
    def share_left_out(self) -> float:
        """Part of all pairs that doesn't count; 0 if there are none at all."""
        lost = sum(self.left_out.values())
        return lost / (lost + self.count) if lost else 0.0

    @property
    def losses(self) -> str:
        """What was left out, in words."""
        lost = sum(self.left_out.values())
        kinds = ", ".join(f"{count} {status}" for status, count in sorted(self.left_out.items()))
        return f"{lost} of {lost + self.count} pairs left out: {kinds}" if lost else ""


def pairs_of(cells: Iterable[Cell], arm: str, baseline: str, prompts: Collection[str]) -> Pairs:
    """Pairs of `arm` with `baseline` on these prompts.

    Of an arm's attempts at a place the last one counts; its partner is the baseline's cell there that was measured
    nearest to it in time (requirement R2: an interrupted run measures the baseline again beside what was missing).
    """
    places: dict[str, dict[Place, list[Cell]]] = {arm: {}, baseline: {}}
    for cell in cells:
        if cell.arm in places and cell.prompt in prompts:
            places[cell.arm].setdefault((cell.prompt, cell.repetition), []).append(cell)
    ratios: dict[str, list[float]] = {}
    repetitions = set()
    left_out: Counter[str] = Counter()
    for place, attempts in places[arm].items():
        cell = attempts[-1]
        partners = places[baseline].get(place)
        if not partners:
            continue
        partner = min(partners, key=lambda other: abs(other.started - cell.started))
        status = next((one.status for one in (cell, partner) if one.status != "ok"), "ok")
        if status == "ok" and min(cell.rate, partner.rate) <= 0:
            status = "failed"
        if status != "ok":
            left_out[status] += 1
            continue
        ratios.setdefault(cell.prompt, []).append(cell.rate / partner.rate)
        repetitions.add(cell.repetition)
    return Pairs({prompt: tuple(found) for prompt, found in ratios.items()}, len(repetitions), dict(left_out))
