"""Figures read off cells: only pairs that count, and nothing where none do."""

from dataclasses import replace
from pathlib import Path

import pytest

from slipstream.bench import cell_figures as read
from tests.bench.made import fake_session
from tests.bench.paired import cell

CELLS = [
    cell(arm, prompt, repetition, rate, token_ids=(1, 2, 3), figures={"rounds": 50, "sources": sources})
    for arm, speed, sources in (
        ("plain", 1.0, {}),
        ("stack", 2.0, {"suffix": {"drafted": 9, "accepted": 4}}),
    )
    for prompt, rate in (("edit1", 10 * speed), ("edit2", 8 * speed**2), ("chat1", 10.0))
    for repetition in range(3)
]


def test_ratios_are_over_a_task_or_all() -> None:
    assert read.speed_up(CELLS, "stack", "plain", "edit") == pytest.approx([8**0.5, 2, 4])
    assert read.speed_up(CELLS, "stack", "plain", "chat") == pytest.approx([1, 1, 1])
    assert read.speed_up(CELLS, "plain", "stack", "chat") == pytest.approx([1, 1, 1])
    assert read.speed_up(CELLS, "oracle", "plain") is None
    assert read.by_prompt(CELLS, "stack", "plain")["edit2"] == pytest.approx((4, 4, 4))


def test_the_slowest_prompt_has_its_own_interval() -> None:
    found = read.slowest(CELLS, "stack", "plain")
    assert found is not None and (found["prompt"], found["pairs"]) == ("chat1", 3)
    assert found["ratio"] == pytest.approx([1, 1, 1])
    assert read.slowest([], "stack", "plain") is None


def test_sums_leave_out_what_does_not_count() -> None:
    doubtful = [replace(one, status="tainted") if one.prompt == "edit1" else one for one in CELLS]
    assert read.tokens_per_round(CELLS, "stack") == 2
    assert read.tokens_per_round([], "stack") == 0
    assert read.sources(CELLS, "stack") == {"suffix": [36, 81]}
    assert read.sources(doubtful, "stack") == {"suffix": [24, 54]}
    assert "edit1" not in read.by_prompt(doubtful, "stack", "plain")


def test_the_first_answer_counts_whatever_its_timing_is_worth() -> None:
    cells = [
        cell("plain", "edit1", 0, status="failed"),
        cell("plain", "edit1", 0, token_ids=(1,), status="tainted"),
        cell("plain", "edit1", 1, token_ids=(2,)),
        cell("stack", "edit1", 1, token_ids=(3,)),
    ]
    assert read.answers(cells, "plain") == {"edit1": (1,)}


def test_answers_that_part_do_so_by_a_gap_of_logits(tmp_path: Path) -> None:
    session = fake_session(tmp_path)
    prompts = {"p1": session.request("aab").prompt, "p2": session.request("abc").prompt}
    plain = session.generate(session.request("aab", max_tokens=12, draft="off")).tokens
    wrong = (plain[4] + 1) % 8
    cells = [
        cell("plain", "p1", token_ids=plain),
        cell("stack", "p1", token_ids=(*plain[:4], wrong, *plain[5:])),
        cell("plain", "p2", token_ids=plain),
        cell("stack", "p2", token_ids=plain),
    ]
    (found,) = read.divergences(cells, session, prompts, "stack", "plain")
    assert (found["prompt"], found["token"]) == ("p1", 4)
    logits = session.target.table([*prompts["p1"], *plain[:4]])  # type: ignore[attr-defined]
    assert found["logit_gap"] == pytest.approx(float(logits[plain[4]] - logits[wrong]))
    (cut,) = read.divergences([cells[0], replace(cells[0], arm="stack", token_ids=plain[:6])], session, prompts,
                              "stack", "plain")  # fmt: skip
    assert (cut["token"], cut["logit_gap"]) == (6, 0.0)
