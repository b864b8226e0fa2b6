"""Rows of a run with peers: what is equal ranks, what says something else is shown so."""

from collections.abc import Sequence

import pytest

from slipstream.bench.cell import Arm, Cell
from slipstream.bench.peers.arm import answered
from slipstream.bench.peers.table import COLUMNS, Parted, parted, rows, texts
from slipstream.bench.verdict import claims_of
from tests.bench.paired import cell

PLAIN = "slipstream plain"
NAMES = ("stack", "fast", "near", "liar", "babbler", "broken")
ARMS = (Arm(name=PLAIN, role="baseline"), Arm(name=f"{PLAIN}, again", role="repeat"), *(Arm(name=n) for n in NAMES))
END, MOST = 2, 8


def said(arm: str, prompt: str, repetition: int, rate: float, *tokens: int, **more: object) -> Cell:
    return cell(arm, prompt, repetition, rate, token_ids=tokens, **more)


def measured() -> list[Cell]:
    found = []
    for repetition in range(6):
        for prompt in ("edit1", "edit2"):
            found += [
                said(PLAIN, prompt, repetition, 10.0, 5, 6, 7, END),
                said(f"{PLAIN}, again", prompt, repetition, 10.0, 5, 6, 7, END),
                said("stack", prompt, repetition, 20.0, 5, 6, 7, END, figures={"drafted": 10, "accepted": 8}),
                said("fast", prompt, repetition, 40.0, 5, 9, 7),
                said("near", prompt, repetition, 15.0, 5, 6, 8, engine_rate=15.5),
                said("liar", prompt, repetition, 12.0, 5, 6, 7, status="tainted", engine_rate=336.0,
                     reason="the engine claims 336.0 tok/s"),
                said("babbler", prompt, repetition, 99.0, 4, 4, 4, status="garbage", reason="repeats itself"),
                Cell(arm="broken", prompt=prompt, task="edit", repetition=repetition, status="failed",
                     reason="it died"),
            ]  # fmt: skip
    return found


def cut(tokens: Sequence[int]) -> tuple[int, ...]:
    return answered(tokens, {END}, MOST)


def gap(prompt: str, shared: Sequence[int], ours: int | None, theirs: int | None) -> float:
    return {9: 4.0, 8: 0.2, 4: 9.0}[theirs or 0]


def test_where_answers_part() -> None:
    found = parted(measured(), PLAIN, cut, gap)
    assert {(one.arm, one.prompt, one.position, one.gap) for one in found if one.prompt == "edit1"} == {
        ("fast", "edit1", 1, 4.0), ("near", "edit1", 2, 0.2), ("babbler", "edit1", 0, 9.0),
    }  # fmt: skip


def test_an_answer_that_ends_earlier_parts_at_an_end_token() -> None:
    asked: list[tuple[Sequence[int], int | None, int | None]] = []

    def note(prompt: str, shared: Sequence[int], ours: int | None, theirs: int | None) -> float:
        asked.append((tuple(shared), ours, theirs))
        return 0.1

    cells = [said(PLAIN, "edit1", 0, 10.0, 5, 6, END), said("stack", "edit1", 0, 10.0, 5, 6, 7, 8)]
    assert parted(cells, PLAIN, cut, note) == [Parted("stack", "edit1", 2, 0.1)]
    assert parted(list(reversed(cells)), "stack", cut, note)[0].position == 2
    assert asked == [((5, 6), None, 7), ((5, 6), 7, None)]


def test_rows() -> None:
    cells = measured()
    claims = claims_of("run", ARMS, cells, ("edit1", "edit2"))
    found = rows(ARMS, cells, claims, parted(cells, PLAIN, cut, gap))
    assert [row["arm"] for row in found] == ["stack", "near", "liar", PLAIN, "fast", "babbler", "broken"]
    assert [row["output"] for row in found] == ["same", "near-ties", "same", "same", "other", "other", "none"]
    by_name = {row["arm"]: row for row in found}
    assert by_name["stack"]["ratio"] == pytest.approx([2.0, 2.0, 2.0]) and by_name["stack"]["verdict"] == "faster"
    assert by_name["stack"]["pairs"] == 12 and by_name["stack"]["tokens_per_second"] == pytest.approx(20.0)
    # A doubted engine keeps the rate of our clock, without a ratio; garbage has no speed at all.
    assert by_name["liar"]["tokens_per_second"] == pytest.approx(12.0) and by_name["liar"]["pairs"] == 0
    assert by_name["babbler"]["tokens_per_second"] is None
    written = {row["arm"]: dict(zip(COLUMNS, texts(row), strict=True)) for row in found}
    assert written["stack"]["to plain"] == "2.00x" and written["stack"]["95 % interval"] == "2.00 to 2.00"
    assert (written["stack"]["same output"], written["stack"]["drafts stood"]) == ("2 of 2", "96/120")
    assert written["near"]["same output"] == "0 of 2, near-ties of 0.20" and written["near"]["engine says"] == "15.5"
    assert written["fast"]["same output"] == "0 of 2, no: 4.00 apart"
    assert written["liar"]["engine says"] == "336.0 (doubted)" and written["liar"]["to plain"] == ""
    assert written["broken"]["same output"] == "failed: it died"
    assert written[PLAIN]["to plain"] == ""
