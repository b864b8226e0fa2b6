"""The result store's tables, as migrations. One that was shipped is never edited: a change is a new one at the end."""

import sqlite3
from collections.abc import Sequence

APPLICATION = 0x536C7072
"""SQLite's application_id of our files ("Slpr"): no other program's database is taken for ours."""

Migration = Sequence[str]
"""SQL statements that lead from one version to the next, run in one transaction."""


def _never(table: str, *verbs: str) -> tuple[str, ...]:
    """Triggers that refuse to change or delete what was measured, whoever asks."""
    return tuple(
        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} are append-only'); END"
        for verb in verbs
    )


def _integer(name: str) -> str:
    """A column that takes nothing else, as SQLite's own types are hints."""
    return f"{name} INTEGER NOT NULL CHECK (typeof({name}) = 'integer')"


def _real(name: str) -> str:
    return f"{name} REAL NOT NULL CHECK (typeof({name}) = 'real')"


def _unsure(name: str) -> str:
    """A figure that nobody may know: NaN, which SQLite keeps as NULL."""
    return f"{name} REAL CHECK (typeof({name}) IN ('real', 'null'))"


FIRST: Migration = (
    f"PRAGMA application_id = {APPLICATION}",
    """CREATE TABLE runs (
        id TEXT PRIMARY KEY NOT NULL,
        kind TEXT NOT NULL,
        started REAL NOT NULL,
        arguments TEXT NOT NULL,
        plan TEXT NOT NULL,
        attestation TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('running', 'complete', 'interrupted', 'failed')),
        ended REAL,
        suspect TEXT NOT NULL DEFAULT ''
    )""",
    """CREATE TABLE arms (
        run TEXT NOT NULL REFERENCES runs (id),
        position INTEGER NOT NULL,
        name TEXT NOT NULL,
        role TEXT NOT NULL,
        configuration TEXT NOT NULL,
        PRIMARY KEY (run, name)
    )""",
    f"""CREATE TABLE cells (
        number INTEGER PRIMARY KEY,
        run TEXT NOT NULL REFERENCES runs (id),
        arm TEXT NOT NULL,
        prompt TEXT NOT NULL,
        task TEXT NOT NULL,
        {_integer("repetition")},
        {_integer("block")},
        status TEXT NOT NULL CHECK (status IN ('ok', 'failed', 'garbage', 'tainted')),
        reason TEXT NOT NULL,
        {_integer("tokens")},
        {_real("seconds")},
        {_integer("prefill_tokens")},
        {_real("prefill_seconds")},
        {_unsure("engine_rate")},
        {_integer("warm")},
        {_real("started")},
        answer TEXT NOT NULL,
        token_ids TEXT NOT NULL,
        figures TEXT NOT NULL
    )""",
    "CREATE INDEX cells_of_run ON cells (run, arm)",
    f"""CREATE TABLE claims (
        id TEXT PRIMARY KEY NOT NULL,
        run TEXT NOT NULL REFERENCES runs (id),
        arm TEXT NOT NULL,
        baseline TEXT NOT NULL,
        task TEXT NOT NULL,
        {_unsure("value")},
        {_unsure("low")},
        {_unsure("high")},
        {_integer("prompts")},
        {_integer("pairs")},
        {_unsure("detectable")},
        {_unsure("floor")},
        verdict TEXT NOT NULL,
        standing TEXT NOT NULL,
        reason TEXT NOT NULL
    )""",
    "CREATE INDEX claims_of_run ON claims (run)",
    """CREATE TABLE curves (
        number INTEGER PRIMARY KEY,
        run TEXT NOT NULL REFERENCES runs (id),
        model TEXT NOT NULL,
        depth INTEGER NOT NULL,
        width INTEGER NOT NULL,
        milliseconds REAL NOT NULL CHECK (milliseconds > 0)
    )""",
    "CREATE INDEX curves_of_run ON curves (run)",
    """CREATE TABLE retractions (
        number INTEGER PRIMARY KEY,
        run TEXT REFERENCES runs (id),
        claim TEXT REFERENCES claims (id),
        reason TEXT NOT NULL CHECK (reason <> ''),
        at REAL NOT NULL,
        CHECK ((run IS NULL) <> (claim IS NULL))
    )""",
    """CREATE TABLE reports (
        id TEXT PRIMARY KEY NOT NULL,
        path TEXT NOT NULL,
        written REAL NOT NULL
    )""",
    """CREATE TABLE citations (
        report TEXT NOT NULL REFERENCES reports (id),
        claim TEXT NOT NULL REFERENCES claims (id),
        PRIMARY KEY (report, claim)
    )""",
    *(statement for table in ("cells", "claims", "curves", "retractions") for statement in _never(table, "UPDATE")),
    *(
        statement
        for table in ("runs", "arms", "cells", "claims", "curves", "retractions")
        for statement in _never(table, "DELETE")
    ),
    *_never("arms", "UPDATE"),
    """CREATE TRIGGER runs_keep_their_conditions
        BEFORE UPDATE OF id, kind, started, arguments, plan, attestation ON runs
        BEGIN SELECT RAISE(ABORT, 'the conditions of a run stand'); END""",
    # An interrupted or failed run may be gone on with; a complete one is over.
    """CREATE TRIGGER runs_end_once BEFORE UPDATE OF state, ended ON runs
        WHEN OLD.state = 'complete' AND (NEW.state <> OLD.state OR NEW.ended IS NOT OLD.ended)
        BEGIN SELECT RAISE(ABORT, 'a complete run is over'); END""",
    """CREATE TRIGGER runs_stay_suspect BEFORE UPDATE OF suspect ON runs
        WHEN OLD.suspect <> '' AND NEW.suspect = ''
        BEGIN SELECT RAISE(ABORT, 'a suspect run stays suspect'); END""",
    """CREATE TRIGGER cells_of_an_open_run BEFORE INSERT ON cells
        WHEN (SELECT state FROM runs WHERE id = NEW.run) = 'complete'
        BEGIN SELECT RAISE(ABORT, 'a complete run takes no more cells'); END""",
)

MIGRATIONS: tuple[Migration, ...] = (FIRST,)


def version(db: sqlite3.Connection) -> int:
    """How many migrations a file has had; 0 for a new one."""
    number: int = db.execute("PRAGMA user_version").fetchone()[0]
    return number


def is_ours(db: sqlite3.Connection) -> bool:
    """Whether the file is a result store, or still empty."""
    application = db.execute("PRAGMA application_id").fetchone()[0]
    tables = db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
    return bool(application == APPLICATION or (application == 0 and tables == 0))


def migrate(db: sqlite3.Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring a file up to date; each version is reached whole or not at all. Two processes may try at once."""
    while version(db) < len(migrations):
        db.execute("BEGIN IMMEDIATE")
        try:
            if (reached := version(db)) < len(migrations):
                for statement in migrations[reached]:
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {reached + 1}")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
