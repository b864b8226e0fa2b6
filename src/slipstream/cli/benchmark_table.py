"""What the runs of one benchmark say beside its figures, for people and for programs."""

import sys
from collections.abc import Sequence
from typing import Any

from slipstream.bench.report.naming import model_of
from slipstream.bench.verdict import ALL
from slipstream.cli.benchmark import Part
from slipstream.cli.paired_table import COLUMNS, LEFT, claim_json, failures, row


def as_dict(name: str, interrupted: bool, parts: Sequence[Part]) -> dict[str, Any]:
    """Its complete runs and what they claim."""
    return {
        "benchmark": name,
        "state": "interrupted" if interrupted else "complete",
        "runs": [
            {
                "run": part.run.id,
                "model": model_of(part.run, part.run.arms[0].name),
                "suite": part.run.plan["suite"],
                "part": part.run.plan["part"],
                "suspect": part.suspect,
            }
            for part in parts
        ],
        "claims": [claim_json(claim, part.cells) for part in parts for claim in part.claims],
    }


def show_verdicts(parts: Sequence[Part]) -> None:
    """A line for every arm of every run, over all tasks, and what speaks against a run."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="verdicts, each against plain decoding in its own run")
    shown = [number for number, column in enumerate(COLUMNS) if column != "task"]
    for column in ("model", "suite", *(COLUMNS[number] for number in shown)):
        table.add_column(column, justify="left" if column in (*LEFT, "model", "suite") else "right")
    for part in parts:
        for claim in (claim for claim in part.claims if claim.task == ALL):
            cells = row(claim, part.cells)
            table.add_row(model_of(part.run, claim.arm), part.run.plan["suite"], *(cells[number] for number in shown))
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    for part in parts:
        for arm, why in failures(part.cells).items():
            print(f"  {part.run.id}: {arm} failed: {why}")
        if part.suspect:
            print(f"  {part.run.id} is suspect: {part.suspect}.")
    print(f"stored as {', '.join(part.run.id for part in parts)}: see slipstream bench show, and slipstream report")
