"""The bench of the whole stack on a fake model: answers, ablation, interleaved arms, figures, and going on."""

from pathlib import Path
from typing import Any

from slipstream.bench import stack
from slipstream.bench.first_light import Suite
from slipstream.bench.record import RunRecord
from slipstream.bench.workload import Prompt
from slipstream.cli.bench_stack import tables
from tests.bench.made import fake_session

TEXTS = ("abcabc", "hgfe", "aabb")
PROMPTS = tuple(Prompt(f"p{number}", "chat" if number % 2 else "edit", text) for number, text in enumerate(TEXTS))
SUITE = Suite("mix", PROMPTS, 24)


def say(what: str) -> None:
    """Nobody listens."""


def measured(session: Any, record: RunRecord) -> dict[str, Any]:
    clock = session.loop.clock
    answers = stack.answers(session, "m", SUITE, record, clock, say)
    singles = stack.ablate(session, SUITE, answers, clock)
    stack.measure(session, "m", SUITE, singles[0], 2, record, clock)
    stack.measure_slowest(session, "m", SUITE, record, clock, say)
    return stack.figures(session, record, "m", SUITE, singles)


def test_every_arm_is_measured_against_plain_decoding_and_the_stack_keeps_up(tmp_path: Path) -> None:
    session, record = fake_session(tmp_path, draft_model=True), RunRecord(tmp_path / "run")
    record.begin({})
    policy = session.loop.policy
    figures = measured(session, record)
    assert session.loop.policy is policy
    assert set(figures["speed_up"]) == {"stack", "best single", "lookup first"}
    assert (figures["prompts"], figures["pairs"]) == (3, 6)
    assert figures["slowest"]["pairs"] == stack.PAIRS
    assert figures["single"] == figures["ablation"][0]
    assert {single["source"] for single in figures["ablation"]} == {"suffix", "prompt_lookup", "draft_model"}
    assert figures["divergences"] == []
    # The draft model is never wrong and costs 4 of 98 ms: whatever the policy does, it must use it.
    assert figures["speed_up"]["stack"][0] > 2
    assert figures["sources"]["draft_model"][0] > 0
    assert 0 < figures["drafting_share"] < 0.5
    held = (tmp_path / "run" / "samples.jsonl").read_text()
    again = measured(session, record)
    assert (tmp_path / "run" / "samples.jsonl").read_text() == held, "nothing is run twice"
    assert again["speed_up"] == figures["speed_up"]
    report = {"figures": [figures], "curves": {"m": {"ratios": {"4": 1.0, "16": 2.0, "64": 3.0}, "draft_step": {}}}}
    for _, headings, lines in tables(report):
        assert lines and all(len(line) == len(headings) for line in lines)


def test_without_a_draft_model_free_sources_are_compared(tmp_path: Path) -> None:
    session, record = fake_session(tmp_path), RunRecord(tmp_path / "run")
    record.begin({})
    figures = measured(session, record)
    assert "lookup first" not in figures["speed_up"]
    assert {single["source"] for single in figures["ablation"]} == {"suffix", "prompt_lookup"}


def test_a_folder_gives_the_three_suites(tmp_path: Path) -> None:
    for name in ("humaneval_x", "code_edit_x", "spec_bench_x"):
        (tmp_path / f"{name}.jsonl").write_text('{"id": "1", "task": "t", "prompt": "x"}\n')
    assert [suite.name for suite in stack.suites(tmp_path)] == ["humaneval", "code_edit", "spec_bench"]
    assert [suite.name for suite in stack.suites(None)] == ["edits", "mix"]
