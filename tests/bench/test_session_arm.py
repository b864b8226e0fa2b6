"""Arms on an opened (fake) model: what is timed, what is forgotten between cells, and who may draft."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from slipstream.bench.doubts import doubts
from slipstream.bench.schedule import Block
from slipstream.bench.session_arm import Generation, SessionArm, Stage
from slipstream.bench.workload import Prompt
from slipstream.core.errors import ContextOverflow, RequestError, UnknownName
from slipstream.core.request import Sampling
from tests.bench.made import fake_session

LOOPS = Prompt("p1", "edit", "abcabcabc")
OTHER = Prompt("p2", "chat", "hgfehgfe")


def stage_of(folder: Path, **options: Any) -> Stage:
    session = fake_session(folder, **options)
    return Stage(session, clock=session.loop.clock, now=session.loop.clock)


def test_a_cell_is_timed_by_our_clock_and_the_loops_figure_stands_beside_it(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    arm = SessionArm("plain", stage, Generation(draft="off", max_tokens=12))
    arm.start(Block(0, "plain", 0, ("p1",)))
    cell = arm.measure(LOOPS, 3)
    arm.stop()
    assert (cell.arm, cell.prompt, cell.task, cell.repetition, cell.status) == ("plain", "p1", "edit", 3, "ok")
    assert cell.tokens == len(cell.token_ids) == 12
    assert cell.seconds == pytest.approx(12 * 0.098) and cell.rate == pytest.approx(cell.engine_rate)
    assert cell.prefill_seconds > 0 and cell.prefill_tokens == 9
    assert cell.figures["finish"] == "length" and cell.figures["max_tokens"] == 12
    assert cell.figures["tokens_per_round"] == 1 and cell.figures["drafted"] == 0
    assert cell.figures["elapsed_seconds"] == pytest.approx(cell.seconds + cell.prefill_seconds)
    assert not cell.warm and doubts(cell) == []


def test_time_that_the_loop_does_not_see_is_ours_and_raises_a_doubt(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    clock = stage.session.loop.clock

    def dawdle(record: Any, learn: float, total: float) -> None:
        clock.now += 0.1 * total / 1000

    stage.session.loop.trace = dawdle
    cell = SessionArm("plain", stage, Generation(draft="off", max_tokens=12)).measure(LOOPS, 0)
    assert cell.seconds == pytest.approx(1.1 * 12 * 0.098)
    assert any("the engine claims" in reason for reason in doubts(cell))


@pytest.mark.parametrize("step", [0.0, 3600.0, -3600.0])
def test_a_clock_that_is_set_during_a_cell_raises_a_doubt(tmp_path: Path, step: float) -> None:
    session = fake_session(tmp_path)
    steps = iter((0.0, step))
    stage = Stage(session, clock=session.loop.clock, now=lambda: session.loop.clock() + next(steps))
    cell = SessionArm("plain", stage, Generation(draft="off", max_tokens=12)).measure(LOOPS, 0)
    assert cell.seconds == pytest.approx(12 * 0.098), "it was timed by a clock that nobody sets"
    assert [reason[:14] for reason in doubts(cell)] == (["the wall clock"] if step else [])


def test_every_cell_starts_cold_unless_it_says_that_it_is_warm(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    cold = SessionArm("cold", stage, Generation(max_tokens=8))
    assert [cold.measure(LOOPS, n).prefill_tokens for n in (0, 0)] == [9, 9]
    warm = SessionArm("warm", stage, Generation(max_tokens=8, warm=True))
    first, second = warm.measure(LOOPS, 0), warm.measure(LOOPS, 0)
    assert second.prefill_tokens < 9 and second.warm
    assert [one.figures["uncooled"] for one in (first, second)] == [True, True]
    assert not cold.measure(LOOPS, 0).figures["uncooled"]
    assert not warm.measure(OTHER, 0).figures["uncooled"]


def test_answers_are_the_same_whoever_drafts(tmp_path: Path) -> None:
    stage = stage_of(tmp_path, draft_model=True)
    ways = (
        Generation(draft="off", max_tokens=40),
        Generation(draft="auto", max_tokens=40),
        Generation(draft=("prompt_lookup",), draft_length=8, max_tokens=40),
        Generation(draft=("draft_model",), max_tokens=40, control=True),
    )
    cells = [SessionArm(str(number), stage, way).measure(LOOPS, 0) for number, way in enumerate(ways)]
    assert len({one.token_ids for one in cells}) == 1


def test_a_fixed_length_replaces_the_policy_for_its_own_cells_alone(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    policy = stage.session.loop.policy
    lookup = SessionArm("lookup", stage, Generation(draft=("prompt_lookup",), draft_length=3, max_tokens=40))
    cell = lookup.measure(LOOPS, 0)
    assert stage.session.loop.policy is policy
    assert set(cell.figures["sources"]) == {"prompt_lookup"}
    assert cell.figures["drafted"] > 0
    every = SessionArm("auto", stage, Generation(draft="auto", draft_length=3))
    assert every.policy is not None and every.policy.order == stage.session.loop.automatic


def test_a_control_drafts_with_models_alone_or_not_at_all(tmp_path: Path) -> None:
    stage = stage_of(tmp_path, draft_model=True)
    paid = SessionArm("control", stage, Generation(control=True, max_tokens=40))
    assert paid.draft == ("draft_model",)
    assert set(paid.measure(LOOPS, 0).figures["sources"]) <= {"draft_model"}
    free = SessionArm("control", stage, Generation(draft=("suffix",), control=True, draft_length=8, max_tokens=40))
    assert free.draft == ("reference",)
    cell = free.measure(LOOPS, 0)
    assert cell.figures["drafted"] == 0 and cell.tokens == 40


def test_arms_teach_themselves_alone_and_each_repetition_starts_anew(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    one, two = (SessionArm(name, stage, Generation(max_tokens=40)) for name in ("one", "two"))
    one.measure(LOOPS, 0)
    workloads = stage.session.keep.calibration.workloads
    assert set(workloads) == {"one: edit"}
    two.measure(LOOPS, 0)
    assert set(workloads) == {"one: edit", "two: edit"}
    one.measure(OTHER, 1)
    assert set(workloads) == {"one: chat"}


def test_sampling_is_the_arms_own(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)

    def answer(seed: int) -> tuple[int, ...]:
        sampling = Sampling(temperature=2.0, seed=seed)
        return SessionArm("x", stage, Generation(max_tokens=30, sampling=sampling)).measure(LOOPS, 0).token_ids

    assert answer(1) == answer(1) != answer(2)


@dataclass
class Busy:
    """Says what others did."""

    begun: int = 0

    def begin(self) -> None:
        self.begun += 1

    def end(self) -> Any:
        return SimpleNamespace(figures={"others_cpu": 0.5})


def test_the_load_of_others_is_kept_with_the_cell(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    stage.load = busy = Busy()
    cell = SessionArm("plain", stage, Generation(max_tokens=4)).measure(LOOPS, 0)
    assert busy.begun == 1 and cell.figures["others_cpu"] == 0.5


def test_what_can_not_be_measured_is_refused(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    with pytest.raises(UnknownName, match="drafter of this model 'draft_model'"):
        SessionArm("x", stage, Generation(draft=("draft_model",)))
    with pytest.raises(RequestError, match="draft_length 8 without a drafter"):
        Generation(draft="off", draft_length=8)
    with pytest.raises(RequestError, match="max_tokens is 0"):
        Generation(max_tokens=0)
    with pytest.raises(RequestError, match="draft_length is -1"):
        Generation(draft_length=-1)


def test_a_policy_that_is_swapped_in_is_swapped_out_when_a_cell_fails(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    policy = stage.session.loop.policy
    arm = SessionArm("lookup", stage, Generation(draft=("prompt_lookup",), draft_length=3))
    with pytest.raises(ContextOverflow):
        arm.measure(Prompt("long", "edit", "a" * 600), 0)
    assert stage.session.loop.policy is policy
