"""`slipstream bench export`, `import`, `record`: results for other programs, and those that others measured."""

import json
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from slipstream.cli import measured as results
from slipstream.cli.paired_options import AsJson
from slipstream.core.errors import RequestError, UnknownName


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
    with results.store() as store:
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
    with results.store() as store:
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
        results.print_json({"imported": added, "known": len(read) - len(new)})
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
    with results.store() as store:
        store.add(whole)
        claims = store.claims(whole.run.id)
    if as_json:
        results.print_json({"run": whole.run.id, "claims": [claim.id for claim in claims]})
        return
    print(f"recorded as run {whole.run.id} (external)")
    for claim in claims:
        print(f"claim {claim.id}: {claim.value:.3f}x, {claim.standing}")


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


COMMANDS: dict[str, Callable[..., None]] = {
    "export": export_runs,
    "import": import_file,
    "record": record,
}
