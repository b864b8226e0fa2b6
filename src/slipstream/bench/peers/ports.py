"""What a peer is given, what it answers, and one way of running it: the words that all peers share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from slipstream.bench.runner import Measures
from slipstream.bench.workload import Prompt

MISSING = "not installed"


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt with what it is in the model's tokens: every peer is given the same ones."""

    prompt: Prompt
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What all arms of a run are given alike: questions by their prompt's id. `warm_up` is a text that is none of them:
    the first pass of a process touches pages that later ones find warm. An answer ends at one of `ends` or after
    `max_tokens`. `context` is in tokens. Past `load_seconds` and `answer_seconds` a peer is ended. `scratch` is a
    folder for files of the run."""

    model: Path
    questions: Mapping[str, Question]
    warm_up: tuple[int, ...]
    ends: frozenset[int]
    max_tokens: int
    threads: int
    context: int
    scratch: Path
    draft_model: Path | None = None
    load_seconds: float = 900.0
    answer_seconds: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer as it came in: `arrivals` holds (seconds since the question was put, tokens by then). `engine_rate` is
    the engine's own figure, for the tokens after the first."""

    tokens: tuple[int, ...]
    arrivals: tuple[tuple[float, int], ...]
    engine_rate: float | None = None
    started: float = 0.0
    figures: Mapping[str, Any] = field(default_factory=dict)


class Starts(Measures, Protocol):
    """An arm that starts a process for every block."""

    @property
    def argv(self) -> Sequence[str]:
        """The command line, but for what differs from block to block."""
        ...


@dataclass(frozen=True, slots=True)
class Setting:
    """One way of running one peer: an arm, started afresh for every block. `open` is None where it can't be run, and
    `problem` says why."""

    peer: str
    name: str
    configuration: Mapping[str, Any] = field(default_factory=dict)
    open: Callable[[Job], Starts] | None = None
    problem: str = ""

    @property
    def arm(self) -> str:
        """The arm's name in the store."""
        return f"{self.peer} {self.name}"

    @property
    def absent(self) -> bool:
        """Whether the peer isn't there at all."""
        return self.problem.startswith(MISSING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a peer may choose from when it lists its settings: lengths of drafts, a draft model, the model's own
    next-token head if it has one, and another binary than the installed one."""

    lengths: tuple[int, ...]
    draft_model: Path | None = None
    native_head: bool = False
    binary: Path | None = None
