"""Reports of ours pass; any figure that was changed, invented, or whose run fell, is found with its line."""

import re
from pathlib import Path

import pytest

from slipstream.bench.report.evidence import Evidence, evidence
from slipstream.bench.report.facts import gather
from slipstream.bench.report.html import page
from slipstream.bench.report.markdown import document
from slipstream.bench.report.validate import LOOKS, Format, check
from slipstream.bench.store import ResultStore
from tests.bench.report.made import NOW, arm, claim, filled, run

CLAIM = "20260901-101500-aaaa/stack/edit"
LINK = "#claim-20260901-101500-aaaa%2Fstack%2Fedit"


def problems(text: str, form: Format, known: Evidence) -> list[str]:
    return [problem.what for problem in check(text, form, known).problems]


def test_our_own_reports_pass(html: str, text: str, known: Evidence) -> None:
    for made, form, least in ((html, "html", 150), (text, "markdown", 150)):
        checked = check(made, form, known)  # type: ignore[arg-type]
        assert checked.problems == () and checked.figures >= least


def test_every_figure_of_the_page_is_checked(html: str, known: Evidence) -> None:
    """Change them one at a time: none may go unnoticed."""
    places = list(re.finditer(r'<data value="[^"]+"[^>]*>([^<]+)</data>', html))
    for place in places[:: max(1, len(places) // 25)]:
        broken = f"{html[: place.start(1)]}7.77x{html[place.end(1) :]}"
        assert any("'7.77x' is" in what for what in problems(broken, "html", known)), place[0]


def test_every_figure_of_the_document_is_checked(text: str, known: Evidence) -> None:
    places = list(re.finditer(r"\[([^\[\]`]+)\]\(#(?:claim|run)-[^)]+\)", text))
    for place in places[:: max(1, len(places) // 25)]:
        broken = f"{text[: place.start(1)]}7.77x{text[place.end(1) :]}"
        assert any("'7.77x' is" in what for what in problems(broken, "markdown", known)), place[0]


def test_an_exact_value_that_was_changed_is_found(html: str, known: Evidence) -> None:
    broken = html.replace('<data value="2.41"', '<data value="2.71"')
    assert any("carries the value 2.71, the store says 2.41" in what for what in problems(broken, "html", known))


def test_a_mark_of_a_picture_that_was_changed_is_found(html: str, known: Evidence) -> None:
    assert 'data-value="1.24' in html
    broken = re.sub(r'data-value="1\.24[0-9]*"', 'data-value="0.5"', html)
    assert any("carries the value 0.5" in what for what in problems(broken, "html", known))


@pytest.mark.parametrize(
    "line, says",
    [
        (f"[2.41x]({LINK})", ""),
        (f'[2.86]({LINK} "high")', ""),
        (f'[2.87]({LINK} "high")', "'2.87' is '2.86' in the store"),
        (f'[2.41x]({LINK} "median")', "has no such figure"),
        ("[2.41x](#claim-nobody)", "isn't in the store"),
        ("[28.00x](#claim-20260820-080000-9999%2Fstack%2Fedit)", "was retracted"),
        ("[1.71x](#claim-20260901-101500-aaaa%2Fsuffix%2Fagent)", "was retracted"),
        ('[11](#run-20260820-080000-9999 "curve/Withdrawn.Q4_0/0/2/ms")', "was retracted"),
        ('[122](#run-20260901-101500-aaaa "curve/Coder-1.5B.BF16/0/2/ms")', ""),
        ("[the run](#run-20260901-101500-aaaa)", ""),
        ("[2.3x](#run-20260901-101500-aaaa)", "'2.3x' stands uncited"),
        ("It is 2.3x as fast.", "'2.3x' stands uncited"),
        ("It is 2.3**x** as fast.", "'2.3x' stands uncited"),
        ('The promise was "5.9x".', ""),
        ("The promise was “+50-100 %”.", ""),
        ("The promise was 5.9x.", "'5.9x' stands uncited"),
        ('We say "6.1x".', "'6.1x' stands uncited"),
        ("`the engine claims 280.0 tok/s, our clock says 10.0`", ""),
        ("`the engine claims 290.0 tok/s, our clock says 10.0`", "'290.0 tok/s' stands uncited"),
    ],
)
def test_lines_of_markdown(known: Evidence, line: str, says: str) -> None:
    found = check(f"# Title\n\n{line}\n", "markdown", known).problems
    assert [problem.line for problem in found] == ([3] if says else [])
    assert not says or says in found[0].what


@pytest.mark.parametrize(
    "body, says",
    [
        (f'<data value="2.41" data-claim="{CLAIM}">2.41x</data>', ""),
        (f'<data value="2.41" data-claim="{CLAIM}">2.4<b>2x</b></data>', "'2.42x' is '2.41x'"),
        ('<data value="2.41">2.41x</data>', "'2.41x' stands uncited"),
        ("<p>2.3<b>x</b> faster</p>", "'2.3x' stands uncited"),
        ("<p>2.3</p><p>x</p>", ""),
        ("<q>5.9x</q>", ""),
        ("<q>6.9x</q>", "'6.9x' stands uncited"),
        ("<code>the engine claims 280.0 tok/s, our clock says 10.0</code>", ""),
        ("<text>Mixture-8x</text>", ""),
        ("<text>Mixture-9x</text>", "'9x' stands uncited"),
        ("<code>2.3x</code>", "'2.3x' stands uncited"),
        ("<code>2.3x", "'2.3x' stands uncited"),
        ('<img alt="2.3x as fast" src="data:,">', "'2.3x' stands uncited"),
        ("<script>document.write('2.3x')</script>", "'2.3x' stands uncited"),
        ("<style>a { width: 2x }</style><!-- 2x -->", ""),
    ],
)
def test_pieces_of_html(known: Evidence, body: str, says: str) -> None:
    found = check(f"<!doctype html>\n<title>T</title>\n{body}\n", "html", known).problems
    assert [problem.line for problem in found] == ([3] if says else [])
    assert not says or says in found[0].what


@pytest.mark.parametrize(
    "text",
    ["2.3x", "2,3 x", "12\N{MULTIPLICATION SIGN}", "8-15x", "3-fold", "5 times faster", "5 times as fast",
     "+48 %", "+48%", "21-48 %",
     "\N{MINUS SIGN}3.5 %", "20 % faster", "20 percent slower", "58.7 tok/s", "58 tokens a second", "twice as fast"],
)  # fmt: skip
def test_what_looks_like_a_speed_up(text: str) -> None:
    assert LOOKS.search(f"so {text}, they say")


@pytest.mark.parametrize(
    "text",
    ["95 % interval", "ran 3 times", "2026-11-24", "avx512_vnni", "0x1f", "512 x 512", "Q4_K_M", "3 d", "r[8]",
     "tokens a second", "a share of 48 %", "20260901-101500-aaaa"],
)  # fmt: skip
def test_what_does_not(text: str) -> None:
    assert not LOOKS.search(f"so {text}, they say")


def test_a_report_holds_until_a_claim_falls(tmp_path: Path) -> None:
    with filled(tmp_path / "s") as store:
        facts = gather(store, NOW)
        made: list[tuple[str, Format]] = [(page(facts, "T", "0.1"), "html"), (document(facts, "T", "0.1"), "markdown")]
        store.begin(run("20260920-101500-bbbb", 1))  # a newer run changes nothing of what is written
        store.finish("20260920-101500-bbbb", "complete")
        assert [problems(text, form, evidence(store)) for text, form in made] == [[], []]
        store.retract(CLAIM, "the prompt was warm")
        for text, form in made:
            found = problems(text, form, evidence(store))
            assert found and all("was retracted" in what for what in found)


def test_an_id_that_ends_in_digits_is_no_percentage(tmp_path: Path) -> None:
    with ResultStore.open(tmp_path / "s") as store:
        store.begin(run("20260920-101500-0002", 1, arms=(arm("plain", "off", role="baseline"), arm("stack", "auto"))))
        store.claim(claim("20260920-101500-0002", "stack", "edit", 2.0, 1.9, 2.1))
        store.finish("20260920-101500-0002", "complete")
        facts, known = gather(store, NOW), evidence(store)
    assert problems(page(facts, "T", "0.1"), "html", known) == []
    assert problems(document(facts, "T", "0.1"), "markdown", known) == []
