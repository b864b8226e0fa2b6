"""Arms of a published benchmark on an opened (fake) model: every round's times, and an oracle."""

from pathlib import Path

import pytest

from slipstream.bench.cell import Arm, Cell
from slipstream.bench.session_arm import Generation, Stage
from slipstream.bench.traced_arm import OracleArm, RoundTimes, TracedArm, on_stage, rounds_of
from slipstream.bench.workload import Prompt
from slipstream.core.errors import ContextOverflow, RequestError
from tests.bench.made import DRAFT_MS, fake_session

LOOPS = Prompt("p1", "edit", "abcabcab")


def stage_of(folder: Path, *, draft_model: bool = False) -> Stage:
    session = fake_session(folder, draft_model=draft_model)
    return Stage(session, clock=session.loop.clock, now=session.loop.clock)


def test_the_times_of_all_rounds_are_kept_with_the_cell(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    cell = TracedArm("stack", stage, Generation(max_tokens=24)).measure(LOOPS, 0)
    rounds = rounds_of(cell)
    assert len(rounds) == cell.figures["rounds"] < 24
    assert sum(times.total for times in rounds) == pytest.approx(1000 * cell.seconds, abs=0.01)
    assert {times.width for times in rounds} > {1}
    assert stage.session.loop.trace is None
    assert RoundTimes(3, 0.1, 0.2, 0.3, 9.0, 10.0).deciding == pytest.approx(0.6)
    assert rounds_of(Cell(arm="a", prompt="p", task="t", repetition=0)) == []


def test_passes_of_a_draft_model_are_passes(tmp_path: Path) -> None:
    stage = stage_of(tmp_path, draft_model=True)
    cell = TracedArm("stack", stage, Generation(draft=("draft_model",), max_tokens=24)).measure(LOOPS, 0)
    assert cell.figures["paid_ms"] >= DRAFT_MS
    found = sum(times.passes for times in rounds_of(cell))
    assert found == pytest.approx(cell.figures["target_ms"] + cell.figures["paid_ms"], abs=0.01)
    assert sum(times.draft for times in rounds_of(cell)) == pytest.approx(0, abs=0.01)


def test_a_failure_leaves_no_trace(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    with pytest.raises(ContextOverflow):
        TracedArm("stack", stage, Generation()).measure(Prompt("long", "edit", "a" * 600), 0)
    assert stage.session.loop.trace is None


def test_the_oracle_drafts_the_plain_answer(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    plain = TracedArm("plain", stage, Generation(draft="off", max_tokens=40)).measure(LOOPS, 0)
    known = {LOOPS.id: plain.token_ids}
    oracle = OracleArm(
        "oracle", stage, Generation(draft=("reference",), max_tokens=40), lambda name: known.get(name, ())
    )
    cell = oracle.measure(LOOPS, 0)
    assert cell.token_ids == plain.token_ids
    assert cell.figures["accepted"] == cell.figures["drafted"] > 20
    assert cell.rate > 1.2 * plain.rate
    with pytest.raises(RequestError, match="no plain answer to p2"):
        oracle.measure(Prompt("p2", "edit", "hgfe"), 0)


def test_arms_are_made_by_their_settings(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)

    def arm(name: str, role: str, **settings: object) -> Arm:
        return Arm(name=name, role=role, configuration={"settings": {"max_tokens": 8, **settings}})  # type: ignore[arg-type]

    made = on_stage(
        [
            arm("plain", "baseline", draft="off"),
            arm("plain, again", "repeat", draft="off"),
            arm("lookup", "candidate", draft=["prompt_lookup"], draft_length=3),
            arm("oracle", "bound", draft=["reference"]),
        ],
        stage,
        lambda prompt: (1, 2),
    )
    assert list(made) == ["plain", "lookup", "oracle"]
    assert made["lookup"].policy is not None and made["lookup"].policy.length == 3
    assert isinstance(made["oracle"], OracleArm) and not isinstance(made["plain"], OracleArm)
