"""Arms of a run with peers: one in a child process of ours, one that can't be run, and what all have in common."""

import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from slipstream.bench.cell import Cell
from slipstream.bench.child import environment
from slipstream.bench.child_arm import ChildArm
from slipstream.bench.peers.ports import Job
from slipstream.bench.runner import Measures
from slipstream.bench.schedule import Block
from slipstream.bench.session_arm import Load
from slipstream.bench.workload import Prompt
from slipstream.core.errors import EngineError

PROGRAM = "slipstream.bench.peers.child"


@dataclass(slots=True)
class Watched:
    """A peer's arm, with what its engine doesn't know: the load of other processes, both clocks, the answer as text,
    and how it ended."""

    arm: Measures
    decode: Callable[[Sequence[int]], str]
    ends: Collection[int]
    max_tokens: int
    load: Load | None = None
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time

    def start(self, block: Block) -> None:
        """Start the arm."""
        self.arm.start(block)

    def stop(self) -> None:
        """Stop it."""
        self.arm.stop()

    def measure(self, prompt: Prompt, repetition: int) -> Cell:
        """The arm's cell, completed."""
        if self.load:
            self.load.begin()
        begin, started = self.clock(), self.now()
        cell = self.arm.measure(prompt, repetition)
        elapsed, wall = self.clock() - begin, self.now() - started
        busy = self.load.end().figures if self.load else {}
        tokens = answered(cell.token_ids, self.ends, self.max_tokens)
        finish = "stop" if len(tokens) < self.max_tokens else "length"
        figures = {**cell.figures, **busy, "elapsed_seconds": elapsed, "wall_seconds": wall, "finish": finish}
        return replace(cell, answer=self.decode(tokens), figures=figures)


@dataclass(frozen=True, slots=True)
class Refused:
    """An arm that can't be run: every cell fails with the reason."""

    problem: str

    def start(self, block: Block) -> None:
        """EngineError."""
        raise EngineError(self.problem)

    def stop(self) -> None:
        """Nothing runs."""

    def measure(self, prompt: Prompt, repetition: int) -> Cell:
        """EngineError."""
        raise EngineError(self.problem)


def answered(tokens: Sequence[int], ends: Collection[int], max_tokens: int) -> tuple[int, ...]:
    """What counts of an answer: engines differ in whether they give the end token out, and in what follows it."""
    end = next((place for place, token in enumerate(tokens) if token in ends), len(tokens))
    return tuple(tokens[: min(end, max_tokens)])


def child_arm(engine: str, options: Mapping[str, Any], job: Job) -> ChildArm:
    """An engine of `child.ENGINES`, opened with `options` in a process of its own."""

    def told(block: Block) -> dict[str, Any]:
        questions = [job.questions[name] for name in block.prompts]
        return {
            "engine": engine,
            "options": dict(options),
            "model": str(job.model),
            "draft_model": str(job.draft_model or ""),
            "threads": job.threads,
            "context": job.context,
            "max_tokens": job.max_tokens,
            "ends": sorted(job.ends),
            "warm_up": job.warm_up,
            "repetition": block.repetition,
            "prompts": [{"id": one.prompt.id, "task": one.prompt.task, "tokens": one.tokens} for one in questions],
        }

    argv = [sys.executable, "-m", PROGRAM]
    return ChildArm(argv, environment({}), told, job.scratch, job.load_seconds, job.answer_seconds)
