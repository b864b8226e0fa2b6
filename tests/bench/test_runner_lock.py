"""One runner at a time, across real processes; what a dead one left behind is no obstacle."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slipstream.bench.runner_lock import Holder, RunnerLock, holder
from slipstream.core.errors import StateFileError

SCRIPT = """
import sys, time
from pathlib import Path
from slipstream.bench.runner_lock import RunnerLock
with RunnerLock(Path(sys.argv[1]), clock=lambda: 1_700_000_000.0):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "store")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_runner_is_told_who_runs_and_since_when(other: subprocess.Popen[str], tmp_path: Path) -> None:
    with pytest.raises(StateFileError, match=rf"process {other.pid} since 2023-11-1\d \d\d:\d\d:20"):
        RunnerLock(tmp_path / "store").__enter__()
    assert holder(tmp_path / "store") == Holder(other.pid, 1_700_000_000.0)


def test_the_lock_dies_with_its_process(other: subprocess.Popen[str], tmp_path: Path) -> None:
    os.kill(other.pid, signal.SIGKILL)
    other.wait(30)
    assert (tmp_path / "store.lock").exists()
    assert holder(tmp_path / "store") is None
    with RunnerLock(tmp_path / "store"):
        found = holder(tmp_path / "store")
        assert found is not None and found.pid == os.getpid()
        with pytest.raises(StateFileError, match="running already"):
            RunnerLock(tmp_path / "store").__enter__()


def test_it_is_free_again_afterwards(tmp_path: Path) -> None:
    lock = RunnerLock(tmp_path / "folder" / "store")
    for _ in range(2):
        with lock:
            assert holder(tmp_path / "folder" / "store")
        assert holder(tmp_path / "folder" / "store") is None


def test_an_unreadable_lock_file_still_locks(tmp_path: Path) -> None:
    with RunnerLock(tmp_path / "store"):
        (tmp_path / "store.lock").write_text("what?")
        assert str(holder(tmp_path / "store")) == "another process"


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateFileError, match="can't be opened: file exists"):
        RunnerLock(tmp_path / "file" / "store").__enter__()
