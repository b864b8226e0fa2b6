"""`slipstream bench list`, `show`, `retract`, `untested`: what is in the result store."""

import contextlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from slipstream.cli import measured
from slipstream.core.errors import ModelFileError, RequestError, UnknownName

TRY = 'to try one: slipstream bench compare -m MODEL --arm "plain: draft=off" --arm "new: draft=METHOD"'
NOTHING = "nothing is measured yet; to begin: slipstream bench compare"
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def list_runs(
    kind: Annotated[str | None, typer.Option(help="Only runs of this kind: compare, sweep, external, ...")] = None,
    as_json: AsJson = False,
) -> None:
    """Every stored run, newest first."""
    from slipstream.bench.runner_lock import holder
    from slipstream.cli import bench_store_table as table

    with measured.store() as store:
        found = store.runs()
        busy = holder(store.path) is not None
    if kind is not None and kind not in {run.kind for run in found}:
        raise UnknownName("kind of run", kind, {run.kind for run in found} or ["none yet"])
    found = [run for run in found if kind in (None, run.kind)]
    now = time.time()
    if as_json:
        names = ("id", "kind", "started", "ended", "suspect", "retracted", "cells", "unusable", "claims")
        rows = [{name: getattr(run, name) for name in names} | {"models": table.models(run)} for run in found]
        measured.print_json([row | {"state": table.condition(run, busy)} for row, run in zip(rows, found, strict=True)])
    elif found:
        table.show([table.runs(found, now, busy)])
        for run in found:
            if why := run.retracted or run.suspect:
                print(f"{run.id} is {table.condition(run, busy)}: {why}")
    else:
        print(NOTHING)


def show_run(
    run: Annotated[str, typer.Argument(help="Id of a run, or its beginning.")],
    against: Annotated[str, typer.Option(help="Another run: say what changed on the host from that one to this.")] = "",
    as_json: AsJson = False,
) -> None:
    """One run: its conditions, arms, cells (unusable ones one by one), claims, and the reports that cite them."""
    from slipstream.bench import export
    from slipstream.bench.runner_lock import holder
    from slipstream.cli import bench_store_table as table

    with measured.store() as store:
        whole = store.whole(run)
        claims = store.claims(whole.run.id)
        mine = {claim.id for claim in claims}
        reports = [report for report in store.reports() if mine & set(report.claims)]
        busy = holder(store.path) is not None
        changes = _changes(store.run(against), whole.run) if against else None
    if as_json:
        cited = [asdict(report) for report in reports]
        more = {"state": table.condition(whole.run, busy), "reports": cited}
        measured.print_json(export.run_json(whole, claims) | more | ({} if changes is None else {"changes": changes}))
        return
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(whole.run.started))
    print(f"{whole.run.id}: {whole.run.kind}, {table.condition(whole.run, busy)}, begun {made}")
    for word, why in (("retracted", whole.run.retracted), ("suspect", whole.run.suspect)):
        if why:
            print(f"{word}: {why}")
    table.show(table.run(whole, claims, reports))
    if changes is not None:
        print(f"Since {against}: " + ("; ".join(changes) or "nothing that would part their results"))


def _changes(before: Any, after: Any) -> list[str]:
    """What their hosts differ in. RequestError where one of them says too little of its host."""
    from slipstream.host.attest import Attestation
    from slipstream.host.drift import differences

    hosts = []
    for run in (before, after):
        try:
            hosts.append(Attestation.from_json(run.attestation))
        except (KeyError, TypeError):
            raise RequestError(
                f"run {run.id} has no whole record of its host", hint="it was measured elsewhere"
            ) from None
    return list(differences(*hosts))


def retract(
    name: Annotated[str, typer.Argument(help="Id of a run or a claim, or its beginning.")],
    reason: Annotated[str, typer.Option(help="What is wrong with it.")],
    as_json: AsJson = False,
) -> None:
    """Withdraw a run with all its claims, or one claim. Nothing is deleted; what cites it is marked."""
    with measured.store() as store:
        reach = store.retract(name, reason)
    retraction = reach.retraction
    if as_json:
        measured.print_json(asdict(reach))
        return
    print(f"{retraction.what} {retraction.id} is retracted")
    for claim in reach.claims:
        print(f"claim {claim} no longer stands")
    for report in reach.reports:
        print(f"{report.path} cites it: write it again with slipstream report")


def untested(
    models: Annotated[
        list[Path] | None,
        typer.Argument(help="GGUF files, or folders of them. Default: those at hand and all that were ever measured."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What was never tried: model by method by task, and for the rest how long ago and with which engine build."""
    from slipstream.bench import untested as matrices
    from slipstream.cli import bench_store_table as table

    found, problems = matrices.models_of(models or _at_hand())
    for problem in problems:
        print(f"note: {problem}", file=sys.stderr)
    with measured.store() as store:
        entries = matrices.matrix(found, store.runs(), store.coverage(), others=not models)
    now = time.time()
    if as_json:
        measured.print_json([_entry(entry, now) for entry in entries])
        return
    tables, notes = table.untested(entries, now)
    table.show(tables)
    missing = sum(entry.visit is None for entry in entries)
    print("\n".join([*notes, f"{missing} of {len(entries)} were never tried; {TRY}"]))


COMMANDS: dict[str, Callable[..., None]] = {
    "list": list_runs,
    "show": show_run,
    "retract": retract,
    "untested": untested,
}


def _entry(entry: Any, now: float) -> dict[str, Any]:
    visit = entry.visit
    place = {"model": entry.model.name, "identity": entry.model.identity, "method": entry.method, "task": entry.task}
    return place | {"tested": asdict(visit) | {"age_seconds": round(now - visit.at)} if visit else None}


def _at_hand() -> Sequence[Path]:
    from slipstream import config
    from slipstream.models.embedded import embedded_model

    settings = config.load()
    paths = [settings.data_root.models, *([settings.model] if settings.model else [])]
    with contextlib.suppress(ModelFileError):  # the embedded model need not be installed
        paths.append(embedded_model())
    return paths
