"""Stored runs: nothing is lost, what is torn is left out, and a killed run goes on where it stopped."""

from pathlib import Path

import pytest

from slipstream.bench.compare import Sample
from slipstream.bench.first_light import Suite, comparison_of, measure
from slipstream.bench.record import Entry, RoundTimes, RunRecord
from slipstream.bench.workload import Prompt
from slipstream.core.errors import StateFileError
from slipstream.core.stats import SourceStats, Stats
from tests.bench.made import fake_session

PROMPTS = tuple(Prompt(f"p{n}", "edit", text) for n, text in enumerate(("abcabcab", "ddaddadda", "efgefgef", "a")))
SUITE = Suite("edits", PROMPTS, 24, oracle=True)
STATS = Stats(prompt_tokens=3, tokens=2, rounds=2, decode_ms=12.5, sources={"suffix": SourceStats(1, 4, 2)})


def entry(prompt: str = "p0", arm: str = "plain", repetition: int = 0, model: str = "m") -> Entry:
    sample = Sample(Prompt(prompt, "edit", ""), arm, repetition, (4, 5), "", STATS, 17.25)
    return Entry("edits", model, sample, (RoundTimes(3, 0.1, 0.2, 0.3, 9.0, 10.0),))


@pytest.fixture
def record(tmp_path: Path) -> RunRecord:
    record = RunRecord(tmp_path / "run")
    record.begin({"repetitions": 2})
    return record


def samples_file(record: RunRecord) -> Path:
    return record.folder / "samples.jsonl"


def test_conditions_and_entries_survive_the_disk(record: RunRecord) -> None:
    record.append(entry())
    record.append(entry(arm="stack"))
    again = RunRecord(record.folder)
    assert again.conditions == {"repetitions": 2}
    assert list(again.entries()) == [entry(), entry(arm="stack")]
    assert next(again.entries()).rounds[0].deciding == pytest.approx(0.6)


def test_a_run_without_samples_has_no_entries(record: RunRecord) -> None:
    assert list(record.entries()) == []


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StateFileError, match="holds no run"):
        _ = RunRecord(tmp_path).conditions
    (tmp_path / "conditions.json").write_text("{", "utf-8")
    with pytest.raises(StateFileError, match="holds no run"):
        _ = RunRecord(tmp_path).conditions


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    record = RunRecord(tmp_path / "file" / "run")
    with pytest.raises(StateFileError, match="can't be written"):
        record.begin({})
    with pytest.raises(StateFileError, match="can't be stored"):
        record.append(entry())


def test_a_torn_last_line_is_left_out_and_spoils_nothing_that_follows(record: RunRecord) -> None:
    record.append(entry())
    record.append(entry(arm="stack"))
    whole = samples_file(record).read_bytes()
    samples_file(record).write_bytes(whole[:-20])
    assert list(record.entries()) == [entry()]
    record.append(entry("p1"))
    record.append(entry("p2"))
    assert list(record.entries()) == [entry(), entry("p1"), entry("p2")]


def test_a_last_line_that_lost_only_its_end_still_counts(record: RunRecord) -> None:
    record.append(entry())
    samples_file(record).write_bytes(samples_file(record).read_bytes()[:-1])
    record.append(entry("p1"))
    assert list(record.entries()) == [entry(), entry("p1")]


def keys(record: RunRecord) -> list[tuple[str, str, int]]:
    return [(e.sample.prompt.id, e.sample.arm, e.sample.repetition) for e in record.entries()]


def test_a_measured_suite_holds_every_arm_with_its_rounds(record: RunRecord, tmp_path: Path) -> None:
    session = fake_session(tmp_path)
    seen: list[str] = []
    measure(session, "m", SUITE, 2, record, session.loop.clock, seen.append)
    assert sorted(keys(record)) == sorted(
        (f"p{n}", arm, r) for n in range(4) for arm in ("plain", "stack", "oracle") for r in (0, 1)
    )
    assert len(seen) == 24
    outputs: dict[str, set[tuple[int, ...]]] = {}
    for one in record.entries():
        outputs.setdefault(one.sample.prompt.id, set()).add(one.sample.tokens)
        assert len(one.rounds) == one.sample.stats.rounds
        assert sum(times.total for times in one.rounds) == pytest.approx(one.sample.stats.decode_ms, abs=0.01)
        assert (one.sample.stats.drafted == 0) or one.sample.arm != "plain"
    assert [len(found) for found in outputs.values()] == [1] * 4, "all arms give the same tokens"
    assert session.loop.trace is None
    comparison = comparison_of(record, "edits", "m")
    assert comparison.ratio("oracle", comparison.prompts()).value > 1.2, "the oracle knows the answer"


@pytest.mark.parametrize("until", range(1, 24, 5))
def test_a_killed_run_goes_on_with_what_is_missing(record: RunRecord, tmp_path: Path, until: int) -> None:
    class Killed(Exception): ...

    def stop(what: str) -> None:
        if len(keys(record)) == until:
            raise Killed

    session = fake_session(tmp_path)
    with pytest.raises(Killed):
        measure(session, "m", SUITE, 2, record, session.loop.clock, stop)
    first = keys(record)
    finished = {(prompt, r) for prompt, _, r in first if len([k for k in first if (k[0], k[2]) == (prompt, r)]) == 3}
    session = fake_session(tmp_path)
    measure(session, "m", SUITE, 2, record, session.loop.clock)
    second = keys(record)[until:]
    assert not [key for key in second if (key[0], key[2]) in finished]
    assert len(second) == 24 - 3 * len(finished)
    comparison = comparison_of(record, "edits", "m")
    assert len(comparison.samples) == 24
    before = len(keys(record))
    measure(session, "m", SUITE, 2, record, session.loop.clock)
    assert len(keys(record)) == before, "a finished run runs nothing"
    measure(session, "other", SUITE, 1, record, session.loop.clock)
    assert len(keys(record)) == before + 12, "another model shares nothing"


def test_of_a_generation_that_ran_twice_the_last_counts(record: RunRecord) -> None:
    record.append(entry())
    late = Sample(Prompt("p0", "edit", ""), "plain", 0, (9,), "", STATS, 99.0)
    record.append(Entry("edits", "m", late, ()))
    assert comparison_of(record, "edits", "m").samples == [late]
