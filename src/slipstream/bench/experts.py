"""What fewer experts bring and what they cost: speed, perplexity, divergence and length of answers by their number.

Requirement R20: the number comes from the header, is set at load, one load each, and quality stands beside speed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import isnan
from statistics import fmean, median
from typing import Any

from slipstream.bench.cell import Arm, Cell
from slipstream.bench.claim import Claim
from slipstream.models.experts import Experts, Limit, limit

KIND = "experts"
ALL = "all"


def arm_name(count: int) -> str:
    """What the arm with `count` experts is called."""
    return f"{count} expert{'' if count == 1 else 's'}"


def arms_of(experts: Experts, counts: Sequence[int], model: str) -> tuple[Arm, ...]:
    """The default number as the baseline, the same once more to learn the noise, then the others."""
    default = experts.default

    def configuration(count: int) -> dict[str, Any]:
        return {"model": model, "draft": "off", "experts": count, "kv_overrides": experts.override(count)}

    return (
        Arm(name=arm_name(default), role="baseline", configuration=configuration(default)),
        Arm(name=f"{arm_name(default)} again", role="repeat", configuration=configuration(default)),
        *(
            Arm(name=arm_name(count), role="candidate", configuration=configuration(count))
            for count in counts
            if count != default
        ),
    )


@dataclass(frozen=True, slots=True)
class DraftUse:
    """The model with fewer experts as a drafter of the whole one: the share of its tokens that would stand, its pass in
    plain passes of the whole model, and the speed-up predicted from both with its 90 % interval."""

    acceptance: float
    cost: float
    speed_up: float
    low: float
    high: float
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One number of experts. `rate`: median tokens a second; `claim`: the paired comparison with the default (None: it
    is the default, or has no pair), `speed_up` its value (1 for the default, None if no pair counts).
    `quality` has perplexity, divergence, agreement and score, as far as measured. `tokens` is the mean length of an
    answer, of which the share `finished` came to their own end; `garbage` is the share that nobody wants. `best`: no
    other number is both faster and closer to the whole model."""

    experts: int
    limit: Limit
    rate: float
    speed_up: float | None
    claim: Claim | None
    quality: Mapping[str, float]
    tokens: float
    finished: float
    garbage: float
    best: bool
    draft: DraftUse | None = None

    def to_json(self) -> dict[str, Any]:
        """For JSON, which has no word for what isn't known: null."""
        value = asdict(self)
        for name, figure in (value["claim"] or {}).items():
            if isinstance(figure, float) and isnan(figure):
                value["claim"][name] = None
        return value


def rows_of(
    experts: Experts, cells: Iterable[Cell], claims: Iterable[Claim], drafts: Mapping[int, DraftUse] | None = None
) -> list[Row]:
    """A row for every number that has a usable answer, the largest first."""
    by_count: dict[int, list[Cell]] = {}
    for cell in cells:
        count = cell.figures.get("experts")
        if isinstance(count, int) and cell.status != "failed":
            by_count.setdefault(count, []).append(cell)
    overall = {claim.arm: claim for claim in claims if claim.task == ALL}
    found = [
        _row(experts, count, by_count[count], overall.get(arm_name(count)), (drafts or {}).get(count))
        for count in sorted(by_count, reverse=True)
    ]
    compared = [(row.experts, (row.speed_up, -_loss(row))) for row in found if row.speed_up is not None]
    best = undominated([point for _, point in compared])
    marked = {count for (count, _), one in zip(compared, best, strict=True) if one}
    return [replace(row, best=row.experts in marked) for row in found]


def undominated(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Of points where more is better in both: whether no other is at least as good in both and better in one."""
    return [not any(other != one and other[0] >= one[0] and other[1] >= one[1] for other in points) for one in points]


def _row(experts: Experts, count: int, cells: Sequence[Cell], claim: Claim | None, draft: DraftUse | None) -> Row:
    names = ("perplexity", "divergence", "agreement", "score")
    quality = {
        name: fmean(values) for name in names if (values := [c.figures[name] for c in cells if name in c.figures])
    }
    good = [cell for cell in cells if cell.status == "ok"] or cells
    return Row(
        experts=count,
        limit=limit(experts, count),
        rate=median(cell.rate for cell in good),
        speed_up=1.0 if count == experts.default else None if claim is None or isnan(claim.value) else claim.value,
        claim=claim,
        quality=quality,
        tokens=fmean(cell.tokens for cell in cells),
        finished=fmean(cell.figures.get("finish") == "stop" for cell in cells),
        garbage=fmean(cell.status == "garbage" for cell in cells),
        best=False,
        draft=draft,
    )


def _loss(row: Row) -> float:
    """How far it is from the whole model, by the best figure there is."""
    return row.quality.get("perplexity", row.quality.get("divergence", 0.0))
