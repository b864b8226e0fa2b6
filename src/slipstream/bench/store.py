"""The result store: every run, cell and claim in one SQLite file. What was measured is never changed or deleted."""

import difflib
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from slipstream.bench import standing as standings
from slipstream.bench import store_queries as queries
from slipstream.bench import store_rows as rows
from slipstream.bench.cell import Cell, Run
from slipstream.bench.claim import Claim, Standing
from slipstream.bench.standing import Reach
from slipstream.bench.store_file import connect, told, writing
from slipstream.bench.store_rows import Coverage, Curve, Report, Retraction, State, StoredRun, WholeRun
from slipstream.core.errors import RequestError, UnknownName

FILE = "results.sqlite3"
"""The store's name in the data root's results folder."""
GUESSES = 8
"""How many names are offered for one that is unknown."""

Clock = Callable[[], float]
"""Seconds since the epoch."""


def new_id(now: float) -> str:
    """A name for a run: local time and four random hex digits, so that names sort by age and two never meet."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}-{secrets.token_hex(2)}"


class ResultStore:
    """One file, open. Every method raises StateFileError when the file can't be read or written.

    Runs are begun, get cells one at a time, and end once; an interrupted one is gone on with. Cells, claims, curves and
    retractions are append-only: triggers in the file refuse anything else. What `append` returned from survives a crash
    and a power cut, and a full disk: only the cell that didn't fit is lost.
    """

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self.path = path
        self._db = db

    @classmethod
    def open(cls, path: Path) -> "ResultStore":
        """The store at `path`, created if missing. Raises StateFileError if it is damaged or of a newer version."""
        return cls(path, connect(path))

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def __enter__(self) -> "ResultStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def begin(self, run: Run) -> None:
        """Store a run before its first cell; or, given a run that is stored but not complete, go on with it: what it
        was first begun with stands, `arguments` and `attestation` too. Raises RequestError if kind, plan or arms
        differ, or if it is complete."""
        row = rows.run_row(run)
        with self._writing():
            # One run is measured at a time (RunnerLock): another that still says it runs was killed.
            self._db.execute("UPDATE runs SET state = 'interrupted' WHERE state = 'running' AND id <> ?", (run.id,))
            old = self._one("SELECT * FROM runs WHERE id = ?", run.id)
            if old is None:
                self._insert_run(run)
                return
            if old["state"] == "complete":
                raise RequestError(f"run {run.id} is complete", hint="begin a new one")
            arms = [dict(one) for one in self._all("SELECT * FROM arms WHERE run = ? ORDER BY position", run.id)]
            if (old["kind"], old["plan"], arms) != (row["kind"], row["plan"], rows.arm_rows(run)):
                raise RequestError(f"run {run.id} was begun with another plan", hint="begin a new one")
            self._db.execute("UPDATE runs SET state = 'running', ended = NULL WHERE id = ?", (run.id,))

    def append(self, run: str, cell: Cell) -> None:
        """Add a measurement; when this returns, it is on the disk. A complete run takes none."""
        with self._writing():
            self._db.execute(queries.INSERT_CELL, rows.cell_row(run, cell))

    def finish(self, run: str, state: State, suspect: str = "", *, clock: Clock = time.time) -> None:
        """Write how a run ended. `suspect` says why its numbers are doubted as a whole (a canary outside its band);
        once given it stays. "complete" is final. Raises UnknownName."""
        with self._writing():
            old = self._one("SELECT suspect FROM runs WHERE id = ?", run)
            if old is None:
                raise self._unknown(run)
            doubts = "; ".join(dict.fromkeys(why for why in (old["suspect"], suspect) if why))
            self._db.execute(queries.END_RUN, (state, clock(), doubts, run))

    def add(self, whole: WholeRun) -> None:
        """Store a run with all that belongs to it, or nothing. Raises RequestError if there is one of that name,
        or if a value is none that the table takes."""
        run = whole.run
        with self._writing(), _consistent(run.id):
            if self._one("SELECT 1 FROM runs WHERE id = ?", run.id):
                raise RequestError(f"run {run.id} is already stored", hint="see it with slipstream bench show")
            self._insert_run(run)
            self._db.executemany(queries.INSERT_CELL, [rows.cell_row(run.id, cell) for cell in whole.cells])
            self._db.executemany(queries.INSERT_CLAIM, [rows.claim_row(claim) for claim in whole.claims])
            for curve in whole.curves:
                self._db.executemany(queries.INSERT_CURVE, rows.curve_rows(run.id, curve))
            self._db.executemany(queries.INSERT_RETRACTION, [rows.retraction_row(one) for one in whole.retractions])
            self._db.execute(queries.END_RUN, (run.state, run.ended, run.suspect, run.id))

    def runs(self, kind: str | None = None) -> list[StoredRun]:
        """Every run, or those of one kind, newest first."""
        found = self._all(f"{queries.RUNS} WHERE ? IN ('', kind) ORDER BY started DESC, id DESC", kind or "")
        return [self._run(row) for row in found]

    def run(self, name: str) -> StoredRun:
        """The run of that id, or of the only id that begins so. Raises UnknownName with the nearest ones, RequestError
        if several begin so."""
        (row,) = self._all(f"{queries.RUNS} WHERE id = ?", self._named("run", name))
        return self._run(row)

    def whole(self, name: str) -> WholeRun:
        """A run with all that belongs to it; `name` as in `run`."""
        run = self.run(name)
        return WholeRun(
            run=run,
            cells=tuple(self.cells(run.id)),
            claims=tuple(self._claims(run.id)),
            curves=tuple(self.curves(run.id)),
            retractions=tuple(self._retractions(run.id)),
        )

    def condition(self, run: str) -> tuple[Literal["complete", "interrupted", "suspect"], str]:
        """Whether a run's numbers may be taken as they are, and why not."""
        found = self.run(run)
        if found.suspect:
            return "suspect", found.suspect
        if found.state == "complete":
            return "complete", ""
        return "interrupted", {"running": "it is running, or was killed", "failed": "it failed"}.get(found.state, "")

    def cells(self, run: str, arm: str | None = None) -> list[Cell]:
        """Cells of a run, or of one of its arms, in the order they were measured, failed ones too."""
        if arm is None:
            found = self._all("SELECT * FROM cells WHERE run = ? ORDER BY number", run)
        else:
            found = self._all("SELECT * FROM cells WHERE run = ? AND arm = ? ORDER BY number", run, arm)
        return [rows.cell_of(row) for row in found]

    def canaries(self, run: Run, model: str | None = None) -> list[float]:
        """Tokens a second of the canary (on this model; None: any) in every other run of the same host and engine
        build, oldest first. What is unfinished, suspect or retracted doesn't count, nor a cell that others disturbed: a
        loaded machine must not become the usual one."""
        host = [run.attestation.get(name) for name in queries.HOST]
        return [row["rate"] for row in self._all(queries.CANARIES, model, model, run.id, *host)]

    def coverage(self) -> list[Coverage]:
        """Usable cells of every run that wasn't retracted, counted by arm and task."""
        found = self._all(
            "SELECT run, arm, task, COUNT(*) AS cells, MAX(started) AS newest FROM cells WHERE status = 'ok' "
            "AND run NOT IN (SELECT run FROM retractions WHERE run IS NOT NULL) GROUP BY run, arm, task"
        )
        return [Coverage(**dict(row)) for row in found]

    def claim(self, claim: Claim) -> None:
        """Add a claim. One that is stored already is left alone; RequestError if that one says something else."""
        row = rows.claim_row(claim)
        with self._writing():
            old = self._one("SELECT * FROM claims WHERE id = ?", claim.id)
            if old is None:
                self._db.execute(queries.INSERT_CLAIM, row)
            elif repr(rows.claim_row(rows.claim_of(old))) != repr(row):  # by repr: NaN equals itself in it
                raise RequestError(f"claim {claim.id} is stored and says something else", hint="retract it first")

    def claims(self, run: str | None = None, standing: Standing | None = None) -> list[Claim]:
        """Claims, of one run or of a certain standing only, each with its present standing and why: after retractions,
        and with suspect and external runs carrying observations at most."""
        runs = {one.id: one for one in self.runs()}
        retracted = {one.id: one.reason for one in reversed(self._retractions(run)) if one.what == "claim"}
        found = standings.judged(self._claims(run), runs, retracted)
        return [claim for claim in found if standing in (None, claim.standing)]

    def curve(self, run: str, curve: Curve) -> None:
        """Add the points of a verify-cost curve."""
        with self._writing():
            self._db.executemany(queries.INSERT_CURVE, rows.curve_rows(run, curve))

    def curves(self, run: str) -> list[Curve]:
        """Verify-cost curves of a run, by model. Of a point that was measured twice, the last one counts."""
        return rows.curves_of(self._all("SELECT * FROM curves WHERE run = ? ORDER BY number", run))

    def retract(self, what: str, reason: str, clock: Clock = time.time) -> Reach:
        """Withdraw a run with all its claims, or one claim; `what` is an id or the beginning of only one. Returns what
        this reaches. Raises UnknownName, and RequestError without a reason or if it is withdrawn already."""
        if not reason.strip():
            raise RequestError("a retraction needs a reason", hint="say what is wrong with it")
        kind, name = self._subject(what)
        if old := self._one(f"SELECT reason FROM retractions WHERE {kind} = ?", name):
            raise RequestError(f"{kind} {name} is retracted already: {old['reason']}", hint="nothing is left to do")
        retraction = Retraction(kind, name, reason.strip(), clock())
        with self._writing():
            self._db.execute(queries.INSERT_RETRACTION, rows.retraction_row(retraction))
        return standings.reach(retraction, self.claims(), self.reports())

    def cite(self, report: str, path: Path, claims: Iterable[str], *, clock: Clock = time.time) -> None:
        """Note that the report at `path` cites these claims, in place of those it cited when it was last written."""
        with self._writing():
            self._db.execute("DELETE FROM citations WHERE report = ?", (report,))
            self._db.execute("DELETE FROM reports WHERE id = ?", (report,))
            self._db.execute("INSERT INTO reports VALUES (?, ?, ?)", (report, str(path), clock()))
            cited = [(report, claim) for claim in dict.fromkeys(claims)]
            self._db.executemany("INSERT INTO citations VALUES (?, ?)", cited)

    def reports(self) -> list[Report]:
        """Reports as they lie on the disk, newest first, with the claims they cite that no longer stand."""
        fallen = {claim.id for claim in self.claims(standing="retracted")}
        found = []
        for row in self._all(queries.REPORTS):
            query = "SELECT claim FROM citations WHERE report = ? ORDER BY rowid"
            cited = tuple(one["claim"] for one in self._all(query, row["id"]))
            down = tuple(claim for claim in cited if claim in fallen)
            found.append(Report(row["id"], row["path"], row["written"], cited, down))
        return found

    def _insert_run(self, run: Run) -> None:
        self._db.execute(queries.INSERT_RUN, rows.run_row(run) | {"state": "running"})
        self._db.executemany(queries.INSERT_ARM, rows.arm_rows(run))

    def _run(self, row: sqlite3.Row) -> StoredRun:
        return rows.run_of(row, self._all("SELECT * FROM arms WHERE run = ? ORDER BY position", row["id"]))

    def _claims(self, run: str | None) -> list[Claim]:
        """As they were made."""
        query = "SELECT * FROM claims WHERE ? IN ('', run) ORDER BY rowid"
        return [rows.claim_of(row) for row in self._all(query, run or "")]

    def _retractions(self, run: str | None) -> list[Retraction]:
        """All, or those of a run and its claims, oldest first."""
        query = """SELECT * FROM retractions
            WHERE ? IN ('', run, (SELECT run FROM claims WHERE claims.id = retractions.claim)) ORDER BY number"""
        return [rows.retraction_of(row) for row in self._all(query, run or "")]

    def _subject(self, name: str) -> tuple[Literal["run", "claim"], str]:
        """What a name stands for: a run, else a claim."""
        if any(run.startswith(name) for run in self._ids("run")):
            return "run", self._named("run", name)
        return "claim", self._named("claim", name)

    def _ids(self, kind: Literal["run", "claim"]) -> list[str]:
        return [row["id"] for row in self._all(f"SELECT id FROM {kind}s ORDER BY rowid DESC")]

    def _named(self, kind: Literal["run", "claim"], name: str) -> str:
        known = self._ids(kind)
        found = [name] if name in known else [one for one in known if name and one.startswith(name)]
        if len(found) == 1:
            return found[0]
        if found:
            some = ", ".join(found[:GUESSES])
            raise RequestError(f"{name!r} begins the names of {len(found)} {kind}s", hint=f"write more of it: {some}")
        raise self._unknown(name, kind)

    def _unknown(self, name: str, kind: Literal["run", "claim"] = "run") -> UnknownName:
        near = difflib.get_close_matches(name, self._ids(kind), GUESSES, cutoff=0)
        return UnknownName(kind, name, near or ["none yet"])

    def _writing(self) -> AbstractContextManager[None]:
        return writing(self._db, self.path)

    def _all(self, query: str, *values: Any) -> Sequence[sqlite3.Row]:
        with told(self.path, "read"):
            return self._db.execute(query, values).fetchall()

    def _one(self, query: str, *values: Any) -> sqlite3.Row | None:
        return next(iter(self._all(query, *values)), None)


@contextmanager
def _consistent(run: str) -> Iterator[None]:
    """What the tables refuse in a run that came from outside is its fault, not a bug."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError) as error:
        raise RequestError(f"run {run} can't be stored: {error}", hint="export it again where it comes from") from None
