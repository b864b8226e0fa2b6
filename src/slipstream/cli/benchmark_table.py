"""What the runs of one benchmark say beside its figures, for people and for programs."""

import sys
from collections.abc import Sequence
from typing import Any

from slipstream.bench.report.naming import model_of
from slipstream.bench.verdict import ALL
from slipstream.cli.benchmark import Part
from slipstream.cli.paired_table import FIGURES, claim_json, failures, figures


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
    for column in ("model", "suite", "arm", *FIGURES, "verdict", "standing"):
        table.add_column(column, justify="right" if column in FIGURES else "left")
    for part in parts:
        for claim in (claim for claim in part.claims if claim.task == ALL):
            place = (model_of(part.run, claim.arm), part.run.plan["suite"], claim.arm)
            table.add_row(*place, *figures(claim, part.cells), claim.verdict, claim.standing)
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    for part in parts:
        for arm, why in failures(part.cells).items():
            print(f"  {part.run.id}: {arm} failed: {why}")
        if part.suspect:
            print(f"  {part.run.id} is suspect: {part.suspect}.")
    print(f"stored as {', '.join(part.run.id for part in parts)}: see slipstream bench show, and slipstream report")
