"""Recorded answers, from a run's folder and from the store."""

import json
from pathlib import Path

import pytest

from slipstream.bench import first_light, stack
from slipstream.bench.ablation import Single
from slipstream.bench.arms import STACK
from slipstream.bench.cell import Arm, Cell
from slipstream.bench.compare import BASELINE
from slipstream.bench.first_light import Suite
from slipstream.bench.record import RunRecord
from slipstream.bench.recordings import Answered, of_folder, of_store, of_trace
from slipstream.bench.store_rows import Curve, StoredRun, WholeRun
from slipstream.bench.workload import Prompt
from slipstream.control.curve import VerifyCost
from slipstream.core.errors import StateFileError
from tests.bench.made import CURVE, fake_session

PROMPTS = (Prompt("a", "edit", "abcabcabc"), Prompt("b", "chat", "hgfe"))
SUITE = Suite("edits", PROMPTS, 24)


def test_a_folder_of_bench_stack(tmp_path: Path) -> None:
    session, record = fake_session(tmp_path), RunRecord(tmp_path / "run")
    record.begin({})
    clock = session.loop.clock
    answers = stack.answers(session, "m.gguf", SUITE, record, clock, lambda what: None)
    singles = stack.ablate(session, SUITE, answers, clock)
    stack.measure(session, "m.gguf", SUITE, singles[0], 2, record, clock)
    stack.measure_slowest(session, "m.gguf", SUITE, record, clock, lambda what: None)
    (found,) = of_folder(record)
    assert (found.source, found.model) == ("run", "m.gguf")
    assert {one.prompt.id: one.tokens for one in found.answers} == answers
    assert {sample.arm for sample in found.measured.samples} == {BASELINE, STACK}
    # Neither the first, warming run nor the slowest prompts' second measurement is in it.
    assert len(found.measured.samples) == 2 * 2 * 2
    assert found.sources <= {"suffix", "reference"}
    assert found.round_ms == {BASELINE: 0.0, STACK: 0.0}
    assert (found.costs, found.step_ms) == ({}, 0.0)


def test_a_finished_run_s_curve_is_taken_to_what_its_passes_cost(tmp_path: Path) -> None:
    session, record = fake_session(tmp_path), RunRecord(tmp_path / "run")
    record.begin({})
    stack.measure(session, "m.gguf", SUITE, Single("suffix", 4, 1.0, 1.0), 1, record, session.loop.clock)
    report = record.folder / "report.json"
    half = {str(width): ms / CURVE[1] / 2 for width, ms in CURVE.items() if width > 1}
    curves = {"m.gguf": {"ratios": half, "draft_step": {"draft_model": 0.25}}}
    report.write_text(json.dumps({"curves": curves}))
    (found,) = of_folder(record)
    assert VerifyCost({0: dict(found.costs)}).costs(0) == pytest.approx(VerifyCost({0: dict(CURVE)}).costs(0))
    assert found.step_ms == pytest.approx(2 * 0.25 * CURVE[1])
    report.write_text("[")
    with pytest.raises(StateFileError, match="no report"):
        of_folder(record)


def test_a_folder_of_first_light(tmp_path: Path) -> None:
    session, record = fake_session(tmp_path), RunRecord(tmp_path / "run")
    record.begin({})
    first_light.measure(session, "m.gguf", SUITE, 1, record, session.loop.clock)
    (found,) = of_folder(record)
    assert len(found.answers) == 2 and len(found.measured.samples) == 4


def test_something_else_than_a_run(tmp_path: Path) -> None:
    with pytest.raises(StateFileError):
        of_folder(RunRecord(tmp_path))


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
    (found,) = of_store(WholeRun(run=run, cells=cells))
    assert (found.source, found.model) == ("r1", "m")
    assert [(one.prompt.text, one.tokens) for one in found.answers] == [("abc", (1, 2, 3))]
    assert found.measured.ratio(STACK, ["a"]).value == pytest.approx(2.0)
    assert found.sources == {"suffix"}
    assert found.round_ms == {BASELINE: pytest.approx(0.4), STACK: pytest.approx(0.4)}


def test_a_stored_curve_is_taken_to_what_passes_cost() -> None:
    run = StoredRun(
        id="r1", kind="stack", started=1.0, arms=(arm("plain", "baseline", draft="off"), arm("s", "candidate"))
    )
    passes = [[1, 100.0]] * 9 + [[2, 300.0]] * 2
    cells = (
        cell("plain", "a", 1.0, figures={"passes": passes[:9]}), cell("s", "a", 1.0, figures={"passes": passes}),
        cell("s", "b", 1.0, figures={"sources": {"draft_model": {"drafted": 1, "accepted": 1}}, "passes": [[1, 9.0]]}),
    )  # fmt: skip
    curve = Curve("m.gguf", {64: {1: 50.0, 2: 100.0, 4: 150.0}, 512: {1: 51.0}})
    (found,) = of_store(WholeRun(run=run, cells=cells, curves=(curve,)))
    # Twice as slow as when the curve was measured, and wide passes half as much again.
    assert found.costs == {1: pytest.approx(100.0), 2: pytest.approx(300.0), 4: pytest.approx(450.0)}
    (found,) = of_store(WholeRun(run=run, cells=cells))
    assert found.costs == {}


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
    assert of_store(WholeRun(run=run, cells=(cell("a", "a", 1.0),))) == []
