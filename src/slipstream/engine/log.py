"""llama.cpp's own log: kept in memory, so that its reason can be quoted; shown only when asked for."""

import ctypes
import sys
from collections import deque
from typing import Any

from llama_cpp import llama_cpp as library

WARNING, ERROR, CONTINUATION = 3, 4, 5
KEPT_LINES = 64

_lines: deque[tuple[int, str]] = deque(maxlen=KEPT_LINES)
_verbose = False
_last_level = 0


def _receive(level: int, text: bytes | None, _user_data: Any) -> None:
    global _last_level
    if level == CONTINUATION:
        level = _last_level
    _last_level = level
    if not text:
        return
    if _verbose:
        sys.stderr.write(text.decode("utf-8", "replace"))
    elif level < WARNING or level > ERROR:
        return
    line = text.decode("utf-8", "replace").strip()
    if line:
        _lines.append((level, line))


# Kept for the life of the process: llama.cpp holds the pointer.
_callback = library.llama_log_callback(_receive)


def install(*, verbose: bool = False) -> None:
    """Route the log here (llama-cpp-python's own printer is replaced). Safe to call again."""
    global _verbose
    _verbose = verbose
    library.llama_log_set(_callback, ctypes.c_void_p(0))


def forget() -> None:
    """Drop what was kept, so that the next `reason` speaks of the next call only."""
    _lines.clear()


def reason(default: str = "llama.cpp gave no reason") -> str:
    """The most telling line since `forget`, on one line: the first error (later ones only report that it failed), else
    the last warning."""
    errors = [line for level, line in _lines if level == ERROR]
    warnings = [line for level, line in _lines if level == WARNING]
    line = errors[0] if errors else warnings[-1] if warnings else default
    return one_line(line)


def one_line(text: str, limit: int = 300) -> str:
    """`text` with white space folded and cut to `limit` characters."""
    folded = " ".join(text.split())
    return folded if len(folded) <= limit else folded[: limit - 3] + "..."
