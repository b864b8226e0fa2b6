"""Everything that a report may cite: every figure the store can give, and every text of it that looks like one."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from slipstream.bench.cell import Cell
from slipstream.bench.claim import Claim
from slipstream.bench.report import measured
from slipstream.bench.report.facts import Results
from slipstream.bench.report.figure import Figure, Kind, figures, of_claim
from slipstream.bench.report.hosts import facts_of, label
from slipstream.bench.report.naming import engine_of, host_of, method_of, model_of
from slipstream.bench.store_rows import StoredRun


@dataclass(frozen=True, slots=True)
class Evidence:
    """`figures` by claim or run, id and field; `known` are ids of claims and runs that stand, `fallen` those that were
    retracted; `texts` is what the store says in words, each with single spaces."""

    figures: Mapping[tuple[Kind, str, str], Figure]
    known: frozenset[tuple[Kind, str]]
    fallen: frozenset[tuple[Kind, str]]
    texts: frozenset[str]


def evidence(results: Results) -> Evidence:
    """Read everything, however old: a report stays right when newer runs are stored."""
    runs, claims = results.runs(), results.claims()
    standing = [run for run in runs if not run.retracted]
    cells = {run.id: results.cells(run.id) for run in standing}
    found: list[Figure] = []
    for run in standing:
        found += figures(measured.curves(run, results.curves(run.id), cells[run.id]))
        found += figures(measured.acceptance(run, cells[run.id]))
        found += figures(measured.quality(run, cells[run.id]))
        found += measured.speeds(run, cells[run.id]).values()
    sound = [claim for claim in claims if claim.standing != "retracted"]
    found += [figure for claim in sound for figure in of_claim(claim).values()]
    fallen: list[tuple[Kind, str]] = [("run", run.id) for run in runs if run.retracted]
    known: list[tuple[Kind, str]] = [("run", run.id) for run in standing]
    return Evidence(
        figures={one.key: one for one in found},
        known=frozenset([*known, *(("claim", claim.id) for claim in sound)]),
        fallen=frozenset([*fallen, *(("claim", claim.id) for claim in claims if claim.standing == "retracted")]),
        texts=frozenset(single_spaced(text) for text in _texts(runs, claims, cells.values())),
    )


def single_spaced(text: str) -> str:
    """As it is read on a page, where line breaks are spaces."""
    return " ".join(text.split())


def _texts(runs: Iterable[StoredRun], claims: Iterable[Claim], cells: Iterable[Sequence[Cell]]) -> Iterator[str]:
    for run in runs:
        facts = facts_of(run)
        yield from (run.id, run.kind, run.suspect, run.retracted, " ".join(run.arguments), host_of(run))
        yield engine_of(run)
        for arm in run.arms:
            yield from (arm.name, model_of(run, arm.name), method_of(arm).name)
        yield from map(label, facts)
        yield from facts.values()
    for claim in claims:
        yield from (claim.id, claim.task, claim.arm, claim.baseline, claim.reason, f"{claim.arm} on {claim.task}")
    for group in cells:
        for cell in group:
            yield from (cell.task, cell.reason)
