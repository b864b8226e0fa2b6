"""What cells say besides their speed: verify-cost curves, acceptance by source, quality beside speed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import Any

from slipstream.bench.cell import Arm, Cell, Run
from slipstream.bench.experts import undominated
from slipstream.bench.report.figure import Figure, of_run, share
from slipstream.bench.report.naming import method_of, model_of
from slipstream.bench.store_rows import Curve as StoredCurve
from slipstream.bench.verdict import ALL

QUALITIES: Mapping[str, tuple[str, bool]] = {
    "perplexity": ("perplexity", False),
    "divergence": ("KL divergence from the full model", False),
    "score": ("task score", True),
}
"""What cells call a quality: its name in words, and whether more is better."""


@dataclass(frozen=True, slots=True)
class Step:
    """A pass over `width` tokens: milliseconds, and its cost in plain passes (r[width])."""

    width: int
    milliseconds: Figure
    ratio: Figure


@dataclass(frozen=True, slots=True)
class Curve:
    """What a run measured of a model, at the shallowest depth."""

    run: str
    model: str
    depth: int
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Acceptance:
    """How many of a source's drafted tokens stood, over all cells of an arm of a run."""

    run: str
    model: str
    arm: str
    source: str
    share: Figure
    accepted: Figure
    drafted: Figure


@dataclass(frozen=True, slots=True)
class Trade:
    """An arm's speed (median tokens a second over its cells) and quality (mean). `best`: no other arm of the plot is
    both faster and better."""

    model: str
    arm: str
    label: str
    rate: Figure
    quality: Figure
    best: bool


@dataclass(frozen=True, slots=True)
class Quality:
    """Speed against one quality, over the arms of a run."""

    run: str
    name: str
    more_is_better: bool
    trades: tuple[Trade, ...]

    @property
    def title(self) -> str:
        """What the plot is about."""
        return f"{self.name[:1].upper()}{self.name[1:]} against speed"


def curves(run: Run, stored: Iterable[StoredCurve], cells: Iterable[Cell]) -> list[Curve]:
    """Of every model that the run measured: the curves stored with it, and what its cells say of verify passes."""
    return [curve for one in (*stored, *_passes(run, cells)) if (curve := _curve(run.id, one))]


def _passes(run: Run, cells: Iterable[Cell]) -> list[StoredCurve]:
    """A curve of the baseline arm's cells that hold a `ratio`: a pass over `tokens` beside a plain one of the same
    process (`bench baseline` measures them)."""
    ground = next((arm.name for arm in run.arms if arm.role == "baseline"), "")
    passes: dict[int, list[float]] = {}
    for cell in cells:
        ratio = cell.figures.get("ratio")
        if cell.arm == ground and cell.status == "ok" and isinstance(ratio, (int, float)) and ratio > 0:
            passes.setdefault(cell.tokens, []).append(1000 * cell.seconds)
            passes.setdefault(1, []).append(1000 * cell.seconds / ratio)
    table = {width: median(found) for width, found in passes.items()}
    return [StoredCurve(model_of(run, ground), {0: table})] if table else []


def _curve(run: str, stored: StoredCurve) -> Curve | None:
    depth = min((depth for depth, row in stored.table.items() if row.get(1)), default=None)
    if depth is None:
        return None
    row = stored.table[depth]
    place = f"curve/{stored.model}/{depth}"
    steps = [
        Step(
            width,
            of_run(run, f"{place}/{width}/ms", row[width], _milliseconds(row[width])),
            of_run(run, f"{place}/{width}/r", row[width] / row[1], f"{row[width] / row[1]:.2f}"),
        )
        for width in sorted(row)
    ]
    return Curve(run, stored.model, depth, tuple(steps))


def _milliseconds(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def acceptance(run: Run, cells: Iterable[Cell]) -> list[Acceptance]:
    """By arm and source, as far as anything was drafted. Cells say it in `figures` as
    {"sources": {NAME: {"drafted": n, "accepted": n}}}; those of another engine, which drafts one way at a time, say
    drafted and accepted alone."""
    counts: dict[tuple[str, str], list[int]] = {}
    peers = {arm.name: method.peer for arm in run.arms if (method := method_of(arm)).peer}
    for cell in cells:
        if cell.status == "ok":
            for source, one in _sources(cell, peers.get(cell.arm)):
                held = counts.setdefault((cell.arm, source), [0, 0])
                held[0] += int(one["accepted"])
                held[1] += int(one["drafted"])
    return [
        _acceptance(run, arm, source, accepted, drafted)
        for (arm, source), (accepted, drafted) in counts.items()
        if drafted
    ]


def _acceptance(run: Run, arm: str, source: str, accepted: int, drafted: int) -> Acceptance:
    place, part = f"acceptance/{arm}/{source}", accepted / drafted
    return Acceptance(
        run=run.id,
        model=model_of(run, arm),
        arm=arm,
        source=source,
        share=of_run(run.id, place, part, share(part)),
        accepted=of_run(run.id, f"{place}/accepted", accepted, f"{accepted:,}"),
        drafted=of_run(run.id, f"{place}/drafted", drafted, f"{drafted:,}"),
    )


def _sources(cell: Cell, peer: str | None) -> Iterable[tuple[str, Mapping[str, Any]]]:
    stored = {peer: cell.figures} if peer else cell.figures.get("sources")
    return [
        (name, one)
        for name, one in (stored.items() if isinstance(stored, Mapping) else ())
        if isinstance(one, Mapping) and {"accepted", "drafted"} <= one.keys()
    ]


def speeds(run: Run, cells: Iterable[Cell]) -> dict[tuple[str, str], Figure]:
    """Tokens a second by arm and task ("all": of every task), the median over usable cells."""
    found: dict[tuple[str, str], list[float]] = {}
    for cell in cells:
        if cell.status == "ok" and cell.rate > 0:
            for task in (cell.task, ALL):
                found.setdefault((cell.arm, task), []).append(cell.rate)
    middle = {place: median(rates) for place, rates in found.items()}
    return {
        (arm, task): of_run(run.id, f"speed/{arm}/{task}", rate, f"{rate:.1f}") for (arm, task), rate in middle.items()
    }


def quality(run: Run, cells: Sequence[Cell]) -> list[Quality]:
    """A plot for every quality that at least two arms have beside a speed."""
    measured = [arm for arm in run.arms if arm.role != "repeat"]
    found = []
    for key, (name, more) in QUALITIES.items():
        trades = [trade for arm in measured if (trade := _trade(run, arm, cells, key))]
        if len(trades) > 1:
            found.append(Quality(run.id, name, more, tuple(_marked(trades, more))))
    return found


def _trade(run: Run, arm: Arm, cells: Iterable[Cell], key: str) -> Trade | None:
    mine = [cell for cell in cells if cell.arm == arm.name and cell.status == "ok"]
    rates = [cell.rate for cell in mine if cell.rate > 0]
    values = [float(cell.figures[key]) for cell in mine if isinstance(cell.figures.get(key), (int, float))]
    if not rates or not values:
        return None
    rate, value = median(rates), fmean(values)
    experts = method_of(arm).experts
    label = str(experts) if experts is not None else str(arm.configuration.get("quantization") or arm.name)
    return Trade(
        model_of(run, arm.name), arm.name, label,
        of_run(run.id, f"rate/{arm.name}", rate, f"{rate:.1f}"),
        of_run(run.id, f"{key}/{arm.name}", value, f"{value:.4g}"),
        False,
    )  # fmt: skip


def _marked(trades: Sequence[Trade], more_is_better: bool) -> list[Trade]:
    """In the order of speed, with those marked that nothing beats in both."""
    sign = 1 if more_is_better else -1
    ordered = sorted(trades, key=lambda one: one.rate.value)
    best = undominated([(one.rate.value, sign * one.quality.value) for one in ordered])
    return [replace(one, best=good) for one, good in zip(ordered, best, strict=True)]
