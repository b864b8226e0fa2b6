"""Runs a plan: identical arms first, which tell the noise; then candidates against the baseline; then the winner again,
on prompts it was not chosen on. Every cell is stored as soon as it exists (requirements R1 to R6, R10 to R12)."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from slipstream.bench.cell import Cell, Run
from slipstream.bench.claim import Claim
from slipstream.bench.doubts import Limits, judged
from slipstream.bench.pairs import Place
from slipstream.bench.schedule import Block, schedule
from slipstream.bench.verdict import claims_of, winner
from slipstream.bench.workload import Prompt
from slipstream.core.errors import ChildError, SlipstreamError

State = Literal["complete", "interrupted", "failed"]
ATTEMPTS = 2
"""A cell that failed is tried once more when its run is gone on with."""
GIVE_UP = 3
"""Failures in a row after which an arm isn't tried any more: each may take its whole time limit."""


class Measures(Protocol):
    """An arm, ready to be measured. A SlipstreamError is a failed cell, and the arm is started anew behind it; any
    other exception ends the run."""

    def start(self, block: Block) -> None:
        """The block's prompts will be measured, in order."""
        ...

    def measure(self, prompt: Prompt, repetition: int) -> Cell:
        """One cell. Whose it is in the run (arm, block) is the runner's business."""
        ...

    def stop(self) -> None:
        """Nothing of the arm runs any more. Harmless if it was never started."""
        ...


class Stores(Protocol):
    """What the runner needs of a result store, which goes on with a run that it holds (store.ResultStore is one)."""

    def begin(self, run: Run, /) -> object: ...
    def append(self, run: str, cell: Cell, /) -> object: ...
    def finish(self, run: str, state: State, suspect: str = "", /) -> object: ...
    def cells(self, run: str, /) -> Sequence[Cell]: ...
    def claim(self, claim: Claim, /) -> object: ...


class Canary(Protocol):
    """A fixed cell before and after a run, and why they speak against it ("" if they don't); `history` are tokens a
    second of earlier ones."""

    def before(self) -> Cell: ...
    def after(self) -> Cell: ...
    def doubt(self, before: Cell, after: Cell, history: Sequence[float], /) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure, besides the arms: so many pairs on every prompt, `size` prompts at a time, and `checks` pairs of
    the baseline with its repetition and with control arms. Nothing is chosen on the prompts named in `held`."""

    prompts: tuple[Prompt, ...]
    pairs: int
    checks: int = 0
    size: int = 1
    held: tuple[str, ...] = ()

    @property
    def chosen(self) -> tuple[str, ...]:
        """Prompts that arms are chosen on."""
        return tuple(prompt.id for prompt in self.prompts if prompt.id not in self.held)


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` cells, what was measured last, and how many seconds are left if it goes on like this."""

    done: int
    total: int
    what: str
    left: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended, and what it says: `suspect` is why the machine isn't to be trusted, "" if nothing is known."""

    state: State
    claims: tuple[Claim, ...]
    cells: tuple[Cell, ...]
    suspect: str = ""


Report = Callable[[Progress], None]


def measure(
    run: Run,
    plan: Plan,
    arms: Mapping[str, Measures],
    store: Stores,
    limits: Limits,
    *,
    canary: Canary | None = None,
    history: Sequence[float] = (),
    report: Report = lambda progress: None,
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], float] = time.time,
) -> Outcome:
    """Measure a run, whose arms are in `arms` by name; one of role "repeat" may be left out there, it is the baseline.

    `history` is what the canary may take as usual.

    What the store holds of the run already is left out, but the baseline is measured again beside a missing cell: a
    pair belongs to one window. Ctrl-C ends the run as "interrupted", without claims in the store. Raises what the store
    raises; the run is then "failed", and can be gone on with as well.
    """
    store.begin(run)
    work = _Work(run, plan, arms, store, limits, report, clock, now)
    state: State = "failed"
    suspect = ""
    try:
        before = _visit(canary.before, work) if canary else None
        work.everything()
        if canary and before:
            suspect = canary.doubt(before, _visit(canary.after, work), history)
        for claim in work.claims():
            store.claim(claim)
        state = "complete"
    except KeyboardInterrupt:
        state = "interrupted"
    except BaseException:
        with contextlib.suppress(SlipstreamError):  # the first failure tells more
            store.finish(run.id, state)
        raise
    store.finish(run.id, state, suspect)
    return Outcome(state, tuple(work.claims()), tuple(work.cells), suspect)


def _visit(visit: Callable[[], Cell], work: "_Work") -> Cell:
    cell = visit()
    work.store.append(work.run.id, cell)
    return cell


@dataclass
class _Work:
    """A run under way: its cells, and what is still to do."""

    run: Run
    plan: Plan
    arms: Mapping[str, Measures]
    store: Stores
    limits: Limits
    report: Report
    clock: Callable[[], float]
    now: Callable[[], float]
    cells: list[Cell] = field(default_factory=list)
    done: int = 0
    total: int = 0
    blocks: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.prompts = {prompt.id: prompt for prompt in self.plan.prompts}
        self.baseline = next(arm.name for arm in self.run.arms if arm.role == "baseline")
        self.cells = list(self.store.cells(self.run.id))
        self.begun = self.clock()

    def everything(self) -> None:
        """All parts of the plan, as far as they aren't done yet."""
        plan = self.plan
        checks = [arm.name for arm in self.run.arms if arm.role in ("repeat", "control")] if plan.checks else []
        candidates = [arm.name for arm in self.run.arms if arm.role in ("candidate", "bound")]
        first = self._part(checks, tuple(self.prompts), plan.checks, 0) if checks else []
        second = self._part(candidates, plan.chosen, plan.pairs, plan.checks)
        self.total = sum(map(_size, (*first, *second))) + 2 * plan.pairs * len(plan.held)
        self._run((*first, *second))
        best = (
            winner(claims_of(self.run.id, self.run.arms, self.cells, plan.chosen), self.run.arms) if plan.held else ""
        )
        if best:
            third = self._part([best], plan.held, plan.pairs, plan.checks)
            self.total = self.done + sum(map(_size, third))
            self._run(third)

    def claims(self) -> list[Claim]:
        """What the cells so far say."""
        return claims_of(self.run.id, self.run.arms, self.cells, self.plan.chosen, self.plan.held)

    def _part(self, arms: Sequence[str], prompts: Sequence[str], pairs: int, first: int) -> list[Block]:
        """Blocks of these arms and the baseline, without what is held."""
        names = [self.baseline, *arms]
        blocks = schedule(names, prompts, pairs, size=self.plan.size, first=first, number=self.blocks)
        self.blocks += len(blocks)
        places = [(prompt, first + number) for prompt in prompts for number in range(pairs)]
        missing = {place: self._missing(names, place) for place in places}
        left = []
        for block in blocks:
            rest = tuple(name for name in block.prompts if block.arm in missing[name, block.repetition])
            if rest:
                left.append(replace(block, prompts=rest))
        return left

    def _missing(self, arms: Sequence[str], place: Place) -> set[str]:
        """Arms to measure at a place: with one of them the baseline, and with the baseline all."""
        tried: dict[str, list[str]] = {arm: [] for arm in arms}
        for cell in self.cells:
            if (cell.prompt, cell.repetition) == place and cell.arm in tried:
                tried[cell.arm].append(cell.status)
        missing = {
            arm for arm, found in tried.items() if len(found) < ATTEMPTS and all(status == "failed" for status in found)
        }
        if self.baseline in missing:
            return set(arms)
        return missing | {self.baseline} if missing else missing

    def _run(self, blocks: Sequence[Block]) -> None:
        for block in blocks:
            # The repetition of the baseline is the baseline under another name.
            arm = self.arms.get(block.arm) or self.arms[self.baseline]
            try:
                self._block(arm, block)
            finally:
                arm.stop()

    def _block(self, arm: Measures, block: Block) -> None:
        running = False
        for place, name in enumerate(block.prompts):
            prompt = self.prompts[name]
            if self.failures[block.arm] >= GIVE_UP:
                self._keep(self._failed(prompt, block, f"not tried after {GIVE_UP} failures in a row"), block)
                continue
            try:
                if not running:
                    arm.start(replace(block, prompts=block.prompts[place:]))
                    running = True
                cell = arm.measure(prompt, block.repetition)
            except SlipstreamError as error:
                arm.stop()
                running = False
                cell = self._failed(prompt, block, str(error), error.said if isinstance(error, ChildError) else "")
            self._keep(cell, block)

    def _failed(self, prompt: Prompt, block: Block, reason: str, said: str = "") -> Cell:
        return Cell(
            arm=block.arm, prompt=prompt.id, task=prompt.task, repetition=block.repetition, status="failed",
            reason=reason, started=self.now(), figures={"said": said} if said else {},
        )  # fmt: skip

    def _keep(self, cell: Cell, block: Block) -> None:
        cell = judged(replace(cell, arm=block.arm, block=block.number), self.limits)
        self.store.append(self.run.id, cell)
        self.cells.append(cell)
        self.failures[block.arm] = self.failures[block.arm] + 1 if cell.status == "failed" else 0
        if block.arm == self.baseline and self.failures[block.arm] >= GIVE_UP:
            raise SlipstreamError(
                f"the baseline {block.arm!r} failed {GIVE_UP} times in a row: {cell.reason}",
                hint="without it nothing can be compared; what was measured is stored",
            )
        self.done += 1
        left = (self.clock() - self.begun) / self.done * max(0, self.total - self.done)
        self.report(Progress(self.done, self.total, f"{cell.prompt}, {cell.arm}", left))


def _size(block: Block) -> int:
    return len(block.prompts)
