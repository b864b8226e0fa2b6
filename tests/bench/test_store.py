"""The result store: what was measured stays, whatever happens; what is wrong with a file is said in one line."""

import math
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.bench.cell import Cell
from slipstream.bench.store import FILE, ResultStore, new_id
from slipstream.bench.store_rows import Coverage, Curve, StoredRun, WholeRun
from slipstream.core.errors import RequestError, StateFileError, UnknownName
from tests.bench.stored import ARMS, make_cell, make_claim, make_run

REPO = Path(__file__).resolve().parents[2]
RUN = make_run()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / FILE


@pytest.fixture
def store(path: Path) -> Iterator[ResultStore]:
    with ResultStore.open(path) as store:
        store.begin(RUN)
        yield store


def sql(path: Path, *statements: str) -> None:
    with sqlite3.connect(path) as db:
        for statement in statements:
            db.execute(statement)
    db.close()


def test_a_run_survives_the_disk(store: ResultStore, path: Path) -> None:
    cells = [make_cell(), make_cell("plain", engine_rate=None), make_cell(status="failed", reason="it hung", tokens=0)]
    for cell in cells:
        store.append(RUN.id, cell)
    store.claim(make_claim())
    store.curve(RUN.id, Curve("tiny", {64: {1: 10.0, 2: 12.5}, 512: {1: 11.0}}))
    store.curve(RUN.id, Curve("tiny", {64: {2: 13.0}}))
    store.finish(RUN.id, "complete", clock=lambda: 1060.0)
    with ResultStore.open(path) as again:
        assert again.cells(RUN.id) == cells
        assert again.cells(RUN.id, "plain") == cells[1:2]
        assert again.claims() == [make_claim()]
        assert again.curves(RUN.id) == [Curve("tiny", {64: {1: 10.0, 2: 13.0}, 512: {1: 11.0}})]
        found = again.run(RUN.id)
        shared = {field.name: getattr(RUN, field.name) for field in fields(RUN)}
        assert found == StoredRun(**shared, state="complete", ended=1060.0, cells=3, unusable=1, claims=1)
        assert again.condition(RUN.id) == ("complete", "")
        counted = [Coverage(RUN.id, arm, "edit", 1, 1001.5) for arm in ("plain", "suffix")]
        assert again.coverage() == counted


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
times = st.floats(0, 1e9)
plain_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@given(
    st.builds(
        Cell,
        arm=texts, prompt=texts, task=texts, repetition=st.integers(0, 99), block=st.integers(0, 99),
        status=st.sampled_from(["ok", "failed", "garbage", "tainted"]), reason=texts, tokens=st.integers(0, 9999),
        seconds=times | st.integers(0, 9), prefill_tokens=st.integers(0, 9999), prefill_seconds=times,
        engine_rate=st.none() | times, warm=st.booleans(), started=times, answer=texts,
        token_ids=st.lists(st.integers(0, 10**6), max_size=4).map(tuple),
        figures=st.dictionaries(texts, plain_json, max_size=3),
    )
)  # fmt: skip
def test_any_cell_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, cell: Cell) -> None:
    with ResultStore.open(_shared(tmp_path_factory)) as store:
        run = make_run(f"r{len(store.runs())}")
        store.begin(run)
        store.append(run.id, cell)
        assert store.cells(run.id) == [cell]


def _shared(factory: pytest.TempPathFactory) -> Path:
    return factory.getbasetemp() / "any-cell.sqlite3"


def test_every_append_is_synced(store: ResultStore) -> None:
    assert store._db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert store._db.execute("PRAGMA synchronous").fetchone()[0] == 2, "FULL"


def test_another_process_sees_what_was_appended_and_a_kill_loses_nothing(path: Path) -> None:
    script = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom slipstream.bench.store import ResultStore\n"
        "from tests.bench.stored import make_cell, make_run\n"
        "store = ResultStore.open(Path(sys.argv[1]))\nstore.begin(make_run())\n"
        "for n in range(5): store.append(make_run().id, make_cell(repetition=n))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, path], cwd=REPO, timeout=60, check=False).returncode == -9
    with ResultStore.open(path) as store:
        assert [cell.repetition for cell in store.cells(RUN.id)] == list(range(5))
        assert store.run(RUN.id).state == "running"
        assert store.condition(RUN.id) == ("interrupted", "it is running, or was killed")


@pytest.mark.parametrize("table", ["runs", "arms", "cells", "claims", "curves", "retractions"])
def test_nothing_measured_is_ever_deleted(store: ResultStore, table: str) -> None:
    fill(store)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        store._db.execute(f"DELETE FROM {table}")


@pytest.mark.parametrize(
    "change",
    [
        "cells SET seconds = 1.0", "cells SET status = 'ok'", "claims SET value = 9.0", "curves SET milliseconds = 1.0",
        "retractions SET reason = 'none'", "arms SET role = 'baseline'", "runs SET attestation = '{}'",
        "runs SET started = 0.0", "runs SET suspect = ''", "runs SET state = 'running'", "runs SET ended = 0.0",
    ],
)  # fmt: skip
def test_nothing_measured_is_ever_changed(store: ResultStore, change: str) -> None:
    fill(store)
    with pytest.raises(sqlite3.IntegrityError):
        store._db.execute(f"UPDATE {change}")


def fill(store: ResultStore) -> None:
    """A row in every table."""
    store.append(RUN.id, make_cell())
    store.claim(make_claim())
    store.curve(RUN.id, Curve("tiny", {64: {1: 10.0}}))
    store.retract(make_claim().id, "wrong")
    store.finish(RUN.id, "complete", "the canary was slow")


def test_a_complete_run_is_over(store: ResultStore) -> None:
    store.finish(RUN.id, "complete")
    with pytest.raises(sqlite3.IntegrityError, match="no more cells"):
        store.append(RUN.id, make_cell())
    with pytest.raises(RequestError, match="is complete"):
        store.begin(RUN)


@pytest.mark.parametrize("state", ["interrupted", "failed"])
def test_a_run_that_was_stopped_goes_on(store: ResultStore, state: str) -> None:
    store.append(RUN.id, make_cell())
    store.finish(RUN.id, state)  # type: ignore[arg-type]
    assert store.run(RUN.id).ended
    store.begin(replace(RUN, arguments=("--resume",), attestation={}, started=5.0))
    found = store.run(RUN.id)
    assert (found.state, found.ended, found.arguments, found.started) == ("running", None, RUN.arguments, RUN.started)
    store.append(RUN.id, make_cell(repetition=1))
    store.finish(RUN.id, "complete")
    assert len(store.cells(RUN.id)) == 2
    for other in (replace(RUN, plan={"pairs": 3}), replace(RUN, arms=ARMS[:1]), replace(RUN, kind="sweep")):
        with pytest.raises(RequestError):
            store.begin(other)


def test_another_plan_under_the_same_id_is_refused(store: ResultStore) -> None:
    with pytest.raises(RequestError, match="another plan"):
        store.begin(replace(RUN, plan={"pairs": 3}))
    assert store.run(RUN.id).plan == {"pairs": 2}


def test_a_suspect_run_stays_suspect(store: ResultStore) -> None:
    store.finish(RUN.id, "interrupted", "canary slow")
    store.finish(RUN.id, "complete")
    assert store.condition(RUN.id) == ("suspect", "canary slow")


def test_reasons_to_doubt_a_run_add_up(store: ResultStore) -> None:
    for reason in ("canary slow", "canary slow", "clock set"):
        store.finish(RUN.id, "interrupted", reason)
    assert store.run(RUN.id).suspect == "canary slow; clock set"


def test_runs_are_found_by_kind_newest_first_and_by_prefix(store: ResultStore) -> None:
    store.begin(make_run("20260102-000000-bbbb", 2000.0, kind="sweep"))
    store.begin(make_run("20260102-000000-cccc", 2001.0))
    assert [run.id[-4:] for run in store.runs()] == ["cccc", "bbbb", "aaaa"]
    assert [run.id[-4:] for run in store.runs("compare")] == ["cccc", "aaaa"]
    assert store.run("20260101").id == RUN.id
    with pytest.raises(RequestError, match="begins the names of 2 runs"):
        store.run("20260102")
    with pytest.raises(UnknownName) as caught:
        store.run("20260102-000000-bbbd")
    assert "did you mean '20260102-000000-bbbb'?" in caught.value.hint
    for unknown in ("", "nothing-like-it"):
        with pytest.raises((UnknownName, RequestError)):
            store.run(unknown)
    with pytest.raises(UnknownName):
        store.finish("nowhere", "complete")


def test_an_empty_store_has_no_names(path: Path) -> None:
    with ResultStore.open(path) as store, pytest.raises(UnknownName, match="none yet"):
        store.run("a")


def test_ids_sort_by_time_and_differ() -> None:
    first, second = new_id(1_700_000_000), new_id(1_700_000_001)
    assert len(first) == 20 and first[:15] < second[:15]
    assert len({new_id(0) for _ in range(50)}) > 45


def test_a_claim_made_again_is_one_claim(store: ResultStore) -> None:
    unsure = make_claim(task="all", low=math.nan, high=math.inf, value=2)
    for _ in range(2):
        store.claim(make_claim())
        store.claim(unsure)
    assert len(store.claims()) == 2
    with pytest.raises(RequestError, match="says something else"):
        store.claim(make_claim(value=9.0))
    found = store.claims()[1]
    assert math.isnan(found.low) and found.high == math.inf


def test_retracting_a_run_takes_its_claims_down_and_marks_who_cites_them(store: ResultStore, tmp_path: Path) -> None:
    other = make_run("20260102-000000-bbbb", 2000.0)
    store.begin(other)
    mine, second, theirs = make_claim(), make_claim(task="all"), make_claim(other.id)
    for claim in (mine, second, theirs):
        store.claim(claim)
    store.cite("report-1", tmp_path / "one.html", [mine.id, theirs.id])
    store.cite("report-2", tmp_path / "two.html", [theirs.id])
    reach = store.retract(RUN.id[:8], " one prompt only ", clock=lambda: 5.0)
    assert (reach.retraction.what, reach.retraction.id, reach.retraction.at) == ("run", RUN.id, 5.0)
    assert reach.claims == (mine.id, second.id)
    assert [(report.id, report.retracted) for report in reach.reports] == [("report-1", (mine.id,))]
    assert [claim.standing for claim in store.claims()] == ["retracted", "retracted", "optimum"]
    assert store.claims(RUN.id)[0].reason == "its run was retracted: one prompt only"
    assert store.claims(standing="optimum") == [theirs]
    assert [claim.id for claim in store.claims(standing="retracted")] == list(reach.claims)
    assert store.run(RUN.id).retracted == "one prompt only"
    assert not store.coverage()
    with pytest.raises(RequestError, match="already: one prompt only"):
        store.retract(RUN.id, "again")


def test_one_claim_may_be_retracted(store: ResultStore, tmp_path: Path) -> None:
    store.claim(make_claim())
    store.claim(make_claim(task="all"))
    reach = store.retract(make_claim().id, "warm cache")
    assert (reach.retraction.what, reach.claims) == ("claim", (make_claim().id,))
    assert [(claim.standing, claim.reason) for claim in store.claims()] == [
        ("retracted", "warm cache"),
        ("optimum", ""),
    ]
    with pytest.raises(UnknownName, match="unknown claim"):
        store.retract(f"{RUN.id}/suffix/edot", "typo")
    with pytest.raises(RequestError, match="needs a reason"):
        store.retract(RUN.id, " ")


def test_a_report_counts_as_it_was_last_written(store: ResultStore, tmp_path: Path) -> None:
    store.claim(make_claim())
    store.claim(make_claim(task="all"))
    store.cite("a", tmp_path / "report.html", [make_claim().id, make_claim(task="all").id])
    store.cite("b", tmp_path / "report.html", [make_claim(task="all").id], clock=lambda: 7.0)
    (report,) = store.reports()
    assert (report.id, report.written, report.claims) == ("b", 7.0, (make_claim(task="all").id,))
    store.cite("b", tmp_path / "report.html", [make_claim().id])
    assert store.reports()[0].claims == (make_claim().id,)


def test_a_whole_run_is_stored_or_nothing_of_it(store: ResultStore) -> None:
    stored = StoredRun(id="other", kind="external", started=1.0, arms=ARMS, state="complete", ended=2.0)
    broken = WholeRun(run=stored, cells=(make_cell(), make_cell(status="odd")))
    with pytest.raises(RequestError, match="can't be stored: CHECK"):
        store.add(broken)
    assert len(store.runs()) == 1
    wrongs: list[dict[str, Any]] = [
        {"seconds": "fast"}, {"tokens": 1.5}, {"tokens": []}, {"warm": "no"}, {"answer": None},
    ]  # fmt: skip
    for wrong in wrongs:
        with pytest.raises(RequestError, match="can't be stored"):
            store.add(replace(broken, cells=(make_cell(**wrong),)))
    store.add(replace(broken, cells=(make_cell(),)))
    assert store.run("other").cells == 1
    with pytest.raises(RequestError, match="already stored"):
        store.add(replace(broken, cells=()))


def test_a_run_that_was_killed_is_interrupted_once_another_begins(store: ResultStore) -> None:
    store.begin(replace(RUN, id="killed"))
    store.begin(replace(RUN, id="next"))
    assert (store.run("killed").state, store.run("next").state) == ("interrupted", "running")


def add_canaries(
    store: ResultStore, number: int, attestation: Mapping[str, Any], state: Any = "complete", suspect: str = ""
) -> None:
    """A run with two canaries of 3 tokens a second on average, times its number, and two that don't count."""
    name = f"canary {number}"
    store.begin(replace(RUN, id=name, started=float(number), attestation=attestation))
    for seconds, status in ((2.0, "ok"), (4.0, "ok"), (0.1, "failed"), (0.1, "tainted")):
        rate: dict[str, Any] = {"tokens": 8 * (number + 1), "seconds": seconds, "status": status}
        store.append(name, make_cell(arm="canary", prompt="canary", figures={"model": "m"}, **rate))
    if state != "running":
        store.finish(name, state, suspect)


def test_canaries_are_told_of_the_same_host_and_build(store: ResultStore) -> None:
    host = {"cpu": "Made 9", "cores": 2, "quota": None, "engine": "b1", "load": [1.0, 1.0, 1.0]}
    for number, attestation in enumerate([host, host, host | {"engine": "b2"}, host | {"load": [9.0, 9.0, 9.0]}, {}]):
        add_canaries(store, number, attestation)
    mine = replace(RUN, id="canary 1", attestation=host)
    assert store.canaries(mine, "m") == [3.0, 12.0]
    assert store.canaries(mine, "another model") == []
    store.retract("canary 3", "wrong clock")
    assert store.canaries(mine, "m") == [3.0]


def test_what_is_unfinished_or_suspect_says_nothing_of_the_usual_canary(store: ResultStore) -> None:
    for number, (state, suspect) in enumerate(
        [("complete", ""), ("complete", "slow"), ("interrupted", ""), ("failed", ""), ("running", "")]
    ):
        add_canaries(store, number, RUN.attestation, state, suspect)
    assert store.canaries(replace(RUN, id="mine"), "m") == [3.0]


def test_a_store_of_a_newer_version_is_left_alone(path: Path) -> None:
    ResultStore.open(path).close()
    sql(path, "PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(StateFileError, match=r"has version 99, .* up to 1") as caught:
        ResultStore.open(path)
    assert "upgrade" in caught.value.hint
    assert path.read_bytes() == before


def test_another_programs_database_is_left_alone(path: Path) -> None:
    sql(path, "CREATE TABLE bookmarks (name TEXT)")
    with pytest.raises(StateFileError, match="another program"):
        ResultStore.open(path)


@pytest.mark.parametrize("damage", ["text", "header", "middle", "cut"])
def test_a_damaged_store_is_refused_in_one_line(path: Path, damage: str) -> None:
    with ResultStore.open(path) as store:
        store.begin(RUN)
        for number in range(40):
            store.append(RUN.id, make_cell(repetition=number, answer="x" * 500))
    whole = path.read_bytes()
    path.write_bytes(
        {
            "text": b"this was a database once, I swear\n" * 300,
            "header": b"\0" * 100 + whole[100:],
            "middle": whole[:4096] + b"\xa5" * (len(whole) - 4096),
            "cut": whole[: len(whole) // 2],
        }[damage]
    )
    with pytest.raises(StateFileError, match=r"can't be .*: it is damaged") as caught, ResultStore.open(path) as store:
        store.cells(RUN.id)
    assert "\n" not in str(caught.value) and caught.value.hint


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateFileError, match="can't be opened: file exists"):
        ResultStore.open(tmp_path / "file" / FILE)
    with pytest.raises(StateFileError, match="can't be opened"):
        ResultStore.open(tmp_path)


def test_a_full_disk_in_mid_run_loses_only_what_did_not_fit(store: ResultStore) -> None:
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages + 4}")
    stored = 0
    with pytest.raises(StateFileError, match="the disk is full") as caught:
        while stored < 1000:
            store.append(RUN.id, make_cell(repetition=stored, answer="x" * 1000))
            stored += 1
    assert "free some space" in caught.value.hint and "gone on with" in caught.value.hint
    assert 0 < stored == len(store.cells(RUN.id))
    store._db.execute(f"PRAGMA max_page_count = {pages + 4000}")
    store.append(RUN.id, make_cell(repetition=stored, answer="x" * 1000))
    store.finish(RUN.id, "complete")
    assert [cell.repetition for cell in store.cells(RUN.id)] == list(range(stored + 1))


def test_a_file_that_may_not_grow_loses_only_what_did_not_fit(path: Path) -> None:
    """The kernel refuses the write itself, as a full disk does; in a child, because the limit can't be lifted."""
    script = (
        "import resource, sys\nfrom pathlib import Path\nfrom slipstream.bench.store import ResultStore\n"
        "from slipstream.core.errors import StateFileError\nfrom tests.bench.stored import make_cell, make_run\n"
        "store = ResultStore.open(Path(sys.argv[1]))\nstore.begin(make_run())\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({400_000}, {resource.RLIM_INFINITY}))\n"
        "number = 0\n"
        "try:\n"
        "    while number < 1000:\n"
        "        store.append(make_run().id, make_cell(repetition=number, answer='x' * 2000))\n"
        "        number += 1\n"
        "except StateFileError as error:\n"
        "    print(error)\n"
        "print(number, len(store.cells(make_run().id)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, path], cwd=REPO, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    told, counts = done.stdout.splitlines()
    assert "can't be written" in told and "free some space" in told
    stored, seen = map(int, counts.split())
    assert 0 < stored < 1000 and seen == stored
    with ResultStore.open(path) as store:
        assert [cell.repetition for cell in store.cells(RUN.id)] == list(range(stored))
        store.append(RUN.id, make_cell(repetition=stored))
        store.finish(RUN.id, "complete")


def test_a_writer_that_waits_too_long_says_why(store: ResultStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store._db.execute("PRAGMA busy_timeout = 10")
    with pytest.raises(StateFileError, match="another process is writing"):
        store.append(RUN.id, make_cell())
    other.close()
    store.append(RUN.id, make_cell())
