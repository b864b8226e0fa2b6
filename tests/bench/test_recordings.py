"""Recorded answers of stored runs, of those of one benchmark together, and of traces."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from slipstream.bench import stack
from slipstream.bench.ablation import Single
from slipstream.bench.arms import STACK
from slipstream.bench.cell import Arm, Cell
from slipstream.bench.compare import BASELINE
from slipstream.bench.first_light import Suite
from slipstream.bench.recordings import Answered, of_store, of_trace
from slipstream.bench.store_rows import Curve, StoredRun, WholeRun
from slipstream.bench.workload import Prompt
from slipstream.control.curve import VerifyCost
from slipstream.core.errors import StateFileError
from slipstream.session import Session
from tests.bench.made import CURVE, fake_session, stored_run

PROMPTS = (Prompt("a", "edit", "abcabcabc"), Prompt("b", "chat", "hgfe"))
SUITE = Suite("edits", PROMPTS, 24)


def stack_run(session: Session, suite: Suite = SUITE, **plan: object) -> WholeRun:
    """A run of `bench stack`, with a single source that isn't the stack."""
    arms = stack.arms(suite, {"model": "m.gguf"}, Single("suffix", 4, 1.0, 1.0), order=False)
    return stored_run(session, arms, suite.prompts, 2, 2, **plan)


def test_a_run_of_bench_stack(tmp_path: Path) -> None:
    session = fake_session(tmp_path)
    whole = stack_run(session)
    (found,) = of_store("b1", [whole])
    assert (found.source, found.model) == ("b1", "m")
    plain = {cell.prompt: cell.token_ids for cell in whole.cells if cell.arm == "plain"}
    assert {one.prompt.id: one.tokens for one in found.answers} == plain
    assert [one.prompt for one in found.answers] == list(PROMPTS), "with their text"
    assert {sample.arm for sample in found.measured.samples} == {BASELINE, STACK}
    # Checks are plain answers as well; of the arms only the stack is one more.
    assert len(found.measured.samples) == 2 * (2 + 2) + 2 * 2
    assert found.sources <= {"suffix", "reference"}
    assert found.round_ms == {BASELINE: 0.0, STACK: 0.0}
    assert VerifyCost({0: dict(found.costs)}).costs(0) == pytest.approx(VerifyCost({0: dict(CURVE)}).costs(0))
    assert found.step_ms == 0


def test_the_curve_is_taken_to_what_its_passes_cost(tmp_path: Path) -> None:
    session = fake_session(tmp_path)
    half = {1: CURVE[1]} | {width: ms / 2 for width, ms in CURVE.items() if width > 1}
    whole = replace(stack_run(session), curves=(Curve("m", {64: half}), Curve("draft", {64: {1: 0.25 * CURVE[1]}})))
    (found,) = of_store("b1", [whole])
    assert VerifyCost({0: dict(found.costs)}).costs(0) == pytest.approx(VerifyCost({0: dict(CURVE)}).costs(0))
    assert found.step_ms == pytest.approx(2 * 0.25 * CURVE[1])
    (bare,) = of_store("b1", [replace(whole, curves=())])
    assert (bare.costs, bare.step_ms) == ({}, 0.0)


def test_runs_of_one_benchmark_go_together(tmp_path: Path) -> None:
    session = fake_session(tmp_path)
    first = stack_run(session)
    more = Suite("more", (PROMPTS[1], Prompt("c", "chat", "dede")), 24)
    second = stack_run(session, more)
    (found,) = of_store("b1", [first, second])
    assert [one.prompt.id for one in found.answers] == ["a", "b", "c"]
    assert len(found.measured.samples) == len(of_store("b1", [first])[0].measured.samples) // 2 * 3
    other = replace(first, run=replace(first.run, plan={**first.run.plan, "part": "slowest"}))
    assert of_store("b1", [other]) == []


def arm(name: str, role: str, **settings: object) -> Arm:
    return Arm(name=name, role=role, configuration={"settings": {"model": "m.gguf", **settings}})  # type: ignore[arg-type]


def cell(arm: str, prompt: str, seconds: float, **values: object) -> Cell:
    figures: dict[str, object] = {"rounds": 2, "target_ms": 1000 * seconds - 1.0, "paid_ms": 0.2}
    if arm == "candidate":
        figures["sources"] = {"suffix": {"drafted": 9, "accepted": 4}}
    given = {"tokens": 3, "token_ids": (1, 2, 3), "seconds": seconds, "figures": figures, **values}
    return Cell(arm=arm, prompt=prompt, task="edit", repetition=0, **given)  # type: ignore[arg-type]


def test_a_stored_run() -> None:
    run = StoredRun(
        id="r1",
        kind="compare",
        started=1.0,
        arms=(
            arm("fixed", "candidate", draft="auto", draft_length=8),
            arm("plain", "baseline", draft="off"),
            arm("plain, again", "repeat", draft="off"),
            arm("candidate", "candidate", draft="auto"),
        ),
        plan={"prompts": [{"id": "a", "task": "edit", "text": "abc", "reference": ""}]},
    )
    cells = (
        cell("plain", "a", 3.0), cell("plain, again", "a", 1.0), cell("candidate", "a", 1.5), cell("fixed", "a", 0.1),
        cell("plain", "b", 3.0, status="failed"), cell("canary", "canary", 1.0),
    )  # fmt: skip
    (found,) = of_store("r1", [WholeRun(run=run, cells=cells)])
    assert (found.source, found.model) == ("r1", "m")
    assert [(one.prompt.text, one.tokens) for one in found.answers] == [("abc", (1, 2, 3))]
    assert found.measured.ratio(STACK, ["a"]).value == pytest.approx(2.0)
    assert found.sources == {"suffix"}
    assert found.round_ms == {BASELINE: pytest.approx(0.4), STACK: pytest.approx(0.4)}


def test_a_trace_is_an_answer_without_a_measurement(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    file.write_text("".join(json.dumps({"slots": [{"emitted": one}]}) + "\n" for one in ([1, 2], [3])))
    found = of_trace(file, "m.gguf", PROMPTS[0])
    assert found.answers == (Answered(PROMPTS[0], (1, 2, 3)),)
    assert (found.source, found.measured.samples) == ("trace.jsonl", [])
    for text in ("", '{"width": 1}\n', "no JSON"):
        file.write_text(text)
        with pytest.raises(StateFileError, match=r"is no trace|is empty"):
            of_trace(file, "m.gguf", PROMPTS[0])


def test_a_stored_run_without_plain_answers_records_nothing() -> None:
    run = StoredRun(id="r1", kind="sweep", started=1.0, arms=(arm("a", "baseline", draft="auto"),))
    assert of_store("r1", [WholeRun(run=run, cells=(cell("a", "a", 1.0),))]) == []
