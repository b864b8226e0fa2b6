"""Figures and other text of an HTML report. A figure is <data value data-claim|data-run data-field>TEXT</data>; a mark
of a picture carries the same attributes with data-value, and its words in <title>."""

from collections.abc import Collection, Mapping
from html.parser import HTMLParser

from slipstream.bench.report.cited import CITED, Cited, Loose, spared

INLINE = frozenset({"a", "abbr", "b", "code", "data", "em", "i", "q", "small", "span", "strong", "sub", "sup"})
"""Elements within which a number may go on; any other one parts what is before it from what is in it."""
SILENT = frozenset({"style"})
SPOKEN = ("title", "alt", "aria-label", "content")
"""Attributes that a reader gets to see or hear."""


def read_html(text: str, stored: Collection[str]) -> tuple[list[Cited], list[Loose]]:
    """All of a page. What a script holds is text like any other: it could write it."""
    reader = _Reader(stored)
    reader.feed(text)
    reader.close()
    reader.part()
    if reader.whole:  # never closed
        reader.loose.append(Loose(reader.begun, "".join(reader.inner)))
    return reader.cited, reader.loose


class _Reader(HTMLParser):
    """`inner` collects the text of an element that is judged as a whole: a figure, a stored text, a quotation, the
    words of a mark."""

    def __init__(self, stored: Collection[str]) -> None:
        super().__init__(convert_charrefs=True)
        self.stored = stored
        self.cited: list[Cited] = []
        self.loose: list[Loose] = []
        self.words: list[str] = []
        self.line = 1
        self.silent = ""
        self.whole = ""
        self.begun = 1
        self.inner: list[str] = []
        self.attributes: Mapping[str, str] = {}
        self.mark: Mapping[str, str] = {}
        self.depth = 0

    def part(self) -> None:
        """What comes next belongs to another piece of text."""
        words = "".join(self.words)
        # The texts of a picture hold names that no <code> can mark.
        if words.strip() and not spared(words, quoted=False, stored=self.stored):
            self.loose.append(Loose(self.line, words))
        self.words = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        for name in SPOKEN:
            if name in given:
                self.loose.append(Loose(self.getpos()[0], given[name]))
        if tag not in INLINE:
            self.part()
        if tag in SILENT:
            self.silent = tag
        elif tag == "svg" and "data-value" in given:
            self.mark, self.depth = given, 1
        elif tag == "svg" and self.mark:
            self.depth += 1
        if self.whole:
            return
        if tag in ("data", "code", "q") or (tag == "title" and self.mark):
            self.whole, self.inner, self.attributes = tag, [], given
            self.begun = self.getpos()[0]

    def handle_endtag(self, tag: str) -> None:
        if tag == self.silent:
            self.silent = ""
        if tag == self.whole:
            self._judge("".join(self.inner))
            self.whole = ""
        if tag == "svg" and self.mark:
            self.depth -= 1
            if not self.depth:
                self.mark = {}
        if tag not in INLINE:
            self.part()

    def handle_data(self, data: str) -> None:
        if self.silent:
            return
        if self.whole:
            self.inner.append(data)
            return
        self._say(data, self.getpos()[0])

    def _say(self, text: str, line: int) -> None:
        if not self.words:
            if not text.strip():
                return
            self.line = line
        self.words.append(text)

    def _judge(self, text: str) -> None:
        line = self.begun
        if self.whole == "title":
            self._cite(line, self.mark, text, self.mark.get("data-value"), within=True)
        elif self.whole == "data":
            self._cite(line, self.attributes, text, self.attributes.get("value"), within=False)
        elif spared(text, quoted=self.whole == "q", stored=self.stored):
            self._say(CITED, line)
        else:
            self._say(text, line)

    def _cite(self, line: int, given: Mapping[str, str], text: str, exact: str | None, *, within: bool) -> None:
        field = given.get("data-field", "value")
        if "data-claim" in given:
            self.cited.append(Cited(line, "claim", given["data-claim"], field, text, exact, within))
        elif "data-run" in given:
            self.cited.append(Cited(line, "run", given["data-run"], field, text, exact, within))
        else:
            self.loose.append(Loose(line, text))
            return
        if not within:
            self._say(CITED, line)
