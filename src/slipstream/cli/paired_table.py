"""A measured run for people and for programs."""

import math
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from slipstream.bench.cell import Cell, Run
from slipstream.bench.claim import Claim
from slipstream.bench.runner import Outcome
from slipstream.bench.verdict import ALL, HELD_OUT
from slipstream.cli import measured

FIGURES = ("tok/s", "ratio", "95 % interval", "pairs", "detectable")
WIDTH = 100
"""Columns where nobody looks: a file, another program."""


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
    """Every arm on all prompts, the candidates by task class, what a reader has to know of it, and what was found."""
    if outcome.claims:
        _show(run, outcome)
    measured.last_words(run, outcome)


def _show(run: Run, outcome: Outcome) -> None:
    baseline = next(arm.name for arm in run.arms if arm.role == "baseline")
    candidates = {arm.name for arm in run.arms if arm.role == "candidate"}
    overall = [claim for claim in outcome.claims if claim.task == ALL]
    by_task = [claim for claim in outcome.claims if claim.task != ALL and claim.arm in candidates]
    speed = rate(cell for cell in outcome.cells if cell.arm == baseline)
    _table(
        f"{run.kind} {run.id}: all prompts, against {baseline} at {speed:.1f} tok/s",
        ("arm", *FIGURES, "verdict", "standing"),
        [[_name(claim), *figures(claim, outcome.cells), claim.verdict, claim.standing] for claim in overall],
    )
    several = len({claim.task for claim in by_task}) > 1
    if several:
        _table(
            "By task class",
            ("arm", "task", *FIGURES, "verdict"),
            [[_name(claim), claim.task, *figures(claim, outcome.cells), claim.verdict] for claim in by_task],
        )
    print("ratio: tokens a second of decoding, median of pairs, geometric mean over prompts.")
    print("detectable: the smallest effect that would show.")
    for text in [*reasons(overall), *(reasons(by_task) if several else [])]:
        print(f"  {text}.")
    print(f"Output: {_outputs(overall, outcome.cells)}.")
    for arm, why in failures(outcome.cells).items():
        print(f"  {arm} failed: {why}")
    if run.plan["fresh"]:
        print(f"Every block of an arm ran in a new process: {run.plan['fresh']}.")
    if found := finding([claim for claim in overall if claim.arm in candidates]):
        print(f"Found: {found}.")


def _name(claim: Claim) -> str:
    return f"{claim.arm}, {HELD_OUT}" if claim.id.endswith(f"/{HELD_OUT}") else claim.arm


def figures(claim: Claim, cells: Sequence[Cell]) -> list[str]:
    """In the order of FIGURES."""
    return [
        f"{rate(cell for cell in cells if cell.arm == claim.arm and claim.task in (cell.task, ALL)):.1f}",
        _number(claim.value),
        f"{_number(claim.low)}-{_number(claim.high)}",
        str(claim.pairs),
        percent(claim.detectable),
    ]


def _outputs(claims: Sequence[Claim], cells: Sequence[Cell]) -> str:
    """Whose answers are those of the baseline."""
    found = {claim.arm: same_output(claim, cells) for claim in claims}
    apart = [
        f"{arm} on {prompts - same} of {prompts} prompts" for arm, (same, prompts) in found.items() if same < prompts
    ]
    return f"another than the baseline's: {', '.join(apart)}" if apart else "that of the baseline, token for token"


def finding(claims: Sequence[Claim]) -> str:
    """In a sentence, what the run says of its candidates: of the winner where it was measured again, else of the best.
    "" if none was measured on all prompts."""
    confirmed = [claim for claim in claims if claim.id.endswith(f"/{HELD_OUT}")]
    known = [claim for claim in confirmed or claims if not math.isnan(claim.value)]
    if not known:
        return ""
    best = max(known, key=lambda claim: claim.value)
    several = len({claim.arm for claim in claims}) > 1
    arm = f"{best.arm} (the best arm)" if several else best.arm
    measured_as = f"{best.value:.2f}x, 95 % interval {best.low:.2f} to {best.high:.2f}, {best.pairs} pairs"
    if best.verdict == "tainted" or (best.verdict == "no difference seen" and not best.low <= 1 <= best.high):
        return f"no verdict on {arm} against {best.baseline} ({measured_as}): {best.reason}"
    if best.verdict == "no difference seen":
        shows = "" if math.isnan(best.detectable) else f"; one of {percent(best.detectable)} would have shown"
        return f"no difference seen between {arm} and {best.baseline} ({measured_as}){shows}"
    where = " on prompts it was not chosen on" if confirmed else ""
    return f"{arm} is {best.verdict} than {best.baseline}{where}: {measured_as}"


def reasons(claims: Sequence[Claim]) -> list[str]:
    """Why there is no verdict, or what else to know: each reason once, with the arms and tasks that it holds for."""
    tasks: dict[tuple[str, str], list[str]] = {}
    for claim in claims:
        if claim.reason:
            tasks.setdefault((claim.reason, claim.arm), []).append(claim.task)
    arms: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (reason, arm), found in tasks.items():
        arms.setdefault((reason, tuple(dict.fromkeys(found))), []).append(arm)
    found = []
    for (reason, where), names in arms.items():
        places = "" if where == (ALL,) else f" ({', '.join(where)})"
        found.append(f"{'; '.join(names)}{places}: {reason}")
    return found


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


def failures(cells: Iterable[Cell]) -> Mapping[str, str]:
    """The first reason for which each arm failed."""
    found: dict[str, str] = {}
    for cell in cells:
        if cell.status == "failed":
            found.setdefault(cell.arm, cell.reason)
    return found


def _number(value: float) -> str:
    return "?" if math.isnan(value) else f"{value:.3f}"


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), title_justify="left", box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for column in columns:
        text = column in ("arm", "task", "verdict", "standing")
        table.add_column(column, justify="left" if text else "right", no_wrap=column != "arm", overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table)
