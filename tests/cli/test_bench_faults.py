"""What may go wrong around a benchmark: bad prompts, a second runner, a full disk, a hanging child, being ended.
Nothing that was measured is ever lost."""

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from slipstream.bench.runner_lock import RunnerLock
from slipstream.bench.store import FILE, ResultStore
from slipstream.cli import main as cli
from slipstream.cli import paired
from tests.cli.conftest import Refuses, command, one_line, slipstream

REQUEST, STATE = 2, 6
PROMPT = {"id": "one", "task": "copy", "prompt": "Repeat: apples, pears, plums."}
QUICK = ("-n", "4", "-p", "2", "--others", "1", "--no-canary", "--no-control")


def compare(folder: Path, *arguments: object) -> list[str]:
    """A short comparison on one prompt."""
    file = folder / "prompts.jsonl"
    file.write_text(json.dumps(PROMPT) + "\n")
    return ["bench", "compare", "--workload", str(file), *QUICK, *map(str, arguments)]


def results(own_world: Path) -> Path:
    return own_world / "root" / "results" / FILE


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no prompt"),
        ('{"id": "a", "task": "b", "prompt": "Why?"}\n{"id": ', "line 2: not JSON"),
        ('{"id": "a", "task": "b", "prompt": "Why?"}\n\n{"id": "c", "task": "b"}', "line 3: no prompt"),
        ('{"id": "a", "task": "b", "prompt": "Why?"}\n{"id": "a", "task": "b", "prompt": "How?"}',
         "line 2: id 'a' occurs twice, first in line 1"),
    ],
)  # fmt: skip
def test_a_workload_that_can_not_be_read(refuses: Refuses, tiny: Path, own_world: Path, text: str, says: str) -> None:
    file = own_world / "prompts.jsonl"
    file.write_text(text)
    for name in ("compare", "sweep", "peers"):
        vary = ("--vary", "draft_length=8") if name == "sweep" else ()
        refuses(REQUEST, says, "bench", name, "--workload", file, *vary)
    assert not results(own_world).exists()


def test_two_runners_at_once(refuses: Refuses, tiny: Path, own_world: Path) -> None:
    with RunnerLock(results(own_world)):
        said = refuses(STATE, r"a benchmark is running already: process \d+ since", *compare(own_world))
    assert "wait until it is done" in said and not results(own_world).exists()


def test_a_store_of_a_newer_version(refuses: Refuses, tiny: Path, own_world: Path) -> None:
    results(own_world).parent.mkdir(parents=True)
    ResultStore.open(results(own_world)).close()
    db = sqlite3.connect(results(own_world))
    db.execute("PRAGMA user_version = 99")
    db.close()
    before = results(own_world).read_bytes()
    said = refuses(STATE, "has version 99, and this Slipstream knows versions up to", *compare(own_world))
    assert "upgrade Slipstream" in said and results(own_world).read_bytes() == before


@pytest.fixture
def small_disk(own_world: Path) -> Iterator[Path]:
    """The folder of results, on a file system of 600 KB."""
    folder = own_world / "root" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=600k", "slipstream-test", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, timeout=10, check=False).returncode:
        pytest.skip("not allowed to mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], capture_output=True, timeout=10, check=False)


def test_a_disk_that_fills_up_in_mid_run(tiny: Path, small_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own_world = small_disk.parent.parent
    assert cli.main(compare(own_world)) == 0
    (small_disk / "ballast").write_bytes(bytes(300_000))
    capsys.readouterr()
    assert cli.main(compare(own_world, "-p", 40)) == STATE
    printed = capsys.readouterr().err
    said = one_line(printed[printed.index("error: ") :], "the disk is full")
    with ResultStore.open(small_disk / FILE) as store:
        run, earlier = store.runs()
        assert f"slipstream bench compare --resume {run.id}" in said
        assert 0 < run.cells < 120 and earlier.state == "complete"
        held = store.cells(run.id)
    (small_disk / "ballast").unlink()
    assert cli.main(["bench", "compare", "--resume", run.id]) in (0, STATE)  # may fill up again: it is a small disk
    with ResultStore.open(small_disk / FILE) as store:
        assert store.cells(run.id)[: len(held)] == held and store.run(run.id).cells > len(held)


HANGS = """
import json, sys, time
job = json.load(open(sys.argv[-1]))
print(json.dumps({"ready": {"model": "m.gguf", "curve": None}}), flush=True)
for prompt in job["prompts"]:
    if job["arm"] == "other":
        print("as far as it came", file=sys.stderr, flush=True)
        time.sleep(60)
    cell = {"arm": job["arm"], "prompt": prompt["id"], "task": prompt["task"], "repetition": job["repetition"]}
    print(json.dumps({"cell": cell | {"tokens": 20, "seconds": 2.0, "token_ids": [1]}}), flush=True)
"""


def test_a_child_that_hangs(
    tiny: Path, own_world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(paired, "_command", lambda settings: [sys.executable, "-I", "-S", "-c", HANGS])
    arms = ("--arm", "plain: draft=off", "--arm", "other: draft=off,threads=2")
    begin = time.monotonic()
    assert cli.main(compare(own_world, *arms, "--limit", "0.3")) == 0
    assert time.monotonic() - begin < 20
    printed = capsys.readouterr().out
    assert "other failed: the child that measures 'other' was ended: it took over 0.3 s" in printed
    with ResultStore.open(results(own_world)) as store:
        ours = store.cells(store.runs()[0].id, "other")
    assert [(cell.status, cell.figures) for cell in ours] == [("failed", {"said": "as far as it came"})] * 2


@pytest.mark.parametrize(("name", "code", "fresh"), [("SIGTERM", 143, False), ("SIGHUP", 129, True)])
def test_being_ended_keeps_what_was_measured(root: Path, own_world: Path, name: str, code: int, fresh: bool) -> None:
    line = compare(own_world, "-p", 4, *(["--fresh"] if fresh else []))
    process = subprocess.Popen(
        command(*line), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 40
        while process.poll() is None and _cells(results(own_world)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(getattr(signal, name))
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == code, err
    assert [child for child in children if _runs(child)] == [] and (children or not fresh)
    with ResultStore.open(results(own_world)) as store:
        (run,) = store.runs()
        held = store.cells(run.id)
    assert run.state == "interrupted" and len(held) >= 2 and run.claims == 0
    assert f"interrupted; go on with: slipstream bench compare --resume {run.id}" in err
    assert f"stored as {run.id}" in out
    if fresh:
        return
    answer = slipstream("bench", "compare", "--resume", run.id)
    assert answer.returncode == 0, answer.stderr
    with ResultStore.open(results(own_world)) as store:
        assert store.run(run.id).state == "complete"
        assert store.cells(run.id)[: len(held)] == held


def _runs(process: psutil.Process) -> bool:
    """Not so a zombie, which only waits for somebody to look at its exit code."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _cells(path: Path) -> int:
    """How many a run under way has stored."""
    if not path.exists():
        return 0
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return int(db.execute("SELECT COUNT(*) FROM cells").fetchone()[0])
    except sqlite3.OperationalError:  # it is just being made
        return 0
    finally:
        db.close()
