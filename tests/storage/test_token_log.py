"""The token log: what was acknowledged is there, whatever happened in between."""

import errno
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import slipstream
from slipstream.core.errors import StateFileError
from slipstream.storage.token_log import TokenLog

SOURCE = str(Path(slipstream.__file__).resolve().parent.parent)


def read(path: Path, fingerprint: str = "tok") -> list[list[int]]:
    with TokenLog(path, fingerprint) as log:
        return [list(map(int, output)) for output in log.read()]


def filled(path: Path, *outputs: list[int]) -> Path:
    with TokenLog(path, "tok") as log:
        for output in outputs:
            log.append(output)
    return path


def test_reads_back_what_was_appended(tmp_path: Path) -> None:
    path = tmp_path / "log"
    filled(path, [1, 2, 3], [], [2**31 - 1, 0])
    filled(path, [4])
    with TokenLog(path, "tok") as log:
        assert [list(output) for output in log.read()] == [[1, 2, 3], [2**31 - 1, 0], [4]]
        log.append([5])
        assert [list(output) for output in log.read()][-1] == [5]
        assert log.warnings == []


def test_replace_rewrites_all(tmp_path: Path) -> None:
    path = filled(tmp_path / "log", [1], [2], [3])
    with TokenLog(path, "tok") as log:
        log.replace([[2], np.array([3, 4])])  # type: ignore[list-item]
        log.append([5])
        assert [list(output) for output in log.read()] == [[2], [3, 4], [5]]
    assert read(path) == [[2], [3, 4], [5]]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["log", "log.lock"]


def test_a_tail_torn_at_any_byte_is_cut_off_and_told(tmp_path: Path) -> None:
    whole = filled(tmp_path / "log", [1, 2, 3], [4, 5]).read_bytes()
    start = len(filled(tmp_path / "other", [1, 2, 3]).read_bytes())
    for cut in range(start + 1, len(whole)):
        path = tmp_path / f"torn-{cut}"
        path.write_bytes(whole[:cut])
        with TokenLog(path, "tok") as log:
            assert [list(output) for output in log.read()] == [[1, 2, 3]]
            assert len(log.warnings) == 1
            assert f"{cut - start} bytes" in log.warnings[0]
            log.append([9])
        assert (tmp_path / f"torn-{cut}.damaged-1").read_bytes() == whole[start:cut]
        assert read(path) == [[1, 2, 3], [9]]


@pytest.mark.parametrize("tail", [b"\0" * 64, b"\xff" * 64, b"garbage"])
def test_garbage_behind_the_records_is_cut_off(tmp_path: Path, tail: bytes) -> None:
    path = filled(tmp_path / "log", [1, 2, 3])
    for number in (1, 2):
        path.write_bytes(path.read_bytes() + tail)
        assert read(path) == [[1, 2, 3]]
        assert (tmp_path / f"log.damaged-{number}").read_bytes() == tail


def test_a_flipped_bit_ends_the_log_before_it(tmp_path: Path) -> None:
    path = filled(tmp_path / "log", [1, 2], [3, 4])
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)
    assert read(path) == [[1, 2]]


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"GGUF" + b"\0" * 100, "no token log"), (None, "another tokenizer"), (b"slipstok" + b"\7" * 50, "version")],
)
def test_a_file_that_is_not_ours_is_put_away_whole(tmp_path: Path, content: bytes | None, why: str) -> None:
    path = tmp_path / "log"
    if content is None:
        filled(path, [1, 2])
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with TokenLog(path, "different") as log:
        assert list(log.read()) == []
        assert why in log.warnings[0]
        log.append([3])
    assert (tmp_path / "log.damaged-1").read_bytes() == before
    assert read(path, "different") == [[3]]


def test_a_header_torn_while_it_was_written_loses_nothing(tmp_path: Path) -> None:
    header = filled(tmp_path / "whole").read_bytes()
    for cut in range(len(header)):
        path = tmp_path / f"log-{cut}"
        path.write_bytes(header[:cut])
        with TokenLog(path, "tok") as log:
            assert log.warnings == []
            assert list(log.read()) == []


def test_a_second_holder_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with TokenLog(path, "tok"):
        with pytest.raises(StateFileError, match=f"process {os.getpid()}") as caught:
            TokenLog(path, "tok")
        assert "another file" in caught.value.hint
    read(path)


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = filled(tmp_path / "log", [1, 2])
    before, write = path.read_bytes(), os.write

    def full(file: int, data: bytes | memoryview) -> int:
        if len(data) > 3:
            return write(file, data[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    with TokenLog(path, "tok") as log:
        monkeypatch.setattr("slipstream.storage.token_log.os.write", full)
        with pytest.raises(StateFileError, match="disk is full"):
            log.append([7, 8, 9])
        assert path.read_bytes() == before
        monkeypatch.undo()
        log.append([3])
    assert read(path) == [[1, 2], [3]]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StateFileError, match="can't be opened"):
        TokenLog(tmp_path, "tok")
    with pytest.raises(StateFileError, match="can't be opened"):
        TokenLog(tmp_path / "missing" / "log", "tok")
    closed = TokenLog(tmp_path / "log", "tok")
    closed.close()
    closed.close()
    with pytest.raises(StateFileError, match="closed"):
        closed.append([1])


def test_a_read_only_file_system_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, flags: int, mode: int = 0o777) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("slipstream.storage.token_log.os.open", refuse)
    with pytest.raises(StateFileError, match="read-only"):
        TokenLog(tmp_path / "log", "tok")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StateFileError, match="no permission"):
        TokenLog(tmp_path / "log", "tok")


WRITER = """
import sys
from slipstream.storage.token_log import TokenLog
log = TokenLog(sys.argv[1], "tok")
number = len(log.read())
while True:
    if number and number % 50 == 0:
        log.replace([[n] * (n % 90 + 1) for n in range(number)])
    log.append([number] * (number % 90 + 1))
    number += 1
    print(number, flush=True)
"""


def test_survives_being_killed_at_any_moment(tmp_path: Path) -> None:
    path, chooser, told = tmp_path / "log", random.Random(2), 0
    for _ in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": SOURCE},
            text=True,
        ) as process:
            assert process.stdout
            process.stdout.readline()
            time.sleep(chooser.random() * 0.2)
            process.send_signal(signal.SIGKILL)
            told = max([told, *(int(line) for line in process.stdout.read().split("\n")[:-1])])
        outputs = read(path)
        assert len(outputs) >= told
        assert outputs == [[number] * (number % 90 + 1) for number in range(len(outputs))]
    assert told > 6


def test_a_million_tokens_are_read_in_well_under_100_milliseconds(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with TokenLog(path, "tok") as log:
        log.replace(np.split(np.arange(1_000_000, dtype=np.int32), 5000))  # type: ignore[arg-type]
    start = time.perf_counter()
    with TokenLog(path, "tok") as log:
        outputs = log.read()
    spent = time.perf_counter() - start
    print(f"\nread in {1e3 * spent:.1f} ms")
    assert sum(map(len, outputs)) == 1_000_000
    assert spent < 0.1
