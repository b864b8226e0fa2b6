"""Results that others measured: taken in with their source, marked external, never counted as our own clock (I4)."""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path, PurePath
from typing import Any

from slipstream.bench import export
from slipstream.bench.cell import Arm, Cell
from slipstream.bench.claim import Claim
from slipstream.bench.standing import EXTERNAL
from slipstream.bench.store_rows import StoredRun, WholeRun
from slipstream.bench.task_classes import CLASSES, TASKS, class_of
from slipstream.bench.verdict import UNKNOWN
from slipstream.core.errors import RequestError, UnknownName
from slipstream.drafters import catalog
from slipstream.storage.files import reason

FASTEST = 100_000.0
"""Tokens a second of one stream: more than any machine does."""
MOST = 30.0
"""A larger speed-up is more likely a mistake (a warm cache, another model) than a result."""
UNITS = ("", "t/s", "tok/s", "tokens/s", "tps")
PLAIN = "plain"
SYNTHETIC = "synthetic"
"""The task of cells on random tokens, which say nothing about speculation (requirement R6)."""
RESULTS = frozenset(
    {
        "n_prompt", "n_gen", "n_depth", "test_time", "avg_ns", "stddev_ns", "avg_ts", "stddev_ts", "samples_ns",
        "samples_ts",
    }
)  # fmt: skip
"""What llama-bench says of a test; everything else in a line is a setting or a condition."""
CONDITIONS: Mapping[str, str] = {
    "cpu_info": "cpu",
    "gpu_info": "gpu",
    "backends": "backends",
    "build_commit": "build_commit",
    "build_number": "build_number",
}
"""Its fields that say where it ran, and what an attestation calls them."""
HINT = "write it with llama-bench -o jsonl, or with slipstream bench export"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A result measured elsewhere. Speeds in tokens a second; `identity` is the model file's hash, if it is at hand;
    `measured` is when, in seconds since the epoch."""

    model: str
    method: str
    task: str
    rate: float
    source: str
    measured: float
    baseline: float | None = None
    identity: str = ""
    engine: str = ""
    cpu: str = ""


def speed(text: str, name: str) -> float:
    """Tokens a second from "41.5" or "41.5 tok/s". Raises RequestError for another unit and for what no machine does;
    `name` says whose value it is."""
    match = re.fullmatch(r"\s*([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)\s*(\S*)\s*", text)
    if match is None:
        raise RequestError(f"{name} {text!r} is no number", hint="give tokens a second, such as 41.5")
    value, unit = float(match[1]), match[2]
    if unit.lower() not in UNITS:
        raise RequestError(f"{name} {text!r}: {unit!r} isn't tokens a second", hint="convert it to tokens a second")
    if not 0 < value <= FASTEST:
        raise RequestError(f"{name} is {value:g}", hint=f"above 0 and at most {FASTEST:g} tokens a second")
    return value


def check(recorded: Recorded, *, confirm: bool = False) -> None:
    """Raises UnknownName for a task that is in no table; and, unless confirmed, for a method that is none of ours, and
    RequestError for a speed-up beyond belief. RequestError also for a result without a source."""
    if not recorded.source.strip() or not recorded.model.strip() or not recorded.method.strip():
        raise RequestError("a result needs a model, a method and a source", hint="say who measured it, and where")
    if recorded.method == PLAIN and recorded.baseline is not None:
        raise RequestError("plain decoding is the baseline itself", hint="leave --baseline out")
    if recorded.task not in CLASSES and recorded.task not in TASKS:
        raise UnknownName("task", recorded.task, (*CLASSES, *TASKS))
    if confirm:
        return
    known = (PLAIN, *catalog.names())
    for part in map(str.strip, recorded.method.split(",")):
        if part not in known:
            unknown = UnknownName("method", part, known)
            unknown.hint += "; for a method that is none of these, add --confirm"
            raise unknown
    ratio = recorded.rate / recorded.baseline if recorded.baseline else 1.0
    if not 1 / MOST <= ratio <= MOST:
        raise RequestError(f"that is {ratio:.3g} times the baseline", hint="check both; if it is so, add --confirm")


def recorded_run(recorded: Recorded, run: str, arguments: Sequence[str], now: float) -> WholeRun:
    """The run that a recorded result becomes: a cell for each speed, and a claim on them if there is a baseline.

    Nobody knows its interval: it reaches from nothing to infinity, and no pair stands behind it.
    """
    speeds = {recorded.method: recorded.rate}
    if recorded.baseline is not None:
        speeds = {PLAIN: recorded.baseline, **speeds}
    arms = tuple(
        Arm(
            name=name,
            role="baseline" if name == PLAIN else "candidate",
            configuration={"model": recorded.model, "draft": "off" if name == PLAIN else name},
        )
        for name in speeds
    )
    task = class_of(recorded.task)
    cells = tuple(
        Cell(arm=name, prompt="recorded", task=task, repetition=0, started=recorded.measured, engine_rate=rate)
        for name, rate in speeds.items()
    )
    claims: tuple[Claim, ...] = ()
    if len(speeds) > 1:
        claims = (_claim(run, recorded, task, speeds[recorded.method] / speeds[PLAIN]),)
    plan = {"source": recorded.source, "task": recorded.task, "measured": recorded.measured}
    told = {"engine": recorded.engine, "cpu": recorded.cpu}
    attestation: dict[str, Any] = {key: text for key, text in told.items() if text}
    if recorded.identity:
        attestation["models"] = {recorded.model: recorded.identity}
    stored = StoredRun(
        id=run, kind=EXTERNAL, started=now, arguments=tuple(arguments), arms=arms, plan=plan, attestation=attestation,
        state="complete", ended=now,
    )  # fmt: skip
    return WholeRun(run=stored, cells=cells, claims=claims)


def _claim(run: str, recorded: Recorded, task: str, value: float) -> Claim:
    return Claim(
        id=f"{run}/{recorded.method}/{task}",
        run=run,
        arm=recorded.method,
        baseline=PLAIN,
        task=task,
        value=value,
        low=0.0,
        high=math.inf,
        prompts=0,
        pairs=0,
        detectable=UNKNOWN,
        floor=UNKNOWN,
        verdict="no difference seen" if value == 1 else "faster" if value > 1 else "slower",
        standing="observation",
        reason=f"measured elsewhere, no interval: {recorded.source}",
    )


def read(path: Path, run: str, arguments: Sequence[str], now: float) -> list[WholeRun]:
    """Runs of a file: one for llama-bench's JSON lines (or its JSON), those it holds for an export of ours. `run` is
    the name of a new one. Raises RequestError that names file, line and what is wrong."""
    try:
        content = path.read_bytes()
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RequestError(f"{path} is not UTF-8 at byte {error.start}", hint=HINT) from None
    except OSError as error:
        raise RequestError(f"can't read {path}: {reason(error)}", hint=HINT) from None
    try:
        whole = json.loads(text)
    except ValueError:
        whole = None
    if isinstance(whole, dict) and "format" in whole:
        return _ours(whole, path)
    lines = list(enumerate(whole, 1)) if isinstance(whole, list) else _lines(text, path)
    if not lines:
        raise RequestError(f"{path} holds no result", hint=HINT)
    word = "result" if isinstance(whole, list) else "line"
    rows = [_checked(row, f"{path}, {word} {number}") for number, row in lines]
    digest = hashlib.sha256(content).hexdigest()
    stored = _llama_bench(rows, run, now)
    plan = {"source": f"llama-bench, {path.name}", "sha256": digest}
    return [replace(stored, run=replace(stored.run, plan=plan, arguments=tuple(arguments)))]


def refuse_repeat(whole: WholeRun, runs: Iterable[StoredRun]) -> None:
    """Raises RequestError if the file that `whole` was read from was taken in before: it would count twice."""
    digest = whole.run.plan.get("sha256")
    for run in runs:
        if digest and run.plan.get("sha256") == digest:
            raise RequestError(f"this file was imported already, as run {run.id}", hint="nothing is left to do")


def _ours(value: Mapping[str, Any], path: Path) -> list[WholeRun]:
    try:
        return export.from_json(value)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestError(f"{path} is no export that this Slipstream can read: {error}", hint=HINT) from None


def _lines(text: str, path: Path) -> list[tuple[int, Any]]:
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                found.append((number, json.loads(line)))
            except ValueError as error:
                raise RequestError(f"{path}, line {number}: not JSON ({error})", hint=HINT) from None
    return found


def _checked(row: Any, where: str) -> Mapping[str, Any]:
    """A line that says what was run and how fast it went."""
    if not isinstance(row, dict):
        raise RequestError(f"{where}: no JSON object", hint=HINT)
    for name, kind in (("model_filename", str), ("n_prompt", int), ("n_gen", int)):
        if not isinstance(row.get(name), kind) or isinstance(row[name], bool):
            raise RequestError(f"{where}: no {name}", hint=HINT)
    rate = row.get("avg_ts")
    if not isinstance(rate, (int, float)) or isinstance(rate, bool) or not 0 < rate < math.inf:
        raise RequestError(f"{where}: avg_ts is {rate!r}", hint="it is tokens a second, above 0")
    return row


def _llama_bench(rows: Sequence[Mapping[str, Any]], run: str, now: float) -> WholeRun:
    """An arm for each setting, named by what differs between the lines; a cell for each line."""
    settings = [{key: one for key, one in row.items() if key not in RESULTS and key not in CONDITIONS} for row in rows]
    differing = [key for key in settings[0] if len({json.dumps(one.get(key)) for one in settings}) > 1]
    arms: dict[str, Arm] = {}
    cells = []
    for row, setting in zip(rows, settings, strict=True):
        model = PurePath(setting["model_filename"]).name
        parts = (f"{key}={setting.get(key)}" for key in differing if not key.startswith("model_"))
        name = " ".join([model.removesuffix(".gguf"), *parts])
        arms.setdefault(name, Arm(name=name, configuration={"model": model, "draft": "off", **setting}))
        cells.append(
            Cell(
                arm=name, prompt=_test(row), task=SYNTHETIC, repetition=0, tokens=row["n_gen"],
                prefill_tokens=row["n_prompt"], engine_rate=float(row["avg_ts"]), warm=True,
                started=_time(row.get("test_time")), figures=row,
            )
        )  # fmt: skip
    first = rows[0]
    shared = [key for key in CONDITIONS if key in first and all(row.get(key) == first[key] for row in rows)]
    attestation = {CONDITIONS[key]: first[key] for key in shared}
    if "build_commit" in attestation:
        attestation["engine"] = f"llama.cpp {attestation.get('build_number', '')} {attestation['build_commit']}"
    stored = StoredRun(
        id=run, kind=EXTERNAL, started=now, arms=tuple(arms.values()), attestation=attestation, state="complete",
        ended=now,
    )  # fmt: skip
    return WholeRun(run=stored, cells=tuple(cells))


def _test(row: Mapping[str, Any]) -> str:
    """The test's name as llama-bench's table has it: pp512, tg128, pp512+tg128, tg128 @ d4096."""
    parts = [f"{name}{row[key]}" for name, key in (("pp", "n_prompt"), ("tg", "n_gen")) if row[key]]
    depth = row.get("n_depth")
    return "+".join(parts) + (f" @ d{depth}" if depth else "")


def _time(value: Any) -> float:
    """Seconds since the epoch; 0 if it isn't said."""
    try:
        return datetime.fromisoformat(value).timestamp()
    except (TypeError, ValueError):
        return 0.0
