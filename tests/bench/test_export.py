"""Exports: JSON loses nothing and comes back equal; CSV has the conditions in every line."""

import csv
import io
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slipstream.bench.export import finite, flat, from_json, to_csv, to_json
from slipstream.bench.store import ResultStore
from slipstream.bench.store_rows import Curve
from tests.bench.stored import make_cell, make_claim, make_run

OTHER = make_run("20260102-000000-bbbb", 2000.0, kind="sweep", attestation={"cpu": "Another", "power": {"boost": True}})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ResultStore]:
    with ResultStore.open(tmp_path / "one.sqlite3") as store:
        for run in (make_run(), OTHER):
            store.begin(run)
            store.append(run.id, make_cell())
            store.append(run.id, make_cell("plain", status="failed", reason="hung", figures={}, token_ids=()))
            store.claim(make_claim(run.id))
            store.claim(make_claim(run.id, task="all", low=math.nan, high=math.inf))
        store.curve(OTHER.id, Curve("tiny", {64: {1: 10.0, 2: 12.5}, 512: {1: 11.0}}))
        store.finish(OTHER.id, "complete", "canary slow", clock=lambda: 2100.0)
        store.retract(make_claim().id, "warm cache", clock=lambda: 2200.0)
        yield store


def everything(store: ResultStore) -> list[tuple[Any, Any]]:
    return [(store.whole(run.id), store.claims(run.id)) for run in store.runs()]


def test_json_goes_round(store: ResultStore, tmp_path: Path) -> None:
    value = json.loads(json.dumps(to_json(everything(store)), allow_nan=False))
    with ResultStore.open(tmp_path / "two.sqlite3") as second:
        for whole in from_json(value):
            second.add(whole)
        # By repr: NaN equals itself in it.
        assert repr(everything(second)) == repr(everything(store))
        assert json.loads(json.dumps(to_json(everything(second)))) == value


def test_json_says_how_a_claim_stands_and_what_it_was_made_as(store: ResultStore) -> None:
    _, first = to_json(everything(store))["runs"]
    claims = {claim["task"]: claim for claim in first["claims"]}
    assert (claims["edit"]["standing"], claims["edit"]["reason"]) == ("retracted", "warm cache")
    assert claims["edit"]["made_as"] == {"standing": "optimum", "reason": ""}
    assert claims["all"]["made_as"] is None
    assert (claims["all"]["low"], claims["all"]["high"]) == ("NaN", "Infinity")
    assert first["cells"][0]["rate"] == 32.0


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"}, {"version": 2}, {"runs": [{}]}, {"runs": 3}, {"runs": ["run"]},
        {"runs": [{"id": "a", "cells": [], "claims": [], "curves": [], "retractions": [], "arms": [], "plan": "none"}]},
    ],
)  # fmt: skip
def test_what_is_no_export_is_refused(store: ResultStore, change: dict[str, Any]) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        from_json(to_json(everything(store)) | change)


def test_a_run_with_claims_of_another_is_refused(store: ResultStore) -> None:
    value = to_json(everything(store))
    value["runs"][0]["claims"][0]["run"] = "elsewhere"
    with pytest.raises(ValueError, match="claims of another one"):
        from_json(value)


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_has_a_line_for_every_cell_with_its_conditions(store: ResultStore) -> None:
    rows = read_csv(to_csv(everything(store), "cells"))
    assert len(rows) == 4
    second, first = rows[0], rows[2]
    assert first["run"] == make_run().id and float(first["rate"]) == 32.0 and first["role"] == "candidate"
    assert first["answer"] == 'a, "b"\nc' and first["figures.rates"] == "[1.5]" and first["token_ids"] == "[3, 1, 2]"
    assert first["figures.sources.suffix.drafted"] == "4" and first["configuration.draft"] == '["suffix"]'
    assert (first["host.cpu"], first["host.models.tiny.gguf"], first["run.kind"]) == ("A CPU", "f" * 32, "compare")
    assert (second["host.power.boost"], first["host.power.boost"]) == ("True", "")
    assert (second["run.suspect"], second["run.plan.pairs"]) == ("canary slow", "2")
    assert (rows[1]["status"], rows[1]["reason"]) == ("failed", "hung")


def test_csv_has_a_line_for_every_claim_as_it_stands(store: ResultStore) -> None:
    rows = read_csv(to_csv(everything(store), "claims"))
    assert [(row["run"], row["task"], row["standing"]) for row in rows] == [
        (OTHER.id, "edit", "observation"),
        (OTHER.id, "all", "observation"),
        (make_run().id, "edit", "retracted"),
        (make_run().id, "all", "optimum"),
    ]
    assert (float(rows[0]["value"]), rows[0]["pairs"], rows[0]["host.cpu"]) == (1.5, "6", "Another")


def test_an_empty_store_exports_nothing(tmp_path: Path) -> None:
    assert to_json([])["runs"] == [] and from_json(to_json([])) == []
    assert read_csv(to_csv([], "cells")) == []


def test_nested_values_become_flat_and_finite() -> None:
    assert flat({"a": {"b": {"c": 1}, "d": (1, 2)}, "e": None}, "x.") == {"x.a.b.c": 1, "x.a.d": "[1, 2]", "x.e": None}
    assert finite({"a": [math.nan, {"b": -math.inf}], "c": 1.5}) == {"a": ["NaN", {"b": "-Infinity"}], "c": 1.5}


def test_the_counts_of_an_import_are_counted(store: ResultStore) -> None:
    whole = store.whole(OTHER.id)
    value = to_json([(replace(whole, cells=()), [])])
    assert from_json(value)[0].run.cells == 0
