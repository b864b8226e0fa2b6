"""Figures and other text of a Markdown report. A figure is a link: [1.92x](#claim-ID "field"), by default its value."""

import re
from collections.abc import Collection
from typing import cast
from urllib.parse import unquote

from slipstream.bench.report.cited import CITED, Cited, Loose, spared
from slipstream.bench.report.figure import Kind

FIGURE = re.compile(r'\[([^\[\]]*)\]\(#(claim|run)-([^\s()"]+)(?:\s+"([^"]*)")?\)')
PLACE = re.compile(r'<a id="[^"]*"></a>')
"""Where a link leads to: nobody sees it."""
CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")
QUOTATION = re.compile(r"[“\"]([^“”\"]*)[”\"]")
EMPHASIS = re.compile(r"[*_]")


def read_markdown(text: str, stored: Collection[str]) -> tuple[list[Cited], list[Loose]]:
    """Line by line: neither a figure nor its citation goes over a line's end."""
    cited: list[Cited] = []
    loose: list[Loose] = []
    for number, line in enumerate(text.split("\n"), 1):

        def figure(found: re.Match[str], number: int = number) -> str:
            kind, name, field = cast(Kind, found[2]), unquote(found[3]), unquote(found[4] or "")
            if kind == "run" and not field:  # it leads to a run and shows no figure
                return found[1]
            cited.append(Cited(number, kind, name, field or "value", found[1]))
            return CITED

        def code(found: re.Match[str]) -> str:
            inner = found[2].strip().replace("\\|", "|")
            return CITED if spared(inner, quoted=False, stored=stored) else inner

        def quotation(found: re.Match[str]) -> str:
            return CITED if spared(found[1], quoted=True, stored=stored) else found[0]

        rest = QUOTATION.sub(quotation, CODE.sub(code, FIGURE.sub(figure, PLACE.sub("", line))))
        loose.append(Loose(number, EMPHASIS.sub("", rest)))
    return cited, loose
