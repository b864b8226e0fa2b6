"""The report as one HTML page that needs nothing else: no script, no font, no address."""

import math
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from slipstream.bench.report import plots, svg
from slipstream.bench.report.empty import EMPTY
from slipstream.bench.report.facts import Facts
from slipstream.bench.report.figure import UNKNOWN, Figure, anchor
from slipstream.bench.report.hosts import label
from slipstream.bench.report.summary import Part, Sentence, Stored, moment, sentences


def page(facts: Facts, title: str, version: str) -> str:
    """The whole page; `version` is that of Slipstream."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"say": _say, "figure": figure, "stored": stored, "label": label}
    environment.globals |= {
        "anchor": anchor, "moment": moment, "version": version, "infinity": math.inf, "hints": EMPTY,
        "unknown": UNKNOWN,
        "strip": svg.strip, "bar": svg.bar, "ruler": svg.ruler, "scale": plots.ratio_scale,
        "cost_chart": plots.cost_chart, "trade_chart": plots.trade_chart, "style": Markup(_read("style.css")),
    }  # fmt: skip
    widths = sorted({step.width for curve in facts.curves for step in curve.steps})
    template = environment.from_string(_read("template.html.jinja2"))
    return template.render(facts=facts, title=title, sentences=sentences(facts), widths=widths)


def figure(one: Figure, link: bool = False) -> Markup:
    """The one way in which a figure gets onto the page; a link leads to its claim or run."""
    data = svg.element("data", one.text, value=one.exact, **{f"data-{one.kind}": one.id, "data-field": one.field})
    return svg.element("a", data, href=f"#{one.anchor}") if link else data


def stored(text: str) -> Markup:
    """A text exactly as it is stored."""
    return svg.element("code", text)


def _say(sentence: Sentence) -> Markup:
    return Markup("").join(map(_part, sentence))


def _part(part: Part) -> Any:
    if isinstance(part, Figure):
        return figure(part, link=True)
    return stored(part.text) if isinstance(part, Stored) else part


def _read(name: str) -> str:
    return resources.files("slipstream.bench.report").joinpath(name).read_text(encoding="utf-8")
