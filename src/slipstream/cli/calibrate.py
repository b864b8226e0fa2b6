"""`slipstream calibrate`: what a target pass costs on this machine, by its width."""

import json
import sys
from typing import Annotated, Any

import typer

from slipstream.cli import options as shared

BAR = 48


def calibrate(
    model: shared.Model = None,
    context: shared.Context = None,
    threads: shared.Threads = None,
    flash_attention: shared.FlashAttention = "auto",
    key_type: shared.KeyType = "f16",
    value_type: shared.ValueType = "f16",
    override_kv: shared.Override = None,
    force: Annotated[bool, typer.Option("--force", help="Measure again even if there is a curve.")] = False,
    exact: Annotated[bool, typer.Option("--exact", help="Also find the batch widths that agree bit for bit.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    verbose: shared.Verbose = False,
) -> None:
    """Measure (or show) the verify-cost curve r[n] of a model here, and what was learnt of drafts on it."""
    with shared.open_session(
        verbose=verbose,
        model=model,
        context_length=context,
        threads=threads,
        flash_attention=flash_attention,
        key_type=key_type,
        value_type=value_type,
        kv_overrides=shared.overrides(override_kv),
        exact=exact,
        remeasure=force,
        memory=False,
    ) as session:
        keep = session.keep
        if as_json:
            parity = keep.parity.to_json() if keep.parity else None
            value = {"model": session.header.path.name, "curve": keep.curve.to_json(), "parity": parity}
            print(json.dumps(value | {"acceptance": keep.calibration.to_json()}))
        else:
            show(session.header.path.name, keep)


def show(name: str, keep: Any) -> None:
    """The table and plot of the curve, and what was learnt."""
    from rich.console import Console
    from rich.table import Table

    curve = keep.curve
    depths = sorted(curve.table)
    table = Table(title=f"{name}: cost of a target pass")
    for title in ("n", *(f"ms at depth {depth}" for depth in depths), r"r\[n]", "right draft gives"):
        table.add_column(title, justify="right")
    table.add_column(r"r\[n], one mark a plain pass", justify="left", no_wrap=True)
    shallow = curve.costs(depths[0])
    scale = max(1.0, shallow[curve.max_width] / shallow[1] / BAR)
    for width in sorted(curve.table[depths[0]]):
        ratio = shallow[width] / shallow[1]
        cells = [f"{row[width]:.1f}" if width in (row := curve.table[depth]) else "" for depth in depths]
        table.add_row(str(width), *cells, f"{ratio:.2f}", f"{width / ratio:.2f}x", "▇" * max(1, round(ratio / scale)))
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    best = max(range(1, curve.max_width + 1), key=lambda width: width * shallow[1] / shallow[width])
    print(f"A draft of {best - 1} right tokens gives {best * shallow[1] / shallow[best]:.2f}x: the most there is here.")
    if keep.parity:
        for depth, classes in sorted(keep.parity.classes.items()):
            print(f"At depth {depth} these widths agree bit for bit: {' | '.join(ranges(c) for c in classes)}")
    for workload, buckets in sorted(keep.calibration.workloads.items()):
        trials = sum(cell[1] for cell in buckets.counts.values())
        hits = sum(cell[0] for cell in buckets.counts.values())
        print(f"Workload {workload}: {hits:.0f} of {trials:.0f} proposed tokens came true.")


def ranges(widths: Any) -> str:
    """1, 2, 3, 8 as "1-3, 8"."""
    runs: list[list[int]] = []
    for width in sorted(widths):
        if runs and width == runs[-1][1] + 1:
            runs[-1][1] = width
        else:
            runs.append([width, width])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
