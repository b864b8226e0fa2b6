"""Inline SVG without a plotting library: positions in percent, sizes in pixels, colours from the page.

A picture made elsewhere has one size and one background. These follow the page: text stays readable on a phone, on
paper and in a dark theme, and there is nothing to install. So x is always a percentage of the plot's width, y a pixel,
and a line between two points is a line of its own (paths know no percentages).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

HEIGHT = 300
LEVEL = 19
"""Where in a table cell a strip or a bar lies: beside the row's first line."""
ROOM = 0.06
"""Share of the range that is left free at both ends."""
SHAPES = (
    "M0-5a5 5 0 1 0 .01 0z",  # circle
    "M-4.5-4.5h9v9h-9z",  # square
    "M0-6l5.6 10h-11.2z",  # triangle
    "M0-6l6 6-6 6-6-6z",  # diamond
    "M0 6l5.6-10h-11.2z",  # triangle, downwards
    "M-6-2h4v-4h4v4h4v4h-4v4h-4v-4h-4z",  # cross
)
"""Marks differ in shape as well as in colour."""
COLOURS = len(SHAPES)
MANTISSAS: Sequence[tuple[float, Sequence[float]]] = ((3000, (1,)), (30, (1, 2, 5)), (0, (1, 1.5, 2, 3, 4, 6, 8)))
"""Marks within a decade, by how much the ends of a logarithmic axis differ."""


def element(name: str, *children: object, **attributes: object) -> Markup:
    """One element; everything in it is escaped. `class_` is class, and `_` within a name is `-`."""
    pairs = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), value)
        for key, value in attributes.items()
        if value is not None
    )
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), pairs, Markup("").join(map(escape, children)))


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis from `low` to `high`, with the values at which it is marked."""

    low: float
    high: float
    marks: tuple[float, ...]
    log: bool = False

    def at(self, value: float) -> float:
        """Where a value lies: 0 at the low end, 1 at the high end; beyond them it stays there."""
        low, high, place = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, place = math.log(low), math.log(high), math.log(place)
        return (place - low) / (high - low)


def linear(values: Sequence[float], *, zero: bool = False) -> Scale:
    """A linear axis that holds all values; from 0, if asked for."""
    low, high = min(values), max(values)
    apart = high - low > abs(high) / 1000
    room = (high - low if apart else abs(high) or 1.0) * ROOM
    low, high = (0.0 if zero else low - room), high + room
    return Scale(low, high, _steps(low, high))


def logarithmic(values: Sequence[float], marks: Sequence[float] = ()) -> Scale:
    """A logarithmic axis that holds all values (above 0), marked at `marks` or at round numbers."""
    low, high = min(values), max(values)
    room = max((high / low) ** ROOM, 1.02)
    low, high = low / room, high * room
    if marks:
        return Scale(low, high, tuple(mark for mark in marks if low <= mark <= high), log=True)
    if high / low < 2.5:
        return Scale(low, high, _steps(low, high), log=True)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    mantissas = next(found for ratio, found in MANTISSAS if high / low > ratio)
    chosen = (mantissa * 10.0**decade for decade in decades for mantissa in mantissas)
    return Scale(low, high, tuple(mark for mark in chosen if low <= mark <= high), log=True)


def _steps(low: float, high: float) -> tuple[float, ...]:
    """Some five round numbers between two values."""
    rough = (high - low) / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * unit for factor in (1, 2, 2.5, 5, 10) if factor * unit >= rough)
    marks = (round(step * n, 10) for n in range(math.ceil(low / step), math.floor(high / step) + 1))
    return tuple(mark for mark in marks if low <= mark <= high)


def percent(share: float) -> str:
    """A share as an SVG length."""
    return f"{100 * share:.2f}%"


def strip(value: float, low: float, high: float, scale: Scale, reference: float = 1.0) -> Markup:
    """A dot and its interval, filling a table cell of any height; the row says the same in figures."""
    one = percent(scale.at(reference))
    ends = {"x1": percent(scale.at(low)), "x2": percent(scale.at(high))}
    return _cell(
        element("line", class_="one", x1=one, x2=one, y1=0, y2="100%"),
        element("line", class_="interval", y1=LEVEL, y2=LEVEL, **ends),
        element("circle", cx=percent(scale.at(value)), cy=LEVEL, r=4.5),
    )


def bar(share: float) -> Markup:
    """A share of 1 as a bar, filling a table cell; the row says the same in figures."""
    form: dict[str, object] = {"height": 10, "y": LEVEL - 5, "rx": 2}
    return _cell(
        element("rect", class_="track", width="100%", **form),
        element("rect", width=percent(min(max(share, 0.0), 1.0)), **form),
    )


def ruler(scale: Scale) -> Markup:
    """The marks under a column of strips."""
    return _cell(
        *(element("text", _number(mark), x=percent(scale.at(mark)), y=12, class_="tick") for mark in scale.marks)
    )


def _cell(*parts: Markup) -> Markup:
    return element("svg", *parts, class_="strip", width="100%", height="100%", aria_hidden="true")


@dataclass(frozen=True, slots=True)
class Point:
    """A mark at (x, y) with the words shown when it is pointed at, the words beside it, and what it cites."""

    x: float
    y: float
    title: str
    label: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Series:
    """Marks of one colour and shape, joined by lines or not."""

    name: str
    points: tuple[Point, ...]
    joined: bool = True


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale and what it shows."""

    name: str
    scale: Scale


def chart(
    series: Sequence[Series], across: Axis, up: Axis, label: str, guide: tuple[Point, Point] | None = None
) -> Markup:
    """A plot of several series with its legend. `guide` is a dashed line between two points; its words stand at the
    second one. `label` is what a screen reader says; the numbers themselves belong into a table beside."""

    def y(value: float) -> float:
        return round(HEIGHT * (1 - up.scale.at(value)), 2)

    def line(first: Point, last: Point, name: str) -> Markup:
        ends = {"x1": percent(across.scale.at(first.x)), "x2": percent(across.scale.at(last.x))}
        return element("line", class_=name, y1=y(first.y), y2=y(last.y), **ends)

    parts = []
    for mark in up.scale.marks:
        parts.append(element("line", class_="grid", x1=0, x2="100%", y1=y(mark), y2=y(mark)))
        parts.append(element("text", _number(mark), class_="tick left", x=-10, y=y(mark) + 4))
    for mark in across.scale.marks:
        parts.append(element("text", _number(mark), class_="tick", x=percent(across.scale.at(mark)), y=HEIGHT + 20))
    parts.append(element("line", class_="base", x1=0, x2="100%", y1=HEIGHT, y2=HEIGHT))
    parts.append(element("text", up.name, class_="axis", x=-44, y=-16))
    parts.append(element("text", across.name, class_="axis right", x="100%", y=HEIGHT + 42))
    if guide:
        parts.append(line(*guide, "guide"))
        x, height = percent(across.scale.at(guide[1].x)), y(guide[1].y)
        parts.append(element("text", guide[1].label, class_="tick left", x=x, y=height - 8))
    for index, one in enumerate(series):
        joints = zip(one.points, one.points[1:], strict=False) if one.joined else ()
        lines = [line(*ends, "line") for ends in joints]
        marks = [
            _mark(SHAPES[index % COLOURS], point, percent(across.scale.at(point.x)), y(point.y)) for point in one.points
        ]
        parts.append(element("g", *lines, *marks, class_=f"s{index % COLOURS}"))
    picture = element("svg", *parts, class_="chart", role="img", aria_label=label, width="100%", height=HEIGHT)
    return _legend(series) + element("div", picture, class_="area")


def _mark(shape: str, point: Point, x: str, y: float) -> Markup:
    words = [element("text", point.label, class_="label", y=-11)] if point.label else []
    return element(
        "svg",
        element("title", point.title),
        element("circle", class_="hit", r=11),  # small marks are hard to point at
        element("path", d=shape),
        *words,
        class_="mark", x=x, y=y, **point.attributes,
    )  # fmt: skip


def _legend(series: Sequence[Series]) -> Markup:
    if len(series) < 2:
        return Markup("")
    items = []
    for index, one in enumerate(series):
        shape = element("svg", element("path", d=SHAPES[index % COLOURS]), viewBox="-7 -7 14 14", aria_hidden="true")
        items.append(element("li", shape, element("span", one.name), class_=f"s{index % COLOURS}"))
    return element("ul", *items, class_="legend")


def _number(value: float) -> str:
    return f"{value:,.6g}"
