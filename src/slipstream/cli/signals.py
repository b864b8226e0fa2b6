"""Being asked to end (SIGTERM), and a terminal that closes (SIGHUP), end a command as Ctrl-C does: what is under way is
stored, children are ended, and the exit code says which signal it was."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

NAMES = ("SIGTERM", "SIGHUP")
"""As far as the system has them."""
INTERRUPTED = 130
"""Exit code after Ctrl-C."""


@dataclass(slots=True)
class Received:
    """The signal that ended a command; 0 for none."""

    number: int = 0

    def exit_code(self, code: int) -> int:
        """What a command ends with that would have ended with `code`: 143 or 129 if a signal interrupted it."""
        return 128 + self.number if self.number and code == INTERRUPTED else code


@contextmanager
def like_ctrl_c() -> Iterator[Received]:
    """Within, these signals raise KeyboardInterrupt. One that is ignored (nohup) stays so; nor is anything changed
    outside the main thread, where Python takes no signals."""
    received = Received()

    def interrupt(number: int, frame: FrameType | None) -> None:
        received.number = number
        raise KeyboardInterrupt

    known = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        known = []
    taken = [one for one in known if signal.getsignal(one) is signal.SIG_DFL]
    for one in taken:
        signal.signal(one, interrupt)
    try:
        yield received
    finally:
        for one in taken:
            signal.signal(one, signal.SIG_DFL)
