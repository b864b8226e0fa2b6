"""The canary's band, with generations of made-up speeds; and once on the fake session."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest

from slipstream.bench.canary import ARM, BAND, TOKENS, Canary, Generated, plainly
from slipstream.bench.cell import Cell
from slipstream.engine.fake import FakeTarget
from slipstream.host import load as host
from tests.bench.made import fake_session

ANSWER = tuple(range(48))


def singing(rates: list[float], answer: tuple[int, ...] = ANSWER) -> Canary:
    """Generations of these speeds, in order."""
    order: Iterator[float] = iter(rates)
    return Canary(lambda: Generated(answer, len(answer) / next(order)), clock=lambda: 7.0)


def cell(rate: float) -> Cell:
    return singing([1.0, rate, rate, rate]).before()


def test_a_cell_is_the_median_after_one_to_warm_up() -> None:
    canary = singing([1.0, 90.0, 50.0, 100.0, 1.0, 80.0, 80.0, 80.0])
    before, after = canary.before(), canary.after()
    assert before.rate == pytest.approx(90)
    assert (before.arm, before.tokens, before.started, before.repetition, after.repetition) == (ARM, 48, 7.0, 0, 1)
    assert sorted(before.figures["rates"]) == pytest.approx([50, 90, 100])
    assert after.rate == pytest.approx(80)


@pytest.mark.parametrize(
    ("before", "after", "history", "doubted"),
    [
        (100, 95, (), False),
        (100, 88, (), True),
        (100, 112, (), True),  # faster is a change as well
        (48, 29, (), True),
        (100, 88, (90, 91, 92), False),  # usually 91: both lie within 10 % of it
        (60, 60, (100, 101, 99), True),  # slow from the beginning: only history tells
        (80, 80, (100, 80, 120, 90, 110), False),  # three deviations of 10 are normal here
        (60, 60, (100, 80, 120, 90, 110), True),
        (100, 100, (50, 50), False),  # two canaries are no history
    ],
)
def test_the_band(before: float, after: float, history: tuple[float, ...], doubted: bool) -> None:
    doubt = singing([]).doubt(cell(before), cell(after), history)
    assert bool(doubt) is doubted, doubt


def test_the_reason_names_the_numbers() -> None:
    doubt = singing([]).doubt(cell(100), cell(60))
    assert "60.0 tokens a second after the run and 100.0 before the run (-40 %, 10 % is normal)" in doubt


def test_another_answer_is_worse_than_another_speed() -> None:
    other = singing([1.0] * 4, tuple(range(1, 49))).after()
    assert "another answer" in singing([]).doubt(cell(1), other)


def test_an_answer_that_changes_at_once_and_a_failure_are_doubts() -> None:
    lengths = iter([4, 4, 5, 4])
    wavering = Canary(lambda: Generated(tuple(range(next(lengths))), 1.0), clock=lambda: 0.0).before()
    assert wavering.status == "failed"
    assert "changes" in singing([]).doubt(wavering, cell(1))
    assert "failed" in singing([]).doubt(cell(1), replace(cell(1), status="failed", reason="no model"))


@dataclass
class Busy:
    """Other processes that take these shares of the processors, visit by visit."""

    shares: list[float]

    def begin(self) -> None:
        pass

    def end(self) -> host.Busy:
        return host.Busy(self.shares.pop(0), 0.0, 1.0, 1.5)


@pytest.mark.parametrize(("shares", "left"), [([0.0], 0.0), ([0.5, 0.02], 0.02), ([0.5, 0.4, 0.3], 0.3)])
def test_a_disturbed_visit_is_made_again_and_then_left_at_that(shares: list[float], left: float) -> None:
    canary = Canary(lambda: Generated(ANSWER, 1.0), clock=lambda: 7.0, model="m", load=Busy(shares))
    found = canary.before()
    assert (found.figures["others_cpu"], found.figures["elapsed_seconds"], found.figures["model"]) == (left, 1.5, "m")
    assert shares == [] and found.status == ("tainted" if left > 0.2 else "ok")
    assert ("other processes took 30 %" in found.reason) is (left > 0.2)


def test_how_much_load_is_too_much_can_be_chosen() -> None:
    canary = Canary(lambda: Generated(ANSWER, 1.0), clock=lambda: 7.0, load=Busy([0.3]), others=0.4)
    assert canary.before().status == "ok"


def test_a_disturbed_canary_is_a_doubt_of_its_own() -> None:
    disturbed = replace(cell(1), status="tainted", reason="other processes took 30 % of the CPU time")
    assert "disturbed: other processes took 30 %" in singing([]).doubt(cell(1), disturbed)


def test_on_a_session_it_is_plain_and_of_fixed_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slipstream.bench.canary.PROMPT", "abcabcabc")
    session = fake_session(tmp_path)
    canary = Canary(plainly(session), session.loop.clock)
    before, after = canary.before(), canary.after()
    assert before.tokens == TOKENS and before.status == "ok"
    assert before.rate == pytest.approx(1000 / 98)
    assert canary.doubt(before, after) == ""
    assert set(cast(FakeTarget, session.target).passes[-TOKENS:]) == {1}
    assert BAND == 0.1
