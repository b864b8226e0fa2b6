"""Scales, marks and escaping of the report's own pictures."""

import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.bench.report.svg import (
    COLOURS,
    SHAPES,
    Axis,
    Point,
    Series,
    bar,
    chart,
    element,
    linear,
    logarithmic,
    strip,
)

POSITIVE = st.floats(1e-3, 1e6)


@given(st.lists(POSITIVE, min_size=1, max_size=20), st.booleans())
def test_everything_lies_on_the_axis_and_in_order(values: list[float], log: bool) -> None:
    scale = logarithmic(values) if log else linear(values)
    places = [scale.at(value) for value in sorted(values)]
    assert all(0 <= place <= 1 for place in places) and places == sorted(places)
    assert all(0 <= scale.at(mark) <= 1 and scale.low <= mark <= scale.high for mark in scale.marks)
    assert len(scale.marks) <= 16 and list(scale.marks) == sorted(set(scale.marks))


@pytest.mark.parametrize("values", [[1.0], [0.97, 1.04], [0.5, 1, 9.6], [1, 64], [3, 3]])
def test_an_axis_is_marked_often_enough_to_be_read(values: list[float]) -> None:
    assert 2 <= len(logarithmic(values).marks) <= 10


def test_twice_and_half_are_equally_far_from_one() -> None:
    scale = logarithmic([0.5, 2.0])
    assert scale.at(1.0) - scale.at(0.5) == pytest.approx(scale.at(2.0) - scale.at(1.0))
    assert scale.at(1.0) == pytest.approx(0.5)


def test_what_is_beyond_the_axis_stays_at_its_end() -> None:
    assert linear([0.0, 1.0]).at(99.0) == 1.0 and linear([0.0, 1.0]).at(-99.0) == 0.0


def test_texts_are_escaped() -> None:
    made = element("text", "<script>", class_='"x"', aria_label="a & b")
    assert str(made) == '<text class="&#34;x&#34;" aria-label="a &amp; b">&lt;script&gt;</text>'


def test_a_picture_says_what_it_is_and_where_its_marks_come_from() -> None:
    points = (Point(1, 1, "first", attributes={"data-run": "r"}), Point(4, 2, "last <b>", "here"))
    axis = Axis("n", logarithmic([1, 4]))
    made = chart([Series("one", points), Series("two", points, joined=False)], axis, axis, "Two series", points)
    root = ElementTree.fromstring(f"<div>{made}</div>")
    picture = root.find("div/svg")
    assert picture is not None and picture.get("role") == "img" and picture.get("aria-label") == "Two series"
    assert [title.text for title in root.iter("title")] == ["first", "last <b>"] * 2
    assert len([one for one in root.iter("line") if one.get("class") == "line"]) == 1
    assert [one.get("class") for one in root.iter("li")] == ["s0", "s1"]
    assert [one.get("data-run") for one in root.iter("svg") if one.get("class") == "mark"] == ["r", None] * 2


def test_series_differ_in_shape_as_well_as_in_colour() -> None:
    assert len(set(SHAPES)) == COLOURS


def test_strips_show_where_the_figures_lie() -> None:
    scale = logarithmic([0.5, 2.0])
    root = ElementTree.fromstring(str(strip(1.0, 0.7, 1.4, scale)))
    one, interval = root.findall("line")
    circle = root.find("circle")
    assert circle is not None and circle.get("cx") == one.get("x1") == "50.00%"
    assert float(str(interval.get("x1")).rstrip("%")) < 50 < float(str(interval.get("x2")).rstrip("%"))
    _, filled = ElementTree.fromstring(str(bar(0.68))).findall("rect")
    assert filled.get("width") == "68.00%"
