"""What the result store gives back, and how values become rows of its tables and values again."""

import json
import math
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from slipstream.bench.cell import Arm, Cell, Run
from slipstream.bench.claim import Claim

State = Literal["running", "complete", "interrupted", "failed"]
"""interrupted and failed runs can be gone on with. One that was killed is still "running"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun(Run):
    """A run as the store has it. `ended` is None until `finish`; `suspect` is why its numbers are doubted as a whole,
    `retracted` why they were withdrawn, "" if they weren't. `cells`, `unusable` (those that aren't ok) and `claims` are
    counts."""

    state: State = "running"
    ended: float | None = None
    suspect: str = ""
    retracted: str = ""
    cells: int = 0
    unusable: int = 0
    claims: int = 0


@dataclass(frozen=True, slots=True)
class Curve:
    """A verify-cost curve that a run measured: milliseconds of a target pass by depth (tokens in KV) and width (tokens
    in the pass)."""

    model: str
    table: Mapping[int, Mapping[int, float]]


@dataclass(frozen=True, slots=True)
class Retraction:
    """A run or a claim (`what`) that was withdrawn, why, and when, in seconds since the epoch."""

    what: Literal["run", "claim"]
    id: str
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class Report:
    """A written report and the claims it cites; `retracted` are those of them that no longer stand."""

    id: str
    path: str
    written: float
    claims: tuple[str, ...]
    retracted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeRun:
    """A run with everything that belongs to it: what is exported, and what is imported in one step. The claims are as
    they were made, whatever was retracted since."""

    run: StoredRun
    cells: tuple[Cell, ...] = ()
    claims: tuple[Claim, ...] = ()
    curves: tuple[Curve, ...] = ()
    retractions: tuple[Retraction, ...] = ()


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many usable cells an arm has of a task, and when the newest of them started."""

    run: str
    arm: str
    task: str
    cells: int
    newest: float


CELL = tuple(one.name for one in fields(Cell))
CLAIM = tuple(one.name for one in fields(Claim))
RUN = tuple(one.name for one in fields(Run) if one.name != "arms")
UNKNOWN = ("value", "low", "high", "detectable", "floor")
"""Figures of a claim that may be NaN, which SQLite keeps as NULL."""


def insert(table: str, columns: Sequence[str]) -> str:
    """An INSERT with a named parameter for each column."""
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(f':{name}' for name in columns)})"


def run_row(run: Run) -> dict[str, Any]:
    """Column values of `runs`, but for its end."""
    return {
        "id": run.id,
        "kind": run.kind,
        "started": run.started,
        "arguments": json.dumps(run.arguments),
        "plan": json.dumps(dict(run.plan)),
        "attestation": json.dumps(dict(run.attestation)),
    }


def arm_rows(run: Run) -> list[dict[str, Any]]:
    """Column values of `arms`."""
    return [
        {
            "run": run.id,
            "position": position,
            "name": arm.name,
            "role": arm.role,
            "configuration": json.dumps(dict(arm.configuration)),
        }
        for position, arm in enumerate(run.arms)
    ]


def run_of(row: sqlite3.Row, arms: Sequence[sqlite3.Row]) -> StoredRun:
    """The run of a row of `runs` that has the counts and the retraction beside it."""
    found = dict(row)
    found["arguments"] = tuple(json.loads(found["arguments"]))
    found["plan"], found["attestation"] = json.loads(found["plan"]), json.loads(found["attestation"])
    read = (Arm(name=one["name"], role=one["role"], configuration=json.loads(one["configuration"])) for one in arms)
    return StoredRun(arms=tuple(read), **found)


def cell_row(run: str, cell: Cell) -> dict[str, Any]:
    """Column values of `cells`."""
    row = {name: getattr(cell, name) for name in CELL}
    texts = {"token_ids": json.dumps(cell.token_ids), "figures": json.dumps(dict(cell.figures))}
    return {"run": run, **row, **texts}


def cell_of(row: sqlite3.Row) -> Cell:
    """The cell of a row of `cells`."""
    found = {name: row[name] for name in CELL}
    found["warm"] = bool(found["warm"])
    found["token_ids"], found["figures"] = tuple(json.loads(found["token_ids"])), json.loads(found["figures"])
    return Cell(**found)


def claim_row(claim: Claim) -> dict[str, Any]:
    """Column values of `claims`."""
    row = {name: getattr(claim, name) for name in CLAIM}
    return row | {name: float(row[name]) for name in UNKNOWN}


def claim_of(row: sqlite3.Row) -> Claim:
    """The claim of a row of `claims`, as it was made."""
    found = {name: row[name] for name in CLAIM}
    return Claim(**found | {name: math.nan for name in UNKNOWN if found[name] is None})


def curve_rows(run: str, curve: Curve) -> list[dict[str, Any]]:
    """Column values of `curves`, a row for each point."""
    return [
        {"run": run, "model": curve.model, "depth": depth, "width": width, "milliseconds": milliseconds}
        for depth, row in curve.table.items()
        for width, milliseconds in row.items()
    ]


def curves_of(rows: Sequence[sqlite3.Row]) -> list[Curve]:
    """Curves by model. Of a point that was measured twice, the last row counts."""
    tables: dict[str, dict[int, dict[int, float]]] = {}
    for row in rows:
        tables.setdefault(row["model"], {}).setdefault(row["depth"], {})[row["width"]] = row["milliseconds"]
    return [Curve(model, table) for model, table in tables.items()]


def retraction_row(retraction: Retraction) -> dict[str, Any]:
    """Column values of `retractions`."""
    row = {"run": None, "claim": None, "reason": retraction.reason, "at": retraction.at}
    return row | {retraction.what: retraction.id}


def retraction_of(row: sqlite3.Row) -> Retraction:
    """The retraction of a row of `retractions`."""
    if row["run"] is not None:
        return Retraction("run", row["run"], row["reason"], row["at"])
    return Retraction("claim", row["claim"], row["reason"], row["at"])
