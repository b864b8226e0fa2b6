"""Results for other programs: JSON that loses nothing and can be imported again, and CSV with a row for each number and
the conditions of its run in the same row (invariant I3)."""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

from slipstream.bench.cell import Arm, Cell
from slipstream.bench.claim import Claim
from slipstream.bench.store_rows import UNKNOWN, Curve, Retraction, StoredRun, WholeRun

FORMAT = "slipstream-results"
VERSION = 1
Table = Literal["cells", "claims"]
TABLES: tuple[Table, ...] = ("cells", "claims")


def to_json(runs: Iterable[tuple[WholeRun, Sequence[Claim]]]) -> dict[str, Any]:
    """Runs, each with its claims as they stand now. A claim's `made_as` is what it was made as, where that differs."""
    return {"format": FORMAT, "version": VERSION, "runs": [run_json(whole, now) for whole, now in runs]}


def run_json(whole: WholeRun, now: Sequence[Claim]) -> dict[str, Any]:
    """One run as JSON values."""
    made = {claim.id: claim for claim in whole.claims}
    claims = []
    for claim in now:
        before = made[claim.id]
        changed = (before.standing, before.reason) != (claim.standing, claim.reason)
        made_as = {"standing": before.standing, "reason": before.reason} if changed else None
        claims.append(asdict(claim) | {"made_as": made_as})
    curves = [
        {"model": curve.model, "depth": depth, "milliseconds": row}
        for curve in whole.curves
        for depth, row in curve.table.items()
    ]
    cells = [asdict(cell) | {"rate": cell.rate} for cell in whole.cells]
    retractions = [asdict(retraction) for retraction in whole.retractions]
    parts = {"cells": cells, "claims": claims, "curves": curves, "retractions": retractions}
    made_json: dict[str, Any] = finite({**asdict(whole.run), **parts})
    return made_json


def from_json(value: Mapping[str, Any]) -> list[WholeRun]:
    """What `to_json` was given. Raises ValueError, KeyError, TypeError or AttributeError for anything else."""
    if value["format"] != FORMAT or value["version"] != VERSION:
        raise ValueError(f"format {value['format']!r}, version {value['version']!r}")
    return [_run(run) for run in value["runs"]]


def _run(value: Mapping[str, Any]) -> WholeRun:
    found = dict(value)
    cells = tuple(_cell(one) for one in found.pop("cells"))
    claims = tuple(_claim(one) for one in found.pop("claims"))
    retractions = tuple(Retraction(**one) for one in found.pop("retractions"))
    if {claim.run for claim in claims} - {found["id"]}:
        raise ValueError(f"run {found['id']} has claims of another one")
    tables: dict[str, dict[int, dict[int, float]]] = {}
    for one in found.pop("curves"):
        row = {int(width): float(milliseconds) for width, milliseconds in one["milliseconds"].items()}
        tables.setdefault(one["model"], {})[int(one["depth"])] = row
    found["arms"] = tuple(Arm(**arm | {"configuration": _mapping(arm["configuration"])}) for arm in found["arms"])
    found["plan"], found["attestation"] = _mapping(found["plan"]), _mapping(found["attestation"])
    found["arguments"] = tuple(found["arguments"])
    counts = {"cells": len(cells), "unusable": sum(cell.status != "ok" for cell in cells), "claims": len(claims)}
    return WholeRun(
        run=StoredRun(**found | counts),
        cells=cells,
        claims=claims,
        curves=tuple(Curve(model, table) for model, table in tables.items()),
        retractions=retractions,
    )


def _cell(value: Mapping[str, Any]) -> Cell:
    found = {key: one for key, one in value.items() if key != "rate"}
    return Cell(**found | {"token_ids": tuple(found["token_ids"]), "figures": _mapping(found["figures"])})


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is no object")
    return value


def _claim(value: Mapping[str, Any]) -> Claim:
    found = dict(value)
    made_as = found.pop("made_as") or {}
    return Claim(**found | {name: float(found[name]) for name in UNKNOWN} | made_as)


def to_csv(runs: Iterable[tuple[WholeRun, Sequence[Claim]]], table: Table) -> str:
    """A line for every cell, or every claim as it stands now. Columns: the number itself, then `run.` what its run is,
    `configuration.` its arm's settings, `host.` the attestation; nested values by dotted name, lists as JSON."""
    lines: list[dict[str, Any]] = []
    for whole, now in runs:
        around = _conditions(whole.run)
        settings = {arm.name: flat(arm.configuration, "configuration.") | {"role": arm.role} for arm in whole.run.arms}
        numbers: Sequence[Cell | Claim] = whole.cells if table == "cells" else now
        for number in numbers:
            own = flat(asdict(number))
            if isinstance(number, Cell):
                own["rate"] = number.rate
            else:
                own.pop("run")
            lines.append({"run": whole.run.id, **own, **settings.get(number.arm, {}), **around})
    columns = list(dict.fromkeys(name for line in lines for name in line))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _conditions(run: StoredRun) -> dict[str, Any]:
    state = {
        "kind": run.kind,
        "started": run.started,
        "state": run.state,
        "suspect": run.suspect,
        "retracted": run.retracted,
        "arguments": run.arguments,
        "plan": dict(run.plan),
    }
    return flat(state, "run.") | flat(run.attestation, "host.")


def flat(value: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested mappings as one, by dotted name; lists as JSON text."""
    found: dict[str, Any] = {}
    for key, one in value.items():
        if isinstance(one, Mapping):
            found |= flat(one, f"{above}{key}.")
        else:
            found[f"{above}{key}"] = json.dumps(one) if isinstance(one, (list, tuple)) else one
    return found


def finite(value: Any) -> Any:
    """The value with "NaN", "Infinity" and "-Infinity" in place of the numbers, which JSON lacks."""
    if isinstance(value, Mapping):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
