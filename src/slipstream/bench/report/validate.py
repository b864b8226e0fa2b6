"""Looks every figure of a report up again, in a file of ours or one that was edited by hand (requirement R42).

What fails: a figure without a claim or run behind it, one that says something else than the store, one whose claim or
run was retracted, and a number that looks like a speed or a speed-up and cites nothing.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from slipstream.bench.report.cited import Cited, Loose
from slipstream.bench.report.cited_html import read_html
from slipstream.bench.report.cited_markdown import read_markdown
from slipstream.bench.report.evidence import Evidence

Format = Literal["html", "markdown"]

_NUMBER = r"(?<![\w.,])\d+(?:[.,]\d+)?"
LOOKS = re.compile(
    rf"{_NUMBER}\s?(?:[x\N{{MULTIPLICATION SIGN}}]|-?fold)(?!\w|\s?\d)"
    rf"|{_NUMBER}\s?times\s(?:as\s|faster|slower|quicker|the\s(?:speed|rate))"
    r"|(?<![A-Za-z.,])[+\-\N{MINUS SIGN}\N{EN DASH}]\d+(?:[.,]\d+)?\s?%"
    rf"|{_NUMBER}\s?(?:%|percent)\s(?:faster|slower|quicker|more tokens)"
    rf"|{_NUMBER}\s?(?:tok(?:en)?s?\s?/\s?s\b|t/s\b|tokens\s(?:a|per)\ssecond)"
    r"|\b(?:twice|double|triple|thrice|half)\s(?:as\s(?:fast|slow)|the\s(?:speed|rate))",
    re.IGNORECASE,
)
"""What a reader takes for a speed or a speed-up: 2.3x, 3 times, +48 %, 20 % faster, 58.7 tok/s, twice as fast."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at a line of the report."""

    line: int
    what: str


@dataclass(frozen=True, slots=True)
class Checked:
    """How many figures were looked up, and what is wrong, in the order of the file."""

    figures: int
    problems: tuple[Problem, ...]


def check(text: str, form: Format, store: Evidence) -> Checked:
    """Compare a report's text with the store."""
    cited, loose = (read_html if form == "html" else read_markdown)(text, store.texts)
    problems = [*_wrong(cited, store), *_uncited(loose)]
    return Checked(len(cited), tuple(sorted(problems, key=lambda problem: problem.line)))


def _wrong(cited: Iterable[Cited], store: Evidence) -> Iterator[Problem]:
    for one in cited:
        if what := _fault(one, store):
            yield Problem(one.line, what)


def _fault(one: Cited, store: Evidence) -> str:
    """What is wrong with a figure, "" if nothing is."""
    name = f"{one.kind} {one.id}"
    if (one.kind, one.id) in store.fallen:
        return f"{one.text!r} cites {name}, which was retracted"
    if (one.kind, one.id) not in store.known:
        return f"{one.text!r} cites {name}, which isn't in the store"
    figure = store.figures.get((one.kind, one.id, one.field))
    if figure is None:
        return f"{one.text!r} cites {one.field!r} of {name}, which has no such figure"
    if one.exact is not None and one.exact != figure.exact:
        return f"{one.text!r} carries the value {one.exact}, the store says {figure.exact} ({one.field} of {name})"
    same = figure.text in one.text if one.within else figure.text == one.text
    return "" if same else f"{one.text!r} is {figure.text!r} in the store ({one.field} of {name})"


def _uncited(loose: Iterable[Loose]) -> Iterator[Problem]:
    for one in loose:
        for found in LOOKS.finditer(one.text):
            yield Problem(one.line, f"{found[0].strip()!r} stands uncited: no claim or run is behind it")
