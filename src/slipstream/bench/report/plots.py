"""The report's pictures. Each stands beside a table that holds the same figures."""

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup

from slipstream.bench.report.figure import Figure
from slipstream.bench.report.finding import Finding
from slipstream.bench.report.measured import Curve, Quality, Trade
from slipstream.bench.report.svg import Axis, Point, Scale, Series, chart, linear, logarithmic

WIDTHS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


def ratio_scale(findings: Iterable[Finding]) -> Scale:
    """One axis for all speed-ups, logarithmic: twice as fast and half as fast are equally far from 1."""
    ends = [end for one in findings for end in (one.claim.low, one.claim.high, one.claim.value) if 0 < end < math.inf]
    return logarithmic([1.0, *ends])


def cost_chart(curves: Sequence[Curve]) -> Markup:
    """r[n] of every model over n, both logarithmic, with the line on which n tokens cost n plain passes."""
    widest = max(step.width for curve in curves for step in curve.steps)
    highest = max(step.ratio.value for curve in curves for step in curve.steps)
    lowest = min(step.ratio.value for curve in curves for step in curve.steps)
    series = [
        Series(
            curve.model,
            tuple(
                Point(
                    step.width, step.ratio.value,
                    f"{curve.model}: {step.width} tokens cost {step.ratio.text} plain passes",
                    attributes=cited(step.ratio),
                )
                for step in curve.steps
            ),
        )
        for curve in curves
    ]  # fmt: skip
    end = min(float(widest), highest)
    guide = (Point(1, 1, ""), Point(end, end, "", "no gain above this line"))
    return chart(
        series,
        Axis("tokens in one pass (n)", logarithmic([1, max(widest, 2)], WIDTHS)),
        Axis("r[n]: cost in plain passes", logarithmic([lowest, max(highest, 2)])),
        "Verify-cost curves: the cost of a pass over n tokens, in plain passes, by model",
        guide,
    )


def trade_chart(quality: Quality) -> Markup:
    """Speed across, quality up, in the order of speed within a model."""
    by_model: dict[str, list[Trade]] = {}
    for one in quality.trades:
        by_model.setdefault(one.model, []).append(one)
    # Each arm a model of its own (quantizations): one series, or every point would have another colour.
    if all(len(trades) == 1 for trades in by_model.values()):
        by_model = {"": list(quality.trades)}
    series = [Series(model, tuple(map(_trade_point, trades))) for model, trades in by_model.items()]
    better = "more is better" if quality.more_is_better else "less is better"
    return chart(
        series,
        Axis("tokens a second", linear([one.rate.value for one in quality.trades], zero=True)),
        Axis(f"{quality.name} ({better})", linear([one.quality.value for one in quality.trades])),
        f"Speed against {quality.name}",
    )


def _trade_point(one: Trade) -> Point:
    title = f"{one.arm}: speed {one.rate.text}, quality {one.quality.text}"
    return Point(one.rate.value, one.quality.value, title, one.label, cited(one.rate))


def cited(figure: Figure) -> dict[str, str]:
    """The attributes by which the validator finds a figure's source."""
    return {f"data-{figure.kind}": figure.id, "data-field": figure.field, "data-value": figure.exact}
