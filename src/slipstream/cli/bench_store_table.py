"""The tables of `slipstream bench list`, `show` and `untested`."""

import math
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from string import ascii_lowercase
from typing import Any

from slipstream.bench.cell import Cell
from slipstream.bench.claim import Claim
from slipstream.bench.report.figure import UNKNOWN
from slipstream.bench.report.hosts import facts_of
from slipstream.bench.report.naming import flatten, model_of
from slipstream.bench.store_rows import Report, StoredRun, WholeRun
from slipstream.bench.untested import Entry

WIDTH = 170
"""Columns where nobody says how wide the output is."""
UNSHOWN = "prompts."
QUALITY = ("score", "perplexity", "divergence", "agreement")
"""Part of a plan that would fill pages."""
REPEATED = ("taken", "argv")
"""Parts of an attestation that a run says better."""


@dataclass(frozen=True, slots=True)
class Table:
    """A title, headings and rows of text."""

    title: str
    headings: Sequence[str]
    lines: Sequence[Sequence[str]]


def show(tables: Iterable[Table]) -> None:
    """Print those that have a line."""
    from rich import table as rich
    from rich.box import SIMPLE_HEAD
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else WIDTH, markup=False, emoji=False, highlight=False)
    for table in tables:
        if table.lines:
            drawn = rich.Table(title=table.title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
            for heading in table.headings:
                drawn.add_column(heading, overflow="fold")
            for line in table.lines:
                drawn.add_row(*line)
            console.print(drawn)


def age(seconds: float) -> str:
    """In the largest unit that fits."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return "now"


def condition(run: StoredRun, busy: bool) -> str:
    """How a run stands in one word; `busy` says that somebody measures now. One that was killed never said so."""
    if run.retracted:
        return "retracted"
    if run.suspect:
        return "suspect"
    return "interrupted" if run.state == "running" and not busy else run.state


def models(run: StoredRun) -> list[str]:
    """Names of the models that its arms ran."""
    return list(dict.fromkeys(model_of(run, arm.name) for arm in run.arms))


def runs(found: Sequence[StoredRun], now: float, busy: bool) -> Table:
    """A line for every run; `cells` counts those that can be used, and all where that is more."""
    lines = [
        [
            run.id, run.kind, ", ".join(models(run)),
            f"{run.cells - run.unusable} of {run.cells}" if run.unusable else str(run.cells), str(run.claims or ""),
            age(now - run.started), condition(run, busy),
        ]
        for run in found
    ]  # fmt: skip
    return Table("runs", ["run", "kind", "model", "cells", "claims", "age", "state"], lines)


def run(whole: WholeRun, claims: Sequence[Claim], reports: Sequence[Report]) -> list[Table]:
    """All that is known of one run."""
    plan = {f"plan.{name}": text for name, text in flatten(whole.run.plan).items() if not name.startswith(UNSHOWN)}
    host = {name: text for name, text in facts_of(whole.run).items() if name.split(".")[0] not in REPEATED}
    known = {name: text for name, text in host.items() if text != UNKNOWN}
    unknown = ", ".join(name for name in host if name not in known)
    conditions = {"arguments": shlex.join(whole.run.arguments[1:]), **plan, **known, UNKNOWN: unknown}
    arms = [[arm.name, arm.role, _settings(arm.configuration)] for arm in whole.run.arms]
    curves = [
        [curve.model, str(depth), ", ".join(f"{width}: {row[width]:.4g}" for width in sorted(row))]
        for curve in whole.curves
        for depth, row in sorted(curve.table.items())
    ]
    mine = {claim.id for claim in claims}
    cited = [
        [report.path, str(len(mine & set(report.claims))), str(len(mine & set(report.retracted)))] for report in reports
    ]
    return [
        Table("conditions", ["condition", "value"], [[name, text] for name, text in conditions.items() if text]),
        Table("arms", ["arm", "role", "configuration"], arms),
        Table(
            "usable cells", ["arm", "task", "cells", "tok/s (median)", "engine's own", "quality"], _speeds(whole.cells)
        ),
        Table("unusable cells", ["arm", "prompt", "repetition", "status", "why"], _unusable(whole.cells)),
        Table("verify-cost curves", ["model", "depth", "ms of a pass by its width"], curves),
        Table(f"claims; their ids begin with {whole.run.id}/", _CLAIM, [_claim(claim) for claim in claims]),
        Table("reports that cite them", ["report", "claims of this run", "of these retracted"], cited),
    ]


def untested(entries: Sequence[Entry], now: float) -> tuple[list[Table], list[str]]:
    """A table for every model, of the methods that were tried on it, and notes: those that never were, and what letters
    and stars in the tables stand for."""
    visits = [entry.visit for entry in entries if entry.visit]
    builds = list(dict.fromkeys(visit.engine for visit in visits))
    letters = {engine: f" {_letters(number)}" if len(builds) > 1 else "" for number, engine in enumerate(builds)}
    by_model: dict[str, dict[str, dict[str, str]]] = {}
    for entry in entries:
        title = f"{entry.model.name} {entry.model.identity[:8]}".strip()
        text = "-"
        if entry.visit:
            text = age(now - entry.visit.at) + "*" * entry.visit.external + letters[entry.visit.engine]
        by_model.setdefault(title, {}).setdefault(entry.method, {})[entry.task] = text
    tables, notes = [], list[str]()
    for title, methods in by_model.items():
        tried = {method: row for method, row in methods.items() if set(row.values()) != {"-"}}
        tasks = list(next(iter(methods.values())))
        tables.append(Table(title, ["method", *tasks], [[method, *row.values()] for method, row in tried.items()]))
        never = ", ".join(method for method in methods if method not in tried)
        notes += [f"{title}: never tried: {never if tried else 'anything'}"] if never else []
    notes += [f"{letters[engine].strip() or 'engine'}: {engine}" for engine in builds]
    return tables, notes + ["*: measured elsewhere"] * any(visit.external for visit in visits)


def _letters(number: int) -> str:
    head, last = divmod(number, len(ascii_lowercase))
    return (_letters(head - 1) if head else "") + ascii_lowercase[last]


def _settings(configuration: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.removeprefix('settings.')}={text}" for name, text in flatten(configuration).items())


def _speeds(cells: Sequence[Cell]) -> list[list[str]]:
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        if cell.status == "ok":
            groups.setdefault((cell.arm, cell.task), []).append(cell)
    return [
        [
            arm, task, str(len(group)), _middle(cell.rate for cell in group),
            _middle(cell.engine_rate for cell in group), _quality(group),
        ]
        for (arm, task), group in groups.items()
    ]  # fmt: skip


def _quality(cells: Sequence[Cell]) -> str:
    """The mean of what was scored, in words; empty if nothing was."""
    words = []
    for name in QUALITY:
        found = [cell.figures[name] for cell in cells if isinstance(cell.figures.get(name), (int, float))]
        if found:
            words.append(f"{name} {fmean(found):.3g}")
    return ", ".join(words)


def _middle(values: Iterable[float | None]) -> str:
    known = [value for value in values if value]
    return f"{median(known):.1f}" if known else ""


def _unusable(cells: Sequence[Cell]) -> list[list[str]]:
    return [
        [cell.arm, cell.prompt, str(cell.repetition), cell.status, cell.reason] for cell in cells if cell.status != "ok"
    ]


_CLAIM = ("claim", "against", "ratio", "95 % interval", "pairs", "prompts", "verdict", "standing", "why")


def _claim(claim: Claim) -> list[str]:
    interval = f"{claim.low:.3f} to {claim.high:.3f}" if math.isfinite(claim.high) else "unknown"
    return [
        claim.id.removeprefix(f"{claim.run}/"), claim.baseline, f"{claim.value:.3f}x", interval, str(claim.pairs),
        str(claim.prompts), claim.verdict, claim.standing, claim.reason,
    ]  # fmt: skip
