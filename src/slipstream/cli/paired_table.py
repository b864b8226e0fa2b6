"""A measured run for people and for programs."""

import math
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from slipstream.bench.cell import Cell, Run
from slipstream.bench.claim import Claim
from slipstream.bench.runner import Outcome
from slipstream.bench.verdict import ALL, HELD_OUT

COLUMNS = (
    "arm", "task", "tok/s", "ratio", "95 % interval", "pairs", "detectable", "floor", "same output", "verdict",
    "standing",
)  # fmt: skip
LEFT = ("arm", "task", "verdict", "standing")


def as_dict(run: Run, outcome: Outcome) -> dict[str, Any]:
    """Everything but the answers; a figure that nobody knows is None."""
    return {
        "run": run.id,
        "state": outcome.state,
        "suspect": outcome.suspect,
        "fresh": run.plan["fresh"],
        "arms": [
            {
                "name": arm.name,
                "role": arm.role,
                "settings": arm.configuration["settings"],
                "tokens_per_second": rate(cell for cell in outcome.cells if cell.arm == arm.name),
                "cells": dict(Counter(cell.status for cell in outcome.cells if cell.arm == arm.name)),
            }
            for arm in run.arms
        ],
        "claims": [claim_json(claim, outcome.cells) for claim in outcome.claims],
    }


def claim_json(claim: Claim, cells: Sequence[Cell]) -> dict[str, Any]:
    """A claim for programs; a figure that nobody knows is None."""
    known = {name: None if value != value else value for name, value in asdict(claim).items()}
    return known | {"same_output": same_output(claim, cells)}


def show(run: Run, outcome: Outcome) -> None:
    """The table of claims, and what a reader has to know of it."""
    from rich.console import Console
    from rich.table import Table

    baseline = next(arm.name for arm in run.arms if arm.role == "baseline")
    speed = rate(cell for cell in outcome.cells if cell.arm == baseline)
    table = Table(title=f"{run.kind} {run.id}, against {baseline} at {speed:.1f} tok/s")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in LEFT else "right")
    for claim in outcome.claims:
        table.add_row(*row(claim, outcome.cells), end_section=claim.task == ALL)
    Console(width=None if sys.stdout.isatty() else 180).print(table)
    print("Ratio: tokens a second of decoding, median of pairs, geometric mean over prompts.")
    for reason in dict.fromkeys(claim.reason for claim in outcome.claims if claim.reason):
        found = [f"{claim.arm} ({claim.task})" for claim in outcome.claims if claim.reason == reason]
        print(f"  {', '.join(found)}: {reason}.")
    for arm, why in failures(outcome.cells).items():
        print(f"  {arm} failed: {why}")
    if run.plan["fresh"]:
        print(f"Every block of an arm ran in a new process: {run.plan['fresh']}.")
    if outcome.suspect:
        print(f"Suspect: {outcome.suspect}.")
    print(f"stored as {run.id}")


def row(claim: Claim, cells: Sequence[Cell]) -> list[str]:
    """A claim as text, in the order of COLUMNS."""
    same, prompts = same_output(claim, cells)
    arm = f"{claim.arm}, {HELD_OUT}" if claim.id.endswith(f"/{HELD_OUT}") else claim.arm
    return [
        arm,
        claim.task,
        f"{rate(cell for cell in cells if cell.arm == claim.arm and claim.task in (cell.task, ALL)):.1f}",
        f"{claim.value:.3f}",
        f"{claim.low:.3f} to {claim.high:.3f}",
        str(claim.pairs),
        percent(claim.detectable),
        percent(claim.floor),
        f"{same}/{prompts}",
        claim.verdict,
        claim.standing,
    ]


def percent(share: float) -> str:
    """A share as text; "?" if it isn't known."""
    return "?" if math.isnan(share) else f"{100 * share:.1f} %"


def rate(cells: Iterable[Cell]) -> float:
    """Tokens a second over all cells that count; 0 without any."""
    good = [cell for cell in cells if cell.status == "ok"]
    seconds = sum(cell.seconds for cell in good)
    return sum(cell.tokens for cell in good) / seconds if seconds else 0.0


def same_output(claim: Claim, cells: Iterable[Cell]) -> tuple[int, int]:
    """Prompts of a claim's task on which every answer of the arm is, token for token, one that the baseline gave; and
    prompts that both answered."""
    answers: dict[str, dict[str, set[tuple[int, ...]]]] = {claim.arm: {}, claim.baseline: {}}
    for cell in cells:
        if cell.arm in answers and cell.status != "failed" and claim.task in (cell.task, ALL):
            answers[cell.arm].setdefault(cell.prompt, set()).add(cell.token_ids)
    ours, theirs = answers[claim.arm], answers[claim.baseline]
    both = ours.keys() & theirs.keys()
    return sum(ours[prompt] <= theirs[prompt] for prompt in both), len(both)


def failures(cells: Iterable[Cell]) -> dict[str, str]:
    """The first reason for which each arm failed."""
    found: dict[str, str] = {}
    for cell in cells:
        if cell.status == "failed":
            found.setdefault(cell.arm, cell.reason)
    return found
