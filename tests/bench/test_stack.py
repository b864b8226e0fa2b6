"""The bench of the whole stack on a fake model: answers, ablation, arms in turns, figures."""

from pathlib import Path
from typing import Any

from slipstream.bench import stack
from slipstream.bench.cell_figures import answers
from slipstream.bench.first_light import Suite
from slipstream.bench.workload import Prompt
from slipstream.cli.bench_stack import tables
from tests.bench.made import fake_session, stored_run

TEXTS = ("abcabc", "hgfe", "aabb", "ddeeff")
PROMPTS = tuple(Prompt(f"p{number}", "chat" if number % 2 else "edit", text) for number, text in enumerate(TEXTS))
SUITE = Suite("mix", PROMPTS, 24)
SETTINGS = {"model": "m"}


def measured(session: Any) -> dict[str, Any]:
    first = stored_run(session, stack.slow_arms(SUITE, SETTINGS)[:1], PROMPTS, 1)
    assert [cell.arm for cell in first.cells] == ["plain"] * len(PROMPTS) and not first.claims
    singles = stack.ablate(session, PROMPTS, answers(first.cells, "plain"), session.loop.clock)
    arms = stack.arms(SUITE, SETTINGS, singles[0], order="draft_model" in session.loop.paid)
    whole = stored_run(session, arms, PROMPTS, 2, 2)
    slow = stack.slowest(SUITE, whole.cells)
    assert len(slow) == stack.SLOWEST
    again = stored_run(session, stack.slow_arms(SUITE, SETTINGS), slow, stack.PAIRS, 3)
    assert {claim.arm for claim in again.claims} == {"plain, again", "stack on its slowest prompts"}
    return stack.figures("m", SUITE, whole.cells, again.cells, singles)


def test_every_arm_is_measured_against_plain_decoding_and_the_stack_keeps_up(tmp_path: Path) -> None:
    session = fake_session(tmp_path, draft_model=True)
    policy = session.loop.policy
    figures = measured(session)
    assert session.loop.policy is policy
    assert set(figures["speed_up"]) == {"stack", "best single", "lookup first"}
    assert (figures["prompts"], figures["pairs"], figures["max_tokens"]) == (4, 8, 24)
    assert figures["slowest"]["pairs"] == stack.PAIRS
    assert figures["single"] == figures["ablation"][0]
    assert {single["source"] for single in figures["ablation"]} == {"suffix", "prompt_lookup", "draft_model"}
    assert set(figures["by_task"]) == {"edit", "chat"}
    # The draft model is never wrong and costs 4 of 98 ms: whatever the policy does, it must use it.
    assert figures["speed_up"]["stack"][0] > 2
    assert figures["sources"]["draft_model"][0] > 0
    assert 0 < figures["drafting_share"] < 0.5
    report = {
        "figures": [figures | {"divergences": []}],
        "curves": {"m": {"ratios": {"4": 1.0, "16": 2.0, "64": 3.0}, "draft_step": {}}},
    }
    for _, headings, lines in tables(report):
        assert lines and all(len(line) == len(headings) for line in lines)


def test_without_a_draft_model_free_sources_are_compared(tmp_path: Path) -> None:
    figures = measured(fake_session(tmp_path))
    assert "lookup first" not in figures["speed_up"]
    assert {single["source"] for single in figures["ablation"]} == {"suffix", "prompt_lookup"}


def test_a_prompt_that_was_not_answered_is_left_out_of_the_ablation(tmp_path: Path) -> None:
    session = fake_session(tmp_path)
    known = {"p0": (1, 2, 3, 1, 2, 3, 1, 2, 3)}
    assert stack.ablate(session, PROMPTS, known, session.loop.clock) == stack.ablate(
        session, PROMPTS[:1], known, session.loop.clock
    )


def test_a_folder_gives_the_three_suites(tmp_path: Path) -> None:
    for name in ("humaneval_x", "code_edit_x", "spec_bench_x"):
        (tmp_path / f"{name}.jsonl").write_text('{"id": "1", "task": "t", "prompt": "x"}\n')
    assert [suite.name for suite in stack.suites(tmp_path)] == ["humaneval", "code_edit", "spec_bench"]
    assert [suite.name for suite in stack.suites(None)] == ["edits", "mix"]
