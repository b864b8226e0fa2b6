"""Migrations: a version is reached whole or not at all, and what was stored before is still there."""

import sqlite3
from dataclasses import fields
from pathlib import Path

import pytest

from slipstream.bench.cell import Cell
from slipstream.bench.claim import Claim
from slipstream.bench.store import FILE, ResultStore
from slipstream.bench.store_schema import MIGRATIONS, migrate, version
from tests.bench.stored import make_cell, make_run

SECOND = ("ALTER TABLE runs ADD COLUMN note TEXT NOT NULL DEFAULT ''", "CREATE TABLE notes (text TEXT)")


@pytest.fixture
def db(tmp_path: Path) -> sqlite3.Connection:
    path = tmp_path / FILE
    with ResultStore.open(path) as store:
        store.begin(make_run())
        store.append(make_run().id, make_cell())
    return sqlite3.connect(path, isolation_level=None)


def test_a_store_is_brought_up_to_date_with_what_it_holds(db: sqlite3.Connection) -> None:
    assert version(db) == len(MIGRATIONS)
    migrate(db, [*MIGRATIONS, SECOND])
    assert version(db) == len(MIGRATIONS) + 1
    assert db.execute("SELECT id, note FROM runs").fetchall() == [(make_run().id, "")]
    assert db.execute("SELECT COUNT(*) FROM cells").fetchone() == (1,)
    migrate(db, [*MIGRATIONS, SECOND])


def test_a_migration_that_fails_leaves_the_version_before_it(db: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="syntax error"):
        migrate(db, [*MIGRATIONS, (*SECOND, "DROP nonsense")])
    assert version(db) == len(MIGRATIONS)
    assert db.execute("SELECT COUNT(*) FROM sqlite_master WHERE name = 'notes'").fetchone() == (0,)
    assert "note" not in [row[1] for row in db.execute("PRAGMA table_info (runs)")]
    migrate(db, [*MIGRATIONS, SECOND])


@pytest.mark.parametrize(("table", "value"), [("cells", Cell), ("claims", Claim)])
def test_a_field_that_was_added_has_a_column(
    db: sqlite3.Connection, table: str, value: type[Cell] | type[Claim]
) -> None:
    columns = {row[1] for row in db.execute(f"PRAGMA table_info ({table})")}
    assert {field.name for field in fields(value)} <= columns
