"""`slipstream bench baseline`: what this machine gives a model, over threads, NUMA policy and batch."""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slipstream.cli import measured
from slipstream.cli import options as shared
from slipstream.cli import paired_options as asked
from slipstream.core.errors import MemoryShortage, RequestError

if TYPE_CHECKING:
    from slipstream.bench.cell import Run

KIND = "baseline"
PAIRS = 6
"""Repetitions of the grid when nobody says otherwise: even, and enough for a verdict on each cell."""


def baseline(
    model: shared.Model = None,
    threads: Annotated[
        str, typer.Option("--threads", "-t", help="Numbers of threads: 1,2,4. Default: a quarter, half, all cores.")
    ] = "",
    numa: Annotated[str, typer.Option(help="NUMA policies: off,distribute,isolate,numactl,mirror.")] = "off",
    batch: Annotated[str, typer.Option("--batch", "-b", help="Batch sizes: 512,2048.")] = "512",
    pairs: Annotated[int, typer.Option("--pairs", "-p", help="Times that every cell is measured.")] = PAIRS,
    mmap: Annotated[
        bool | None,
        typer.Option("--mmap/--no-mmap", help="Map the file. Default: yes, unless NUMA policies are compared."),
    ] = None,
    others: asked.Others = 0.1,
    limit: asked.Limit = 600.0,
    canary: asked.WithCanary = True,
    resume: asked.Resume = "",
    as_json: asked.AsJson = False,
) -> int:
    """Prompt speed (pp512), token speed (tg128) and verify widths for every combination, each in fresh processes.

    The weights that a token reads, times its speed, are held against the bandwidth that a triad attains with as many
    threads. A star marks what the pairs show to be faster than everything else in its column.
    """
    from slipstream.cli import paired

    if resume:
        return perform(paired.stored_run(KIND, resume), as_json=as_json)
    paired.require_positive(pairs=pairs, others=others, limit=limit)
    run = new_run(
        model,
        numbers("--threads", threads) or default_threads(),
        [name.strip() for name in numa.split(",") if name.strip()],
        numbers("--batch", batch),
        mmap,
        {"pairs": pairs, "others": others, "limit": limit, "canary": canary},
    )
    return perform(run, as_json=as_json)


def numbers(option: str, text: str) -> list[int]:
    """Whole numbers parted by commas. RequestError for anything else."""
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise RequestError(f"{option} {text!r} is no list of numbers", hint=f"write {option} 1,2,4") from None


def default_threads() -> list[int]:
    """A quarter of the usable cores, half of them, and all."""
    from slipstream.host import cpu

    cores = cpu.read().cores
    return list(dict.fromkeys(max(1, cores // part) for part in (4, 2, 1)))


def new_run(
    model: Path | None, threads: Sequence[int], numa: Sequence[str], batch: Sequence[int], mmap: bool | None,
    wanted: Mapping[str, Any],
) -> "Run":  # fmt: skip
    """A run over the grid, of which the first place is the baseline."""
    from slipstream import config
    from slipstream.bench.baseline import Sizes, grid
    from slipstream.bench.cell import Run
    from slipstream.bench.store import new_id
    from slipstream.host import launch
    from slipstream.models.embedded import embedded_model
    from slipstream.models.gguf import identity

    path = model or config.load().model or embedded_model()
    first, *rest = grid(threads, numa, batch, mmap)
    sizes = Sizes()
    now = time.time()
    return Run(
        id=new_id(now),
        kind=KIND,
        started=now,
        arguments=launch.arguments(sys.argv),
        arms=(first.arm("baseline"), first.arm("repeat"), *(place.arm("candidate") for place in rest)),
        plan={
            **wanted,
            "model": str(path.absolute()),
            "cells": [prompt.id for prompt in sizes.cells],
            "prompt": sizes.prompt,
            "answer": sizes.answer,
        },
        attestation=measured.attestation({path.name: identity(path)}),
    )


def perform(run: "Run", *, as_json: bool) -> int:
    """Measure the run, or the rest of it, and print what it says. Returns the exit code."""
    from slipstream import config
    from slipstream.bench import baseline as bench
    from slipstream.bench.doubts import Limits
    from slipstream.bench.roofline import work_of
    from slipstream.bench.runner import Measures, Plan, measure
    from slipstream.bench.runner_lock import RunnerLock
    from slipstream.bench.schedule import default_checks
    from slipstream.bench.store import ResultStore
    from slipstream.cli.progress import Bar
    from slipstream.host.load import Sentinel
    from slipstream.models.gguf import read_header

    path, sizes = Path(run.plan["model"]), bench.Sizes(run.plan["prompt"], run.plan["answer"])
    work = work_of(read_header(path))
    pairs = run.plan["pairs"]
    plan = Plan(prompts=sizes.cells, pairs=pairs, checks=default_checks(pairs), size=len(sizes.cells))
    folder = config.load().data_root.tmp
    file = measured.store_file()
    with RunnerLock(file), ResultStore.open(file) as store, ExitStack() as opened, Bar("baseline") as bar:
        triads = bandwidths(
            {arm.configuration["threads"] for arm in run.arms}, lambda what: print(what, file=sys.stderr)
        )
        arms: dict[str, Measures] = {}
        for arm in run.arms:
            place = bench.Place(**arm.configuration)
            child = bench.child_arm(place, path, sizes, folder, run.plan["limit"])
            arms[arm.name] = bench.GridArm(child, work, triads.get(place.threads, 0.0), Sentinel())
        limits = Limits(others=run.plan["others"])
        canary = measured.canary(opened, limits.others) if run.plan["canary"] else None
        history = measured.history(store, run, canary)
        with measured.resumable(run):
            outcome = measure(run, plan, arms, bench.Apart(store), limits, canary=canary, history=history, report=bar)
    rows, best = bench.rows(outcome.cells, run.arms, sizes), bench.leaders(outcome.cells, run.arms, sizes)
    if as_json:
        value = {"run": run.id, "state": outcome.state, "suspect": outcome.suspect, "rows": rows}
        print(json.dumps(value | {"best": {column: asdict(one) for column, one in best.items()}}))
    else:
        show(run, rows, best, sizes)
        measured.last_words(run, outcome)
    return measured.exit_code(run, outcome)


def bandwidths(threads: set[int], say: Callable[[str], None]) -> dict[int, float]:
    """Bytes a second that go through memory, by number of threads; none where memory is too short to tell."""
    from slipstream.bench.triad import array_bytes, measure_bandwidth
    from slipstream.host import cpu, memory

    try:
        size = array_bytes(memory.read().available, cpu.read().cores)
    except MemoryShortage as error:
        say(f"note: {error}")
        return {}
    return {count: measure_bandwidth(count, size).moved for count in sorted(threads)}


def show(run: "Run", rows: Sequence[Mapping[str, Any]], best: Mapping[str, Any], sizes: Any) -> None:
    """The grid as a table, and what a reader has to know of it."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from slipstream.bench import baseline as bench

    table = Table(title=f"baseline {run.id}: {Path(run.plan['model']).name}, tokens a second")
    for title in bench.titles(sizes):
        table.add_column(escape(title), justify="left" if title == "NUMA" else "right")
    for row in rows:
        table.add_row(*bench.texts(row, sizes))
    Console(width=None if sys.stdout.isatty() else 150).print(table)
    print("r[n]: what a pass over n tokens costs in plain passes. * faster than every other one, by its pairs.")
    for column in (f"pp{sizes.prompt}", f"tg{sizes.answer}"):
        if one := best.get(column):
            by = f"{one.ratio.value:.3f}x ({one.ratio.low:.3f} to {one.ratio.high:.3f}) of {one.rival}"
            sure = "sure" if one.sure else f"not sure: {one.why}"
            print(f"Fastest {column}: {one.arm}; {by}, {one.ratio.pairs} pairs; {sure}.")
    for threads, triad in sorted({(row["threads"], row["triad"]) for row in rows if row["triad"]}):
        print(f"Triad with {threads} threads: {triad / 1e9:.1f} GB/s through memory, write-allocate counted.")
    if any((row["share_of_triad"] or 0.0) > 1 for row in rows):
        print("Beyond 100 % of the triad weights come from a cache: this model fits into one.")
    for row in rows:
        for lost in row["lost"][:1]:
            print(f"  {row['arm']}: {len(row['lost'])} cells lost, {lost['cell']} {lost['status']}: {lost['reason']}")
