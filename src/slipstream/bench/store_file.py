"""The result store's file: opened safely, and every failure of SQLite that a user can meet told in one line."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from slipstream.bench.store_schema import MIGRATIONS, is_ours, migrate, version
from slipstream.core.errors import StateFileError
from slipstream.storage.files import OTHER_HINT, state_error

PATIENCE = 10.0
"""Seconds to wait for another process that is writing."""

_SPACE = "free some space: everything measured so far is stored, and the run can be gone on with"
_DAMAGED = "rename it, so that a new one is started, and put back a copy or an export if there is one"
_FAILURES = {
    sqlite3.SQLITE_FULL: ("the disk is full", _SPACE),
    sqlite3.SQLITE_IOERR: ("the disk refused it", _SPACE),
    sqlite3.SQLITE_BUSY: ("another process is writing to it", "try again when that is done"),
    sqlite3.SQLITE_LOCKED: ("another process is writing to it", "try again when that is done"),
    sqlite3.SQLITE_READONLY: ("it is read-only", OTHER_HINT),
    sqlite3.SQLITE_CANTOPEN: ("it is no file, or there is no permission", OTHER_HINT),
    sqlite3.SQLITE_PERM: ("no permission", OTHER_HINT),
    sqlite3.SQLITE_CORRUPT: ("it is damaged", _DAMAGED),
    sqlite3.SQLITE_NOTADB: ("it is damaged, or no result store", _DAMAGED),
}
"""Reason and hint by SQLite's primary result code. Any other failure is a bug and passes."""


@contextlib.contextmanager
def told(path: Path, verb: str) -> Iterator[None]:
    """Raises a StateFileError in place of what SQLite says about the file; `verb` is a past participle."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        why, hint = _FAILURES.get(code & 0xFF, ("", "")) if code is not None else ("", "")
        if not why:
            raise
        raise StateFileError(f"the result store {path} can't be {verb}: {why}", hint=hint) from error


def connect(path: Path) -> sqlite3.Connection:
    """An open store, created or brought up to date where needed. Raises StateFileError for one of a newer version, a
    damaged one, another program's file, and a folder where SQLite can't keep a write-ahead log."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise state_error("opened", path, error) from error
    with told(path, "opened"):
        db = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
        try:
            _prepare(db, path)
        except BaseException:
            db.close()
            raise
    return db


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    db.row_factory = sqlite3.Row
    if not is_ours(db):
        raise StateFileError(f"{path} belongs to another program", hint=OTHER_HINT)
    if (found := version(db)) > len(MIGRATIONS):
        raise StateFileError(
            f"the result store {path} has version {found}, and this Slipstream knows versions up to {len(MIGRATIONS)}",
            hint="upgrade Slipstream, or choose another data root with SLIPSTREAM_ROOT; the file was left as it is",
        )
    db.execute("PRAGMA foreign_keys = ON")
    mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StateFileError(
            f"{path} can't be opened: its file system allows no write-ahead log",
            hint="choose a data root on a local disk with SLIPSTREAM_ROOT",
        )
    # FULL syncs the log at every commit: a crash or a power cut loses nothing that was reported as stored. A sync takes
    # milliseconds and happens between two measurements, which take seconds. The log is folded into the file by SQLite's
    # own default (every 1000 pages, and on closing); until then the log alone is what is safe.
    db.execute("PRAGMA synchronous = FULL")
    migrate(db)


@contextlib.contextmanager
def writing(db: sqlite3.Connection, path: Path) -> Iterator[None]:
    """One transaction: all of what is done within, on the disk when this ends, or nothing of it."""
    with told(path, "written"):
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
            db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # on some failures SQLite has rolled back by itself
                db.execute("ROLLBACK")
            raise
