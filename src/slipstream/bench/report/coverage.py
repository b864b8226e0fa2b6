"""What was tried and what wasn't, as one grid a model: methods down, task classes across, with age and engine."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from slipstream.bench.untested import Entry, Visit

DAY = 86400


@dataclass(frozen=True, slots=True)
class Line:
    """A method that was tried: the newest visit's engine, and its age by task, "" where it is untested."""

    method: str
    engine: str
    ages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """A model: task classes, methods that were tried on one of them, and names of methods that never were."""

    model: str
    tasks: tuple[str, ...]
    lines: tuple[Line, ...]
    untested: tuple[str, ...]


def grids(entries: Sequence[Entry], now: float) -> tuple[Grid, ...]:
    """One for each model, in order; different files of one name are told apart by their hash."""
    models = list(dict.fromkeys((one.model.key, one.model.name) for one in entries))
    names = Counter(name for _, name in models)
    return tuple(
        _grid(f"{name} {key[:8]}" if names[name] > 1 else name, [one for one in entries if one.model.key == key], now)
        for key, name in models
    )


def _grid(model: str, entries: Sequence[Entry], now: float) -> Grid:
    tasks = tuple(dict.fromkeys(one.task for one in entries))
    visits = {(one.method, one.task): one.visit for one in entries}
    methods = list(dict.fromkeys(one.method for one in entries))
    tried = [method for method in methods if any(visits[method, task] for task in tasks)]
    lines = [
        Line(
            method,
            _engine(visits[method, task] for task in tasks),
            tuple(_age(visits[method, task], now) for task in tasks),
        )
        for method in tried
    ]
    return Grid(model, tasks, tuple(lines), tuple(method for method in methods if method not in tried))


def _engine(visits: Iterable[Visit | None]) -> str:
    return max((visit for visit in visits if visit), key=lambda visit: visit.at).engine


def _age(visit: Visit | None, now: float) -> str:
    if visit is None:
        return ""
    days = max(0, int((now - visit.at) // DAY))
    age = f"{days} d" if days else "today"
    return f"{age}, elsewhere" if visit.external else age
