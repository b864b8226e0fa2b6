"""A child process on a short leash: nothing to read, limits on its time and its output, and an end that is checked
(invariant I6; requirements R27, R28, R30)."""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from slipstream.core.errors import ChildError

MOST_OUTPUT = 64 << 20
"""Bytes of standard output and standard error together."""
GRACE = 3.0
"""Seconds to end in after being asked to; the same again after being forced."""
PIECE = 1 << 16
LOOK = 0.2
"""Seconds after which it is looked whether a silent child still runs: it may have left its pipes to others."""
PAUSE = 0.01
MOMENT = 0.001
SAID = 4000
"""Characters of what a failed child wrote that are kept with the failure."""

Why = Literal["exited", "time limit", "output cap", "stopped"]


@dataclass(frozen=True, slots=True)
class Ended:
    """A child that is gone: why, how (its exit code, or minus the signal that ended it), what it wrote up to then, how
    many seconds it lived, and exactly what was run."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    why: Why
    code: int
    output: str
    errors: str
    seconds: float

    @property
    def last_words(self) -> str:
        """The last line it wrote, on standard error if there is one."""
        return last_words(self.errors.strip() or self.output.strip())

    @property
    def how(self) -> str:
        """How it ended, in words."""
        return f"with code {self.code}" if self.code >= 0 else f"by signal {-self.code}"


def last_words(text: str) -> str:
    """The last line of what a program wrote; of ours, which end with an error and its hint, both."""
    lines = [line.strip() for line in text.splitlines()]
    if len(lines) > 1 and lines[-1].startswith("hint: ") and lines[-2].startswith("error: "):
        return f"{lines[-2]}, {lines[-1]}"[-300:]
    return lines[-1][-200:] if lines else ""


class Child:
    """A started process in a process group of its own, with an empty standard input and exactly this environment.

    Not for several threads. Its output is taken in while a line or its end is waited for, and by `take_in`; in between
    it may fill a pipe and wait. `name` is what failures call it. ChildError if the program can't be started.
    """

    def __init__(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        *,
        name: str = "",
        most_output: int = MOST_OUTPUT,
        grace: float = GRACE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.argv, self.environment = tuple(argv), dict(environment)
        self.name = name or os.path.basename(self.argv[0])
        self._most_output, self._grace, self._clock = most_output, grace, clock
        self._begun = clock()
        try:
            self._process = subprocess.Popen(
                self.argv,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ChildError(f"{self.argv[0]} can't be started: {reason}", hint="check the program") from None
        assert self._process.stdout is not None and self._process.stderr is not None
        self._out, self._err = bytearray(), bytearray()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ, self._out)
        self._selector.register(self._process.stderr, selectors.EVENT_READ, self._err)
        self._read = 0
        self._ended: Ended | None = None

    @property
    def pid(self) -> int:
        """Its number, which is that of its process group too."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self._ended is None and not self._exited()

    def take_in(self) -> None:
        """Read what it has written, so that it never waits for a reader. ChildError past the output cap."""
        if not self._ended and self._take(self._clock() + MOMENT) == "output cap":
            raise self.failed("output cap", self._wrote_too_much)

    def line(self, seconds: float) -> str | None:
        """The next whole line of its standard output; None if there is none to come.

        ChildError if it takes longer than `seconds` or the output cap is exceeded: the child is ended then.
        """
        limit = self._clock() + seconds
        while (end := self._out.find(b"\n", self._read)) < 0:
            why = "exited" if self._ended else self._take(limit)
            if why == "exited":
                return None
            if why:
                took = f"was ended: it took over {seconds:g} s"
                raise self.failed(why, took if why == "time limit" else self._wrote_too_much)
        line = self._out[self._read : end].decode(errors="replace")
        self._read = end + 1
        return line

    def failed(self, why: Why, what: str, hint: str = "") -> ChildError:
        """End it, for what it did; the failure, to be raised, which names it and its last words."""
        ended = self.end(why)
        unread = self._out[self._read :].decode(errors="replace")
        said = "\n".join(filter(None, (unread.strip(), ended.errors.strip())))[-SAID:]
        told = f"its last words: {last_words(said)}" if said else "it said nothing"
        return ChildError(f"{self.name} {what}; {told}", hint=hint, said=said)

    def wait(self, seconds: float) -> Ended:
        """Let it run to its end, or end it at its limits."""
        limit = self._clock() + seconds
        why: Why | None = "exited" if self._ended else None
        while not why:
            why = self._take(limit)
        return self.end(why)

    def end(self, why: Why = "stopped") -> Ended:
        """End the whole group, politely and then by force, and make sure of it. Safe to repeat.

        ChildError if something of it can't be ended.
        """
        if self._ended:
            return self._ended
        gone = False
        # The process isn't reaped before its group is gone: until then its number can't become another's.
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, sign)
            limit = self._clock() + self._grace
            while not (gone := self._gone()) and self._clock() < limit:
                time.sleep(PAUSE)
            if gone:
                break
        self._close()
        if not gone:
            raise ChildError(f"{self.name} (process {self.pid}) can't be ended", hint="look for it, or reboot")
        self._ended = Ended(
            argv=self.argv,
            environment=self.environment,
            why=why,
            code=self._process.wait(),
            output=self._out.decode(errors="replace"),
            errors=self._err.decode(errors="replace"),
            seconds=self._clock() - self._begun,
        )
        return self._ended

    @property
    def _wrote_too_much(self) -> str:
        return f"was ended: it wrote over {self._most_output} bytes"

    def _take(self, limit: float) -> Why | None:
        """Take in what there is, waiting a while for it. Says why nothing more will be taken in, if so."""
        left = limit - self._clock()
        if left <= 0:
            return "time limit"
        exited = self._exited()  # asked first: what it wrote is in the pipes by then
        ready = self._selector.select(0 if exited else min(left, LOOK))
        for key, _ in ready:
            piece = os.read(key.fd, PIECE)
            key.data.extend(piece)
            if not piece:
                self._selector.unregister(key.fileobj)
        if len(self._out) + len(self._err) > self._most_output:
            return "output cap"
        return "exited" if exited and not ready else None

    def _close(self) -> None:
        """Take in what the pipes still hold, as far as the cap allows, and close them."""
        for key in list(self._selector.get_map().values()):
            os.set_blocking(key.fd, False)
            with contextlib.suppress(BlockingIOError):  # somebody outside the group holds the other end
                while (room := self._most_output - len(self._out) - len(self._err)) > 0:
                    piece = os.read(key.fd, min(PIECE, room))
                    key.data.extend(piece)
                    if not piece:
                        break
        self._selector.close()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _exited(self) -> bool:
        """Whether the process itself has ended. It is left to be reaped, where the system can tell without."""
        if not hasattr(os, "waitid"):
            return self._process.poll() is not None
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _gone(self) -> bool:
        """Whether nothing of the group runs any more; what only waits to be reaped doesn't run."""
        if not self._exited():
            return False
        import psutil

        for pid in psutil.pids():
            with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError):
                if os.getpgid(pid) == self.pid and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                    return False
        return True


def run(
    argv: Sequence[str], environment: Mapping[str, str], seconds: float, *, most_output: int = MOST_OUTPUT
) -> Ended:
    """Run a command to its end or to a limit, and keep what it wrote. Ctrl-C ends it too."""
    child = Child(argv, environment, most_output=most_output)
    try:
        return child.wait(seconds)
    finally:
        child.end()


PASSED_ON = (
    "PATH", "HOME", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONPATH", "VIRTUAL_ENV",
)  # fmt: skip
PASSED_ON_GROUPS = (
    "LC_", "XDG_", "SLIPSTREAM_", "OMP_", "GOMP_", "KMP_", "GGML_", "LLAMA_", "OPENBLAS_", "MKL_", "MALLOC_",
)  # fmt: skip


def environment(added: Mapping[str, str], inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
    """All that a measuring child gets to see: what is known to matter of our own environment, and what is added.

    A short list, so that it can be stored whole with a run: secrets of the user's shell are not on it.
    """
    kept = {name: value for name, value in inherited.items() if name in PASSED_ON or name.startswith(PASSED_ON_GROUPS)}
    return {**kept, **added}
