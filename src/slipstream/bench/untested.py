"""What was never tried: model by method by task. A model is a file's content (its hash), never a path, and a method
that was tried on one task is still untested on the others (requirement R26)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from slipstream.bench.cell import Run
from slipstream.bench.imports import SYNTHETIC
from slipstream.bench.quality.cells import TEXT
from slipstream.bench.report.naming import Method, engine_of, method_of, model_of
from slipstream.bench.standing import EXTERNAL
from slipstream.bench.store_rows import Coverage
from slipstream.bench.task_classes import CLASSES, class_of
from slipstream.core.errors import ModelFileError, RequestError
from slipstream.drafters import catalog
from slipstream.models.gguf import SHARD, identity, read_header

NO_TASKS = frozenset({SYNTHETIC, TEXT})
MACHINE = "baseline"
"""The kind of runs that measure threads, placement and batch, which is no task that anybody has."""
PROJECTOR = "clip"
"""Architecture of files that belong to a model and are none."""


@dataclass(frozen=True, slots=True)
class Model:
    """`identity` is the hash of the file; "" for one that was only ever named (in a result measured elsewhere)."""

    identity: str
    name: str

    @property
    def key(self) -> str:
        """By what it is told from others."""
        return self.identity or self.name


@dataclass(frozen=True, slots=True)
class Visit:
    """The newest time it was tried: the run, when (seconds since the epoch), the engine build, and whether elsewhere.
    `cells` are the usable ones of that run."""

    run: str
    at: float
    engine: str
    external: bool
    cells: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One place of the matrix; no visit if it is untested."""

    model: Model
    method: str
    task: str
    visit: Visit | None


def matrix(models: Sequence[Model], runs: Iterable[Run], coverage: Iterable[Coverage], *, others: bool) -> list[Entry]:
    """Every model, by every draft source alone and every other method that was tried on it, by every task class.

    `others` adds the models that were ever measured. Random tokens and scored texts are no task; arms that a run
    doesn't declare (a canary) and those that know the answer are no trial.
    """
    by_id = {run.id: run for run in runs}
    visits: dict[tuple[str, str, str], Visit] = {}
    seen: dict[str, Model] = {}
    for one in coverage:
        run = by_id.get(one.run)
        arm = next((arm for arm in run.arms if arm.name == one.arm), None) if run else None
        if run is None or arm is None or arm.role == "bound" or run.kind == MACHINE or one.task in NO_TASKS:
            continue
        model = measured_model(run, one.arm)
        seen.setdefault(model.key, model)
        place = (model.key, method_of(arm).name, class_of(one.task))
        visit = Visit(run.id, one.newest or run.started, engine_of(run), run.kind == EXTERNAL, one.cells)
        if place not in visits or visit.at > visits[place].at:
            visits[place] = visit
    measured = sorted(seen.values(), key=lambda one: one.name) if others else []
    shown = {model.key: model for model in (*measured, *models)}
    methods = list(dict.fromkeys(["plain", *(Method((name,)).name for name in catalog.names())]))
    more = {key: sorted({method for of, method, _ in visits if of == key} - set(methods)) for key in shown}
    tasks = [*CLASSES, *sorted({task for _, _, task in visits} - CLASSES.keys())]
    return [
        Entry(model, method, task, visits.get((model.key, method, task)))
        for model in shown.values()
        for method in (*methods, *more[model.key])
        for task in tasks
    ]


def measured_model(run: Run, arm: str) -> Model:
    """The model that an arm ran, by the hash that its run attests under the file's name."""
    name = model_of(run, arm)
    attested = run.attestation.get("models")
    known = attested if isinstance(attested, dict) else {}
    hashes = {PurePath(file).name.removesuffix(".gguf"): str(one) for file, one in known.items()}
    return Model(hashes.get(name, ""), name)


def models_of(paths: Iterable[Path]) -> tuple[list[Model], list[str]]:
    """The models of these files and folders (searched through), and a line for each file found that can't be read.

    Raises RequestError for a path that doesn't exist and ModelFileError for a named file that is no model.
    """
    found: list[Model] = []
    problems: list[str] = []
    for path in paths:
        if not path.exists():
            raise RequestError(f"there is no {path}", hint="name GGUF files, or folders that hold some")
        if path.is_file():
            found.append(Model(identity(path), path.stem))
            continue
        for file in sorted(path.rglob("*.gguf")):
            shard = SHARD.fullmatch(file.name)
            if shard and int(shard["number"]) != 1:
                continue
            try:
                if read_header(file).architecture != PROJECTOR:
                    found.append(Model(identity(file), file.stem))
            except ModelFileError as error:
                problems.append(error.message)
    return found, problems
