"""The first published measurement: which prompts, and that its figures are read off the cells rightly."""

import json
from pathlib import Path
from typing import Any

import pytest

from slipstream.bench.cell import Cell
from slipstream.bench.first_light import (
    CHATS,
    EDITS,
    EXACT,
    EXACT_PROMPTS,
    Suite,
    arms,
    exact_arms,
    exact_figures,
    exact_suite,
    figures,
    short,
    suites,
)
from slipstream.bench.workload import Prompt
from slipstream.cli.bench_first_light import tables
from slipstream.core.errors import RequestError
from tests.bench.made import fake_session, stored_run


def write(path: Path, tasks: dict[str, int]) -> None:
    rows = [
        {"id": f"{task}/{n}", "task": task, "turns": [f"do {task} {n}"]}
        for task, count in tasks.items()
        for n in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "workloads"
    folder.mkdir()
    write(folder / "code_edit_2.jsonl", {"code_edit": 20})
    write(folder / "spec_bench.jsonl", {"writing": 6, "translation": 6, "qa": 6, "math_reasoning": 3})
    return folder


def test_suites_come_from_the_files_of_a_folder(data: Path) -> None:
    edits, chats = suites(data)
    assert (edits.name, edits.max_tokens, edits.oracle) == (EDITS, 256, True)
    assert [prompt.id for prompt in edits.prompts] == [f"code_edit/{n}" for n in range(12)]
    assert (chats.name, chats.max_tokens, chats.oracle) == (CHATS, 128, False)
    assert [prompt.task for prompt in chats.prompts] == ["writing"] * 4 + ["qa"] * 4 + ["math_reasoning"] * 3
    exact = exact_suite(data)
    assert (exact.name, exact.oracle, exact.prompts[-len(chats.prompts) :]) == (EXACT, False, chats.prompts)
    assert exact.prompts[: len(edits.prompts)] == edits.prompts
    assert len(set(exact.prompts)) == len(exact.prompts) == EXACT_PROMPTS
    assert short(edits, 2).prompts == edits.prompts[:2]


def test_a_folder_without_exactly_one_file_of_each_is_refused(data: Path) -> None:
    write(data / "code_edit_3.jsonl", {"code_edit": 1})
    with pytest.raises(RequestError, match="holds 2 files code_edit"):
        suites(data)
    (data / "code_edit_3.jsonl").unlink()
    (data / "spec_bench.jsonl").unlink()
    with pytest.raises(RequestError, match="holds 0 files spec_bench"):
        suites(data)


def test_without_a_folder_the_built_in_prompts_serve() -> None:
    edits, chats = suites(None)
    assert {prompt.task for prompt in edits.prompts} == {"edit", "copy"}
    assert {prompt.task for prompt in chats.prompts} == {"chat", "math", "summary"}


def made(prompt: str, arm: str, repetition: int, rate: float, rounds: int = 50, **more: Any) -> Cell:
    """A hundred tokens at `rate` a second; a quarter of each round is not the target's, 2 ms of it decisions."""
    total = 1e5 / rate / rounds
    times = [[4, 0.5, 0.5, 1.0, 0.75 * total, total]] * rounds
    figures = {"rounds": rounds, "sources": {}, "round_times": times}
    given: dict[str, Any] = {"tokens": 100, "seconds": 100 / rate, "token_ids": (1, 2, 3), "figures": figures} | more
    return Cell(arm=arm, prompt=prompt, task="edit", repetition=repetition, **given)


def test_figures_are_those_of_the_cells() -> None:
    edits, chats = [], []
    for repetition in range(3):
        for prompt, stack, oracle in (("e1", 20, 40), ("e2", 45, 90)):
            edits.append(made(prompt, "plain", repetition, 10))
            edits.append(made(prompt, "stack", repetition, stack, rounds=25))
            edits.append(made(prompt, "oracle", repetition, oracle, rounds=10))
        chats.append(made("c1", "plain", repetition, 10))
        chats.append(made("c1", "stack", repetition, 9.9))
    chats += [made("c1", "plain", 7, 10), made("c1", "stack", 7, 500, status="tainted")]
    found = figures("m", edits, chats)
    assert found["edits"][0] == pytest.approx(3)  # the root of 2 x 4.5
    assert 2 - 1e-9 <= found["edits"][1] <= found["edits"][0] <= found["edits"][2] <= 4.5 + 1e-9
    assert found["chats"] == pytest.approx([0.99] * 3)
    assert found["slowest"]["prompt"] == "c1"
    assert found["slowest"]["ratio"][0] == pytest.approx(0.99)
    assert found["oracle"][0] == pytest.approx(6)
    assert found["share_of_oracle"][0] == pytest.approx(0.5)
    assert found["deciding_ms_median"] == pytest.approx(2)
    assert found["all_but_target_median"] == pytest.approx(0.25)
    assert found["all_but_target"] == pytest.approx(0.25)
    assert found["tokens_per_round"] == pytest.approx({"edits": 4, "chats": 2})
    assert (found["pairs"], found["prompts"]) == (9, 3)


def test_where_nothing_counts_there_are_no_figures() -> None:
    cells = [made("e1", arm, 0, 10, status="tainted") for arm in ("plain", "stack", "oracle")]
    found = figures("m", cells, cells)
    assert (found["edits"], found["slowest"], found["deciding_ms_median"], found["pairs"]) == (None, None, None, 0)
    assert found["prompts"] == 1
    report = {"figures": [found | {"divergences": [], "curve": {"4": 1.0, "16": 2.0, "64": 3.0}}], "exact": []}
    ((_, headings, lines),) = tables(report | {"replay": []})
    assert all(len(line) == len(headings) for line in lines)
    assert ["code edits", "nothing counts"] in lines


def test_exact_figures_name_the_prompts_that_differ() -> None:
    cells = [made(prompt, arm, 0, rate) for prompt in ("a", "b") for arm, rate in (("plain", 10), ("stack", 20))]
    assert exact_figures("m", cells)["differing"] == []
    found = exact_figures("m", [*cells[:-1], made("b", "stack", 0, 20, token_ids=(1, 2, 4))])
    assert found["differing"] == ["b"]
    assert (found["prompts"], found["tokens"]) == (2, 6)
    assert found["speed_up"] == pytest.approx([2, 2, 2])


def test_measured_figures_hold_together(tmp_path: Path) -> None:
    session = fake_session(tmp_path)
    edits = Suite(EDITS, (Prompt("e", "edit", "abcabcabc"), Prompt("f", "edit", "aab")), 40, oracle=True)
    chats = Suite(CHATS, (Prompt("c", "chat", "hgfed"),), 20)
    first, second = (stored_run(session, arms(suite, {"model": "m"}), suite.prompts, 2, 2) for suite in (edits, chats))
    found = figures("m", first.cells, second.cells)
    assert (found["pairs"], found["prompts"]) == (6, 3)
    assert found["oracle"][0] > 1.5
    assert found["deciding_ms_median"] == found["all_but_target"] == 0, "the fake clock stands still but for passes"
    outputs: dict[str, set[tuple[int, ...]]] = {}
    for cell in (*first.cells, *second.cells):
        outputs.setdefault(cell.prompt, set()).add(cell.token_ids)
    assert [len(answers) for answers in outputs.values()] == [1] * 3, "all arms give the same tokens"
    assert {(one.arm, one.standing) for one in first.claims if one.arm == "oracle"} == {("oracle", "observation")}


def test_the_oracle_is_no_way_to_generate() -> None:
    suite = Suite(EDITS, (Prompt("e", "edit", "abc"),), 40, oracle=True)
    roles = {arm.name: arm.role for arm in arms(suite, {"model": "m"})}
    assert roles == {"plain": "baseline", "plain, again": "repeat", "stack": "candidate", "oracle": "bound"}
    assert [arm.name for arm in exact_arms(suite, {"model": "m"})] == ["plain", "stack"]
    assert arms(suite, {"model": "m"})[2].configuration["settings"] == {"model": "m", "max_tokens": 40, "draft": "auto"}
