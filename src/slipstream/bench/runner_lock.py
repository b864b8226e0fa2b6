"""One measurement at a time: two at once would measure each other."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from slipstream.core.errors import StateFileError
from slipstream.storage.files import state_error


@dataclass(frozen=True, slots=True)
class Holder:
    """Who measures: process id, and since when, in seconds since the epoch; 0 where it couldn't be read."""

    pid: int
    since: float

    def __str__(self) -> str:
        who = f"process {self.pid}" if self.pid else "another process"
        return f"{who} since {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(self.since))}" if self.since else who


class RunnerLock:
    """Held within `with`, beside the result store at `path`, as PATH.lock.

    The kernel holds it (flock) for as long as the file is open, so it ends with the process, however that dies, and a
    lock file that was left behind means nothing. Raises StateFileError if another run holds it, naming its process, or
    if the file can't be written.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path = path.with_name(path.name + ".lock")
        self.clock = clock
        self._file = -1

    def __enter__(self) -> "RunnerLock":
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise state_error("opened", self.path, error) from error
        try:
            self._hold()
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def _hold(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateFileError(
                f"a benchmark is running already: {_read(self._file)}",
                hint="wait until it is done; two at once would slow each other down",
            ) from None
        except OSError as error:
            raise state_error("locked", self.path, error) from error
        try:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, json.dumps({"pid": os.getpid(), "since": self.clock()}).encode(), 0)
        except OSError as error:
            raise state_error("written", self.path, error) from error

    def _release(self) -> None:
        os.close(self._file)
        self._file = -1


def holder(path: Path) -> Holder | None:
    """Who measures into the result store at `path` now; None if nobody does."""
    with contextlib.suppress(OSError), path.with_name(path.name + ".lock").open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read(file.fileno())
    return None


def _read(file: int) -> Holder:
    try:
        value = json.loads(os.pread(file, 200, 0))
        return Holder(int(value["pid"]), float(value["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Holder(0, 0.0)
