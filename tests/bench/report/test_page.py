"""The page and the document: complete, self-contained, readable without looking, and the same figures in both."""

import re
from html.parser import HTMLParser
from pathlib import Path

from slipstream.bench.report.cited_html import read_html
from slipstream.bench.report.cited_markdown import read_markdown
from slipstream.bench.report.facts import Facts, gather
from slipstream.bench.report.html import page
from slipstream.bench.report.markdown import document, stored
from slipstream.bench.store import ResultStore
from tests.bench.report.made import NOW, claim, run

VOID = frozenset({"meta", "br", "img", "link"})


class Tree(HTMLParser):
    """Start tags with their attributes, and whether every element is closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_needs_nothing_else(html: str) -> None:
    tree = Tree(html)
    assert not {tag for tag, _ in tree.tags} & {"script", "link", "img", "iframe"}
    assert not re.search(r"https?://|@import|url\(", html)
    addresses = [given["href"] or "" for tag, given in tree.tags if tag == "a"]
    ids = [given["id"] for _, given in tree.tags if "id" in given]
    assert len(ids) == len(set(ids))
    assert {address.removeprefix("#") for address in addresses} <= {str(one) for one in ids}
    assert all(address.startswith("#") for address in addresses)


def test_pictures_are_told_or_hidden(html: str) -> None:
    pictures = [given for tag, given in Tree(html).tags if tag == "svg" and given.get("class") != "mark"]
    assert pictures and all(
        (one.get("role") == "img" and one.get("aria-label")) or one.get("aria-hidden") == "true" for one in pictures
    )
    assert "prefers-color-scheme: dark" in html and "@media print" in html and "width=device-width" in html


def test_both_files_have_the_same_figures(html: str, text: str) -> None:
    def keys(found: list[object]) -> set[tuple[str, ...]]:
        return {(one.kind, one.id, one.field, one.text) for one in found if not one.within}  # type: ignore[attr-defined]

    page_figures, document_figures = read_html(html, ())[0], read_markdown(text, ())[0]
    assert keys([*page_figures]) == keys([*document_figures])


def test_links_of_the_document_lead_somewhere(text: str) -> None:
    targets = set(re.findall(r'<a id="([^"]+)"></a>', text))
    assert targets and set(re.findall(r"\]\(#([^\s)]+)", text)) <= targets


def test_tables_of_the_document_are_tables(text: str) -> None:
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1, block


def test_doubts_stand_beside_their_figures(html: str, text: str) -> None:
    for made in (html, text):
        for words in ("too few pairs", "suspect run", "measured elsewhere", "held-out prompts", "nothing to copy",
                      "not tested here", "Not measured", "timer was wrong", "ended after 600 s"):  # fmt: skip
            assert words in made, words
        assert "28.00x" not in made and "1.71x" not in made  # what was retracted isn't repeated


def test_names_cannot_break_out(tmp_path: Path) -> None:
    nasty = "a<b>|`x`\n\"'&](#"
    with ResultStore.open(tmp_path / "s") as store:
        store.begin(run("r|`<1>", 1, kind="<i>"))
        store.claim(claim("r|`<1>", nasty, "edit", 2.0, 1.9, 2.1, baseline="p|q", reason=nasty))
        store.finish("r|`<1>", "complete")
        facts = gather(store, NOW)
    made = page(facts, "<h1>", "0.1")
    Tree(made)
    assert "<b>" not in made and "<i>" not in made and "&lt;h1&gt;" in made
    for block in re.findall(r"(?:^\|.*\n)+", document(facts, "T", "0.1"), re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1, block


def test_code_spans_hold_any_text() -> None:
    assert stored("a | b") == "`a \\| b`" and stored("`x`") == "`` `x` ``" and stored(" a\nb ") == "`a b`"
    assert stored("") == ""


def test_an_empty_section_says_what_to_do(tmp_path: Path) -> None:
    with ResultStore.open(tmp_path / "s") as store:
        facts: Facts = gather(store, NOW)
    for made in (page(facts, "T", "0.1"), document(facts, "T", "0.1")):
        assert "slipstream bench compare" in made and "slipstream experts" in made and "not tested here" in made
