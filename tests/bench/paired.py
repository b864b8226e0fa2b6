"""Cells, stores and arms for tests of paired measurements; none of them takes time."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from slipstream.bench.cell import Arm, Cell, Run
from slipstream.bench.claim import Claim
from slipstream.bench.runner import State
from slipstream.bench.schedule import Block
from slipstream.bench.workload import Prompt
from slipstream.core.errors import EngineError

BASE, AGAIN, OTHER = "plain", "plain, again", "stack"
ARMS = (
    Arm(name=BASE, role="baseline"),
    Arm(name=AGAIN, role="repeat"),
    Arm(name=OTHER, role="candidate"),
)


def cell(arm: str, prompt: str, repetition: int = 0, rate: float = 10.0, **more: Any) -> Cell:
    """A hundred tokens at `rate` tokens a second; the prompt's task is what stands before its number."""
    given: dict[str, Any] = {"task": prompt.rstrip("0123456789"), "tokens": 100, "seconds": 100 / rate} | more
    return Cell(arm=arm, prompt=prompt, repetition=repetition, **given)


def prompts(*names: str) -> tuple[Prompt, ...]:
    """Prompts whose task is what stands before their number."""
    return tuple(Prompt(name, name.rstrip("0123456789"), f"text of {name}") for name in names)


def run_of(*arms: Arm) -> Run:
    """A run of these arms, or of the usual three."""
    return Run(id="run", kind="test", started=0.0, arms=arms or ARMS)


@dataclass
class MemoryStore:
    """Keeps what it is given, and fails where it is told to."""

    run: Run | None = None
    held: list[Cell] = field(default_factory=list)
    ends: list[tuple[State, str]] = field(default_factory=list)
    claimed: list[Claim] = field(default_factory=list)
    fails_at: int = -1

    def begin(self, run: Run, /) -> None:
        self.run = run

    def append(self, run: str, cell: Cell, /) -> None:
        if len(self.held) == self.fails_at:
            raise EngineError("the disk is full")
        self.held.append(cell)

    def finish(self, run: str, state: State, suspect: str = "", /) -> None:
        self.ends.append((state, suspect))

    def cells(self, run: str, /) -> Sequence[Cell]:
        return list(self.held)

    def claim(self, claim: Claim, /) -> None:
        self.claimed.append(claim)


@dataclass
class Machine:
    """A computer on which cells vary by `noise` (a standard deviation of logarithms) and which has lost `drift` of its
    speed after `cells`. With `tails` the noise is Student's with 3 degrees of freedom, and a cell in 20 takes up to
    half as long again; `walk` is how far the speed wanders from cell to cell."""

    seed: int
    cells: int
    noise: float = 0.04
    drift: float = 0.05
    tails: bool = False
    walk: float = 0.0
    done: int = 0
    wandered: float = 0.0

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)

    def rate(self, speed: float) -> float:
        """Tokens a second that an arm of this speed gets in the next cell."""
        self.done += 1
        slowed = 1 - self.drift * self.done / self.cells
        self.wandered += self.random.normal(0, self.walk)
        noise = self.random.normal(0, self.noise)
        if self.tails:
            noise = self.random.standard_t(3) * self.noise / math.sqrt(3)
            if self.random.random() < 0.05:
                noise -= self.random.uniform(0, math.log(1.5))
        return speed * slowed * math.exp(self.wandered + noise)


@dataclass
class Scripted:
    """An arm that does what `what(prompt, repetition)` says: a rate, or an exception to raise. `events` records it."""

    name: str
    events: list[Any]
    what: Callable[[str, int], float | BaseException] = lambda prompt, repetition: 10.0
    running: bool = False

    def start(self, block: Block) -> None:
        assert not self.running
        self.running = True
        self.events.append(("start", self.name, block.repetition, block.prompts))

    def measure(self, prompt: Prompt, repetition: int) -> Cell:
        assert self.running
        self.events.append((self.name, prompt.id, repetition))
        found = self.what(prompt.id, repetition)
        if isinstance(found, BaseException):
            raise found
        return cell("whose", prompt.id, repetition, found, started=float(len(self.events)))

    def stop(self) -> None:
        self.running = False
