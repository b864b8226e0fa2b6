"""The first published measurement: which prompts, and that its figures are read off the samples rightly."""

import json
from pathlib import Path

import pytest

from slipstream.bench.compare import Sample
from slipstream.bench.first_light import (
    CHATS,
    EDITS,
    EXACT,
    EXACT_PROMPTS,
    Suite,
    divergences,
    exact_figures,
    exact_suite,
    figures,
    measure,
    short,
    suites,
)
from slipstream.bench.record import Entry, RoundTimes, RunRecord
from slipstream.bench.workload import Prompt
from slipstream.core.errors import RequestError
from slipstream.core.stats import Stats
from tests.bench.made import fake_session


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


def made(suite: str, prompt: str, arm: str, repetition: int, rate: float, rounds: int = 50) -> Entry:
    """A hundred tokens at `rate` a second; a quarter of each round is not the target's, 2 ms of it decisions."""
    total = 1e5 / rate / rounds
    stats = Stats(tokens=100, rounds=rounds, decode_ms=1e5 / rate)
    sample = Sample(Prompt(prompt, "edit", ""), arm, repetition, (1, 2, 3), "", stats)
    return Entry(suite, "m", sample, (RoundTimes(4, 0.5, 0.5, 1.0, 0.75 * total, total),) * rounds)


@pytest.fixture
def record(tmp_path: Path) -> RunRecord:
    record = RunRecord(tmp_path / "run")
    record.begin({})
    return record


def test_figures_are_those_of_the_samples(record: RunRecord) -> None:
    for repetition in range(3):
        for prompt, stack, oracle in (("e1", 20, 40), ("e2", 45, 90)):
            record.append(made(EDITS, prompt, "plain", repetition, 10))
            record.append(made(EDITS, prompt, "stack", repetition, stack, rounds=25))
            record.append(made(EDITS, prompt, "oracle", repetition, oracle, rounds=10))
        record.append(made(CHATS, "c1", "plain", repetition, 10))
        record.append(made(CHATS, "c1", "stack", repetition, 9.9))
    record.append(Entry(EDITS, "other", made(EDITS, "e1", "stack", 0, 500).sample, ()))
    record.append(made(EXACT, "e1", "stack", 0, 500))
    found = figures(record, "m")
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


def test_exact_figures_name_the_prompts_that_differ(record: RunRecord) -> None:
    for prompt in ("a", "b"):
        record.append(made(EXACT, prompt, "plain", 0, 10))
        record.append(made(EXACT, prompt, "stack", 0, 20))
    assert exact_figures(record, "m")["differing"] == []
    late = made(EXACT, "b", "stack", 0, 20).sample
    late = Sample(late.prompt, "stack", 0, (1, 2, 4), "", late.stats)
    record.append(Entry(EXACT, "m", late, ()))
    found = exact_figures(record, "m")
    assert found["differing"] == ["b"]
    assert (found["prompts"], found["tokens"]) == (2, 6)
    assert found["speed_up"] == pytest.approx([2, 2, 2])


def test_measured_figures_hold_together(record: RunRecord, tmp_path: Path) -> None:
    session = fake_session(tmp_path)
    edits = Suite(EDITS, (Prompt("e", "edit", "abcabcabc"), Prompt("f", "edit", "aab")), 40, oracle=True)
    chats = Suite(CHATS, (Prompt("c", "chat", "hgfed"),), 20)
    for suite in (edits, chats):
        measure(session, "m", suite, 2, record, session.loop.clock)
    found = figures(record, "m")
    assert (found["pairs"], found["prompts"]) == (6, 3)
    assert found["oracle"][0] > 1.5
    assert found["deciding_ms_median"] == found["all_but_target"] == 0, "the fake clock stands still but for passes"
    assert divergences(session, record, edits, "m") == []


def test_divergences_are_found_with_the_gap_of_their_logits(record: RunRecord, tmp_path: Path) -> None:
    session = fake_session(tmp_path)
    suite = Suite(EDITS, (Prompt("e", "edit", "abcabc"), Prompt("f", "edit", "aab")), 12)
    measure(session, "m", suite, 1, record, session.loop.clock)
    plain = next(e for e in record.entries() if e.sample.arm == "plain" and e.sample.prompt.id == "f").sample
    wrong = (plain.tokens[4] + 1) % 8
    changed = (*plain.tokens[:4], wrong, *plain.tokens[5:])
    record.append(Entry(EDITS, "m", Sample(plain.prompt, "stack", 0, changed, "", plain.stats), ()))
    (found,) = divergences(session, record, suite, "m")
    assert (found.prompt, found.arm, found.position) == ("f", "stack", 4)
    logits = session.target.table([*session.request("aab").prompt, *plain.tokens[:4]])  # type: ignore[attr-defined]
    assert found.gap == pytest.approx(float(logits[plain.tokens[4]] - logits[wrong]))
