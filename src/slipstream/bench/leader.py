"""Which arm of a grid is the fastest, and how sure that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slipstream.bench.cell import Arm, Cell
from slipstream.bench.pairs import pairs_of
from slipstream.bench.statistics import Ratio, ratio_of
from slipstream.bench.verdict import floor_of, verdict_of


@dataclass(frozen=True, slots=True)
class Leader:
    """`arm` had the highest speed. `ratio` is what its pairs with `rival` say, the arm that it is told from worst; it
    is `sure` if it is faster than every other one beyond what identical arms differ by, and `why` says why not."""

    arm: str
    rival: str
    ratio: Ratio
    sure: bool
    why: str


def leader(
    cells: Sequence[Cell], arms: Sequence[Arm], prompt: str, speeds: Mapping[str, float | None]
) -> Leader | None:
    """Of the arms, by their `speeds` on a prompt; None if fewer than two have one, or no pair of theirs counts."""
    ranked = sorted((name for name, speed in speeds.items() if speed), key=lambda name: -(speeds[name] or 0.0))
    floor = _floor(cells, arms, prompt)
    found = []
    for rival in ranked[1:]:
        ratios = pairs_of(cells, ranked[0], rival, [prompt]).ratios
        if not ratios:
            continue
        ratio = ratio_of(list(ratios.values()))
        verdict, why = verdict_of(ratio, floor)
        found.append(Leader(ranked[0], rival, ratio, verdict == "faster", why))
    complete = len(found) == len(ranked) - 1
    nearest = min(found, key=lambda one: (one.sure, one.ratio.low), default=None)
    if nearest and nearest.sure and not complete:
        return Leader(nearest.arm, nearest.rival, nearest.ratio, False, "no pair with another arm counts")
    return nearest


def _floor(cells: Sequence[Cell], arms: Sequence[Arm], prompt: str) -> float:
    """How far apart the two identical arms came on this cell; 0 if there is one alone."""
    again = next((arm.name for arm in arms if arm.role == "repeat"), None)
    ground = next((arm.name for arm in arms if arm.role == "baseline"), None)
    return floor_of(pairs_of(cells, again, ground, [prompt])) if again and ground else 0.0
