"""`slipstream bench list`, `show`, `export`, `import`, `record`, `retract`, `untested`: what is in the result store."""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

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

    with _store() as store:
        found = store.runs()
        busy = holder(store.path) is not None
    if kind is not None and kind not in {run.kind for run in found}:
        raise UnknownName("kind of run", kind, {run.kind for run in found} or ["none yet"])
    found = [run for run in found if kind in (None, run.kind)]
    now = time.time()
    if as_json:
        names = ("id", "kind", "started", "ended", "suspect", "retracted", "cells", "unusable", "claims")
        rows = [{name: getattr(run, name) for name in names} | {"models": table.models(run)} for run in found]
        _print([row | {"state": table.condition(run, busy)} for row, run in zip(rows, found, strict=True)])
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

    with _store() as store:
        whole = store.whole(run)
        claims = store.claims(whole.run.id)
        mine = {claim.id for claim in claims}
        reports = [report for report in store.reports() if mine & set(report.claims)]
        busy = holder(store.path) is not None
        changes = _changes(store.run(against), whole.run) if against else None
    if as_json:
        cited = [asdict(report) for report in reports]
        more = {"state": table.condition(whole.run, busy), "reports": cited}
        _print(export.run_json(whole, claims) | more | ({} if changes is None else {"changes": changes}))
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


def export_runs(
    run: Annotated[list[str] | None, typer.Argument(help="Ids of runs, or their beginnings. Default: all.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File; none: standard output.")] = None,
    csv: Annotated[str, typer.Option(help="Instead of JSON, a line for every one of these: cells or claims.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="JSON, which loses nothing (the default).")] = False,
) -> None:
    """Cells and claims with the conditions of their runs, for other programs; JSON can be imported again."""
    from slipstream.bench import export
    from slipstream.storage.files import write_atomic

    table = next((name for name in export.TABLES if name == csv), None)
    if csv and table is None:
        raise UnknownName("table", csv, export.TABLES)
    if csv and as_json:
        raise RequestError("--csv and --json contradict each other", hint="give one of them")
    with _store() as store:
        names = list(dict.fromkeys(store.run(name).id for name in run)) if run else [one.id for one in store.runs()]
        found = [(store.whole(name), store.claims(name)) for name in names]
    everything = json.dumps(export.to_json(found), indent=1, allow_nan=False) + "\n" if not table else ""
    text = export.to_csv(found, table) if table else everything
    if output is None:
        sys.stdout.write(text)
        return
    write_atomic(output, text)
    cells, claims = sum(len(whole.cells) for whole, _ in found), sum(len(now) for _, now in found)
    print(f"{len(found)} runs, {cells} cells, {claims} claims written to {output}")


def import_file(
    file: Annotated[
        Path, typer.Argument(help="What llama-bench -o jsonl (or json) printed, or slipstream bench export.")
    ],
    as_json: AsJson = False,
) -> None:
    """Take in what was measured elsewhere: llama-bench's output as an external run, an export of ours as it is."""
    from slipstream.bench import imports
    from slipstream.bench.store import new_id
    from slipstream.host import launch

    now = time.time()
    added: list[dict[str, Any]] = []
    with _store() as store:
        known = store.runs()
        read = imports.read(file, new_id(now), launch.arguments(sys.argv), now)
        for whole in read:
            imports.refuse_repeat(whole, known)
        new = [whole for whole in read if whole.run.id not in {run.id for run in known}]
        for whole in new:
            store.add(whole)
            counts = {"cells": len(whole.cells), "claims": len(whole.claims)}
            added.append({"run": whole.run.id, "kind": whole.run.kind, **counts})
    if as_json:
        _print({"imported": added, "known": len(read) - len(new)})
        return
    for one in added:
        print(f"run {one['run']} ({one['kind']}): {one['cells']} cells, {one['claims']} claims")
    if len(read) > len(new):
        print(f"{len(read) - len(new)} runs were stored already")


def record(
    model: Annotated[str, typer.Option("--model", "-m", help="The model's GGUF file, or its name if it isn't here.")],
    method: Annotated[str, typer.Option(help="Who drafted: plain, or draft sources such as suffix,prompt_lookup.")],
    task: Annotated[str, typer.Option(help="Task class: edit, code, chat, qa, summary, math, rag, ...")],
    tokens_per_second: Annotated[str, typer.Option(help="Measured speed of decoding, such as 41.5.")],
    source: Annotated[str, typer.Option(help="Who measured it, and where it can be looked up.")],
    baseline: Annotated[str | None, typer.Option(help="Tokens a second of plain decoding, measured beside it.")] = None,
    measured: Annotated[str, typer.Option(help="When: 2026-01-31, or with a time. Default: now.")] = "",
    engine: Annotated[str, typer.Option(help="Engine and its build.")] = "",
    cpu: Annotated[str, typer.Option(help="The processor it ran on.")] = "",
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Take a method or a speed-up that looks like a mistake.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Note a result that was measured elsewhere. It is marked external and never stands as more than an observation."""
    from slipstream.bench import imports
    from slipstream.bench.store import new_id
    from slipstream.host import launch
    from slipstream.models.gguf import identity

    now, file = time.time(), Path(model)
    result = imports.Recorded(
        model=file.stem if file.suffix == ".gguf" else model,
        method=method,
        task=task,
        rate=imports.speed(tokens_per_second, "--tokens-per-second"),
        source=source,
        measured=_when(measured, now),
        baseline=None if baseline is None else imports.speed(baseline, "--baseline"),
        identity=identity(file) if file.is_file() else "",
        engine=engine,
        cpu=cpu,
    )
    imports.check(result, confirm=confirm)
    whole = imports.recorded_run(result, new_id(now), launch.arguments(sys.argv), now)
    with _store() as store:
        store.add(whole)
        claims = store.claims(whole.run.id)
    if as_json:
        _print({"run": whole.run.id, "claims": [claim.id for claim in claims]})
        return
    print(f"recorded as run {whole.run.id} (external)")
    for claim in claims:
        print(f"claim {claim.id}: {claim.value:.3f}x, {claim.standing}")


def retract(
    name: Annotated[str, typer.Argument(help="Id of a run or a claim, or its beginning.")],
    reason: Annotated[str, typer.Option(help="What is wrong with it.")],
    as_json: AsJson = False,
) -> None:
    """Withdraw a run with all its claims, or one claim. Nothing is deleted; what cites it is marked."""
    with _store() as store:
        reach = store.retract(name, reason)
    retraction = reach.retraction
    if as_json:
        _print(asdict(reach))
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
    with _store() as store:
        entries = matrices.matrix(found, store.runs(), store.coverage(), others=not models)
    now = time.time()
    if as_json:
        _print([_entry(entry, now) for entry in entries])
        return
    tables, notes = table.untested(entries, now)
    table.show(tables)
    missing = sum(entry.visit is None for entry in entries)
    print("\n".join([*notes, f"{missing} of {len(entries)} were never tried; {TRY}"]))


COMMANDS: dict[str, Callable[..., None]] = {
    "list": list_runs,
    "show": show_run,
    "export": export_runs,
    "import": import_file,
    "record": record,
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


def _when(text: str, now: float) -> float:
    """Seconds since the epoch; a date without a zone is local."""
    if not text:
        return now
    try:
        moment = datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise RequestError(f"--measured {text!r} is no date", hint="write it as 2026-01-31") from None
    if moment > now:
        raise RequestError(f"--measured {text} lies in the future", hint="say when it was measured")
    return moment


def _store() -> Any:
    from slipstream import config
    from slipstream.bench.store import FILE, ResultStore

    return ResultStore.open(config.load().data_root.results / FILE)


def _print(value: Any) -> None:
    from slipstream.bench.export import finite

    print(json.dumps(finite(value), indent=1))
