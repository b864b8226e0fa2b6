"""Failures a user can meet: each says what, where and why, and what to do next; `code` is stable."""

import difflib
from collections.abc import Iterable


class SlipstreamError(Exception):
    """Base of every expected failure.

    `message` is one line naming what failed, where and why; `hint` says what to do next.
    """

    code = "error"
    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}" if self.hint else self.message


class RequestError(SlipstreamError):
    """The request contradicts itself or asks for what does not exist."""

    code = "bad-request"
    exit_code = 2


class UnknownName(RequestError):
    """A name that is not in the table it was looked up in."""

    code = "unknown-name"

    def __init__(self, kind: str, name: str, valid: Iterable[str]) -> None:
        names = sorted(valid)
        near = difflib.get_close_matches(name, names, n=1)
        guess = f"did you mean {near[0]!r}? " if near else ""
        super().__init__(f"unknown {kind} {name!r}", hint=f"{guess}valid: {', '.join(names)}")


class ModelFileError(SlipstreamError):
    """The model file is missing, truncated, or not a GGUF this engine can load."""

    code = "model-file"
    exit_code = 3


class MemoryShortage(SlipstreamError):
    """Weights, KV and headroom exceed the memory that is available."""

    code = "memory-short"
    exit_code = 4


class ContextOverflow(SlipstreamError):
    """More tokens than the context (or than the model was made for)."""

    code = "context-overflow"
    exit_code = 5


class StateFileError(SlipstreamError):
    """A file of ours could not be read or written (damaged, read-only, full disk, in use)."""

    code = "state-file"
    exit_code = 6


class EngineError(SlipstreamError):
    """llama.cpp refused or failed at something that should have worked."""

    code = "engine"
    exit_code = 7


class ChildError(SlipstreamError):
    """A program that was started to measure or be measured failed, hung or wrote without end; it runs no more.

    `said` is what it wrote and nobody read yet, the end of it.
    """

    code = "child"
    exit_code = 9

    def __init__(self, message: str, *, hint: str = "", said: str = "") -> None:
        super().__init__(message, hint=hint)
        self.said = said


class ParityError(SlipstreamError):
    """Exact mode was asked for where no class of batch widths agrees bit for bit."""

    code = "no-parity"
    exit_code = 8
