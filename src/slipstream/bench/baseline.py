"""What the machine gives a model: prompt and token speed, verify widths and memory bandwidth, over threads, NUMA policy
and batch. Every arm of the grid is a process of its own, started anew for each repetition: where weights and threads
lie is decided at load."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from slipstream.bench.cell import Arm, Cell, Role, Run
from slipstream.bench.child import environment
from slipstream.bench.child_arm import ChildArm
from slipstream.bench.claim import Claim
from slipstream.bench.leader import Leader, leader
from slipstream.bench.roofline import Work
from slipstream.bench.runner import State, Stores
from slipstream.bench.schedule import Block
from slipstream.bench.session_arm import Load
from slipstream.bench.verdict import ALL
from slipstream.bench.workload import Prompt
from slipstream.core.errors import RequestError, UnknownName
from slipstream.engine.options import NUMA

PROGRAM = "slipstream.bench.baseline_child"
WIDTHS = (2, 3, 4, 8, 16, 64)
"""Of the verify passes: those that `control.measure` takes for a coarse curve."""
PROMPT_TOKENS, ANSWER_TOKENS = 512, 128


@dataclass(frozen=True, slots=True)
class Place:
    """One arm of the grid. With `mmap` the weights are pages of the file, which lie where whoever read them first left
    them; without, each process places its own."""

    threads: int
    numa: str
    batch: int
    mmap: bool

    @property
    def name(self) -> str:
        return f"{self.threads} threads, NUMA {self.numa}, batch {self.batch}"

    def arm(self, role: Role) -> Arm:
        """As a run describes it."""
        values = {"threads": self.threads, "numa": self.numa, "batch": self.batch, "mmap": self.mmap}
        return Arm(name=self.name if role != "repeat" else f"{self.name}, again", role=role, configuration=values)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Tokens of the prompt and of the answer, as llama.cpp's own benchmark takes them."""

    prompt: int = PROMPT_TOKENS
    answer: int = ANSWER_TOKENS

    @property
    def cells(self) -> tuple[Prompt, ...]:
        """What is measured of an arm, each a task of its own: speeds of different things are never averaged."""
        names = [f"pp{self.prompt}", f"tg{self.answer}", *(f"verify {width}" for width in WIDTHS)]
        return tuple(Prompt(name, name, "") for name in names)


def grid(
    threads: Sequence[int], numa: Sequence[str] = ("off",), batch: Sequence[int] = (512,), mmap: bool | None = None
) -> list[Place]:
    """Every combination, the first one being what others are compared with.

    `mmap` None: the file is mapped unless NUMA policies are compared, which a page that lies somewhere already would
    make all alike. UnknownName and RequestError for what can't be measured.
    """
    for policy in numa:
        if policy not in NUMA:
            raise UnknownName("NUMA policy", policy, NUMA)
    for what, values, least in (("threads", threads, 1), ("batch", batch, WIDTHS[-1])):
        if wrong := [value for value in values if value < least]:
            raise RequestError(f"{what} of {wrong[0]}", hint=f"at least {least}")
    mapped = len(set(numa)) == 1 if mmap is None else mmap
    places = [Place(*values, mapped) for values in product(threads, numa, batch)]
    if not places:
        raise RequestError("nothing to measure", hint="name a number of threads, a NUMA policy and a batch size")
    return list(dict.fromkeys(places))


@dataclass(slots=True)
class GridArm:
    """A place, measured in a child; what a token reads is held against the bandwidth of as many threads (`triad`, bytes
    a second; 0: not measured)."""

    child: ChildArm
    work: Work
    triad: float
    load: Load | None = None
    clock: Callable[[], float] = time.monotonic

    def start(self, block: Block) -> None:
        """Load the model there."""
        self.child.start(block)

    def stop(self) -> None:
        """End the child."""
        self.child.stop()

    def measure(self, prompt: Prompt, repetition: int) -> Cell:
        """The child's next cell, with what other processes took meanwhile."""
        if self.load:
            self.load.begin()
        begin = self.clock()
        cell = self.child.measure(prompt, repetition)
        figures = {**cell.figures, "elapsed_seconds": self.clock() - begin}
        if self.load:
            figures |= self.load.end().figures
        if prompt.id.startswith("tg"):
            read = self.work.bytes(1, cell.tokens // 2)
            figures |= {"bytes_per_token": round(read), "bytes_per_second": read * cell.rate, "triad": self.triad}
        return replace(cell, figures=figures)


def child_arm(place: Place, model: Path, sizes: Sizes, folder: Path, seconds: float) -> ChildArm:
    """A child that measures at a place; past `seconds` a cell is given up."""

    def told(block: Block) -> dict[str, Any]:
        return {
            "model": str(model),
            "threads": place.threads,
            "numa": place.numa,
            "batch": place.batch,
            "mmap": place.mmap,
            "prompt": sizes.prompt,
            "answer": sizes.answer,
            "cells": list(block.prompts),
            "repetition": block.repetition,
        }

    return ChildArm([sys.executable, "-m", PROGRAM], environment({}), told, folder, cell=seconds)


@dataclass(frozen=True, slots=True)
class Apart:
    """A store for the runner that takes no claim over all cells: a mean of prompt and token speed says nothing."""

    store: Stores

    def begin(self, run: Run) -> None:
        """Passed on."""
        self.store.begin(run)

    def append(self, run_id: str, cell: Cell) -> None:
        """Passed on."""
        self.store.append(run_id, cell)

    def finish(self, run_id: str, state: State, suspect: str = "") -> None:
        """Passed on."""
        self.store.finish(run_id, state, suspect)

    def cells(self, run_id: str) -> Sequence[Cell]:
        """Passed on."""
        return self.store.cells(run_id)

    def claim(self, claim: Claim) -> None:
        """Passed on, if it is about one cell."""
        if claim.task != ALL:
            self.store.claim(claim)


def leaders(cells: Sequence[Cell], arms: Sequence[Arm], sizes: Sizes) -> dict[str, Leader]:
    """The fastest place by column, where two can be compared, and how sure that is."""
    names = [arm.name for arm in arms if arm.role != "repeat"]
    found = {}
    for column in (prompt.id for prompt in sizes.cells):
        if one := leader(cells, arms, column, {name: _speed(cells, name, column) for name in names}):
            found[column] = one
    return found


def rows(cells: Sequence[Cell], arms: Sequence[Arm], sizes: Sizes) -> list[dict[str, Any]]:
    """One row a place, in order: tokens a second of every cell, r[n] in plain passes, and the bandwidth attained."""
    columns = [prompt.id for prompt in sizes.cells]
    winners = {column: one.arm for column, one in leaders(cells, arms, sizes).items() if one.sure}
    plain = f"tg{sizes.answer}"
    made = []
    for arm in (arm for arm in arms if arm.role != "repeat"):
        speeds = {column: _speed(cells, arm.name, column) for column in columns}
        own = [cell for cell in cells if cell.arm == arm.name]
        decoding = [cell.figures for cell in own if cell.prompt == plain and cell.status == "ok"]
        reached = decoding[-1]["bytes_per_token"] * (speeds[plain] or 0.0) if decoding else None
        triad = decoding[-1]["triad"] if decoding else 0.0
        made.append(
            {
                **arm.configuration,
                "arm": arm.name,
                "tokens_per_second": speeds,
                "best": [column for column in columns if winners.get(column) == arm.name],
                "ratios": {str(width): _ratio(own, width) for width in WIDTHS},
                "bytes_per_second": reached,
                "triad": triad or None,
                "share_of_triad": reached / triad if reached and triad else None,
                "repetitions": len({cell.repetition for cell in own}),
                "lost": [{"cell": c.prompt, "status": c.status, "reason": c.reason} for c in own if c.status != "ok"],
            }
        )
    return made


def _speed(cells: Sequence[Cell], arm: str, prompt: str) -> float | None:
    """Tokens over seconds of all its cells that count."""
    counted = [cell for cell in cells if (cell.arm, cell.prompt, cell.status) == (arm, prompt, "ok")]
    seconds = sum(cell.seconds for cell in counted)
    return sum(cell.tokens for cell in counted) / seconds if seconds else None


def _ratio(cells: Sequence[Cell], width: int) -> float | None:
    """r[width], over the repetitions: each process measured its own plain pass beside it."""
    found = [c.figures["ratio"] for c in cells if c.prompt == f"verify {width}" and c.status == "ok"]
    return sum(found) / len(found) if found else None


COLUMNS = ("GB/s read", "of the triad")


def titles(sizes: Sizes) -> list[str]:
    """Headings of the table."""
    return [
        "threads",
        "NUMA",
        "batch",
        f"pp{sizes.prompt}",
        f"tg{sizes.answer}",
        *COLUMNS,
        *(f"r[{w}]" for w in WIDTHS),
    ]


def texts(row: Mapping[str, Any], sizes: Sizes) -> list[str]:
    """A row as text, in the order of `titles`; a star marks what is best by its pairs."""

    def speed(column: str) -> str:
        value = row["tokens_per_second"][column]
        lost = next((one["status"] for one in row["lost"] if one["cell"] == column), "")
        return f"{value:.1f}{' *' if column in row['best'] else ''}" if value else lost

    def ratio(width: int) -> str:
        value = row["ratios"][str(width)]
        return f"{value:.2f}{' *' if f'verify {width}' in row['best'] else ''}" if value else ""

    read, share = row["bytes_per_second"], row["share_of_triad"]
    return [
        str(row["threads"]),
        row["numa"],
        str(row["batch"]),
        speed(f"pp{sizes.prompt}"),
        speed(f"tg{sizes.answer}"),
        f"{read / 1e9:.1f}" if read else "",
        f"{100 * share:.0f} %" if share else "",
        *map(ratio, WIDTHS),
    ]
