"""What a report says, as plain values read from the result store; renderers only arrange them.

What was retracted is in `Facts.withdrawn` and nowhere else, and a retracted run is read for nothing at all. A
projection is no measurement: its claims have their own place.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from slipstream.bench import untested
from slipstream.bench.cell import Cell
from slipstream.bench.claim import Claim, Standing
from slipstream.bench.report import measured
from slipstream.bench.report.claims_under_test import PROMISES, Outcome, Promise, judge
from slipstream.bench.report.coverage import Grid, grids
from slipstream.bench.report.figure import Kind, figures
from slipstream.bench.report.finding import Condition, Finding, current, finding_of, in_order, place, telling
from slipstream.bench.report.hosts import Host, changing, hosts_of
from slipstream.bench.report.naming import engine_of, host_of, model_of
from slipstream.bench.standing import EXTERNAL, PROJECTION
from slipstream.bench.store_rows import Coverage, Curve, StoredRun
from slipstream.bench.verdict import ALL

CHECKS = ("repeat", "control", "bound")
"""Roles of arms that are no way to generate faster; they tell how far to believe the others."""
NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
T = TypeVar("T")


class Results(Protocol):
    """What a report reads of the store (store.ResultStore is one)."""

    def runs(self, kind: str | None = None) -> Sequence[StoredRun]: ...
    def cells(self, run: str, arm: str | None = None) -> Sequence[Cell]: ...
    def claims(self, run: str | None = None, standing: Standing | None = None) -> Sequence[Claim]: ...
    def curves(self, run: str) -> Sequence[Curve]: ...
    def condition(self, run: str) -> tuple[Condition, str]: ...
    def coverage(self) -> Sequence[Coverage]: ...


@dataclass(frozen=True, slots=True)
class Tested:
    """A promise, and every finding that is a test of it, with the outcome and why."""

    promise: Promise
    findings: tuple[tuple[Finding, Outcome, str], ...]


@dataclass(frozen=True, slots=True)
class RunFact:
    """A run's row: how it ended, its cells by status, and what was true of its host then and isn't always."""

    run: StoredRun
    condition: Condition
    reason: str
    engine: str
    host: str
    models: tuple[str, ...]
    cells: Mapping[str, int]
    changing: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Failure:
    """Cells of a run that gave nothing to count for one reason, up to the numbers in it; `reason` is that of the
    first."""

    run: str
    arms: tuple[str, ...]
    status: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A retracted claim, or a run with all that it says. What it said isn't repeated."""

    what: Kind
    id: str
    about: str
    reason: str


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a report says. `made` is seconds since the epoch."""

    made: float
    summary: tuple[Finding, ...]
    tasks: Mapping[str, tuple[Finding, ...]]
    tested: tuple[Tested, ...]
    curves: tuple[measured.Curve, ...]
    acceptance: tuple[measured.Acceptance, ...]
    quality: tuple[measured.Quality, ...]
    checks: tuple[Finding, ...]
    machine: tuple[Finding, ...]
    coverage: tuple[Grid, ...]
    projections: tuple[Finding, ...]
    hosts: tuple[Host, ...]
    runs: tuple[RunFact, ...]
    failures: tuple[Failure, ...]
    withdrawn: tuple[Withdrawn, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every finding that is shown, once."""
        results = [one for found in self.tasks.values() for one in found]
        return (*results, *self.machine, *self.checks, *self.projections)

    @property
    def suspect(self) -> frozenset[str]:
        """Ids of runs that are doubted as a whole."""
        return frozenset(one.run.id for one in self.runs if one.condition == "suspect")

    @property
    def claims(self) -> tuple[str, ...]:
        """Ids of all claims that the report cites."""
        return tuple(dict.fromkeys(one.id for one in figures(self.findings) if one.kind == "claim"))


def gather(results: Results, now: float) -> Facts:
    """Read everything. `now` is seconds since the epoch."""
    stored, claims = results.runs(), results.claims()
    newest = sorted((run for run in stored if not run.retracted), key=lambda run: -run.started)
    runs = {run.id: run for run in newest}
    conditions = {name: results.condition(name) for name in runs}
    cells = {name: results.cells(name) for name in runs}
    speeds = {run.id: measured.speeds(run, cells[run.id]) for run in newest}
    found = [
        finding_of(claim, runs[claim.run], conditions[claim.run][0], speeds[claim.run])
        for claim in claims
        if claim.standing != "retracted" and claim.run in runs
    ]
    newest_of = current(found)
    real = [one for one in newest_of if one.run.kind != PROJECTION]
    arms = [one for one in real if one.arm.role not in CHECKS]
    results_of_arms = [one for one in arms if one.run.kind != untested.MACHINE]
    measuring = [run for run in newest if run.kind != PROJECTION]
    # Stable: the newest first, and after all others those that are doubted.
    sound_first = sorted(measuring, key=lambda run: conditions[run.id][0] == "suspect")
    curves = [curve for run in sound_first for curve in measured.curves(run, results.curves(run.id), cells[run.id])]
    acceptance = [one for run in sound_first for one in measured.acceptance(run, cells[run.id])]
    hosts = hosts_of([run for run in measuring if run.kind != EXTERNAL])
    return Facts(
        made=now,
        summary=_summary(results_of_arms),
        tasks=_by_task(results_of_arms),
        tested=tuple(_tested(promise, results_of_arms) for promise in PROMISES),
        curves=_newest(curves, lambda one: (one.model,)),
        acceptance=_newest(acceptance, lambda one: (one.model, one.arm, one.source)),
        quality=tuple(plot for run in measuring for plot in measured.quality(run, cells[run.id])),
        checks=in_order(telling([one for one in real if one.arm.role in CHECKS])),
        machine=in_order(one for one in arms if one.run.kind == untested.MACHINE),
        coverage=grids(untested.matrix([], measuring, results.coverage(), others=True), now),
        projections=in_order(one for one in newest_of if one.run.kind == PROJECTION),
        hosts=hosts,
        runs=tuple(_run(run, cells[run.id], *conditions[run.id], changing(run, hosts)) for run in newest),
        failures=tuple(failure for run in newest for failure in _failures(run, cells[run.id])),
        withdrawn=(
            *(Withdrawn("run", run.id, run.kind, run.retracted) for run in stored if run.retracted),
            *(
                Withdrawn("claim", claim.id, f"{claim.arm} on {claim.task}", claim.reason)
                for claim in claims
                if claim.standing == "retracted" and claim.run in runs
            ),
        ),
    )


def _summary(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """One finding a task class: what was compared with plain decoding before others, an optimum before a candidate,
    then the one with the highest low end. Taking the highest value instead would publish the luckiest."""
    chosen: dict[str, Finding] = {}
    for one in sorted(findings, key=lambda one: (one.drafted, one.claim.standing != "optimum", -one.claim.low)):
        if one.publishable:
            chosen.setdefault(one.claim.task, one)
    return tuple(chosen[task] for task in sorted(chosen, key=lambda task: (task == ALL, -chosen[task].claim.value)))


def _by_task(findings: Sequence[Finding]) -> dict[str, tuple[Finding, ...]]:
    ordered = sorted(findings, key=lambda one: (one.model, -one.claim.value))
    tasks = sorted({one.claim.task for one in findings}, key=place)
    return {task: tuple(one for one in ordered if one.claim.task == task) for task in tasks}


def _newest(found: Iterable[T], key: Callable[[T], tuple[str, ...]]) -> tuple[T, ...]:
    """One of each key, by key: the first, as runs come newest first."""
    chosen: dict[tuple[str, ...], T] = {}
    for one in found:
        chosen.setdefault(key(one), one)
    return tuple(chosen[name] for name in sorted(chosen))


def _tested(promise: Promise, findings: Sequence[Finding]) -> Tested:
    """What was measured elsewhere shows nothing of this machine."""
    judged: list[tuple[Finding, Outcome, str]] = []
    for one in findings:
        if one.arm.role == "candidate" and one.run.kind != EXTERNAL and promise.covers(one.method, one.claim.task):
            doubt = next(iter(one.marks), "")
            judged.append((one, "undecided", doubt) if doubt else (one, *judge(promise, one.claim)))
    return Tested(promise, tuple(sorted(judged, key=lambda one: (one[1] == "undecided", -one[0].claim.value))))


def _run(
    run: StoredRun, cells: Sequence[Cell], condition: Condition, reason: str, changing: Mapping[str, str]
) -> RunFact:
    models = dict.fromkeys(model_of(run, arm.name) for arm in run.arms)
    counts: Counter[str] = Counter(cell.status for cell in cells)
    return RunFact(run, condition, reason, engine_of(run), host_of(run), tuple(models), counts, changing)


def _failures(run: StoredRun, cells: Sequence[Cell]) -> list[Failure]:
    alike: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        if cell.status != "ok":
            alike.setdefault((cell.status, NUMBER.sub("#", cell.reason)), []).append(cell)
    return [
        Failure(run.id, tuple(dict.fromkeys(cell.arm for cell in found)), status, found[0].reason, len(found))
        for (status, _), found in alike.items()
    ]
