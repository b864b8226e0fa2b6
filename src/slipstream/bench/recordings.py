"""Recorded answers, from wherever they were stored: what a model said plainly, and how fast the stack was then."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from slipstream.bench.arms import STACK
from slipstream.bench.cell import Cell
from slipstream.bench.compare import BASELINE, Comparison, Sample
from slipstream.bench.record import Entry, RunRecord
from slipstream.bench.store_rows import WholeRun
from slipstream.bench.untested import measured_model
from slipstream.bench.workload import Prompt
from slipstream.control.curve import VerifyCost
from slipstream.core.errors import StateFileError
from slipstream.core.stats import SourceStats, Stats

DRAFT = "draft_model"
OFTEN = 8
"""Passes of a width from which on their median is believed more than the curve."""
ROUND_MS = 0.2
"""What a round takes besides its passes, where it wasn't recorded: typical of a small server core."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A prompt (its text is "" where the record doesn't have it) and the tokens of the plain answer."""

    prompt: Prompt
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Recording:
    """One model's part of a run. `measured` holds the plain arm and the stack, as timed then; `round_ms` is what a
    round took besides its passes, by arm; `source` names the run. `costs` are milliseconds of a pass by width and
    `step_ms` of a draft model's, as they were then: a machine is another one an hour later. Empty and 0 if they weren't
    stored."""

    source: str
    model: str
    answers: tuple[Answered, ...]
    measured: Comparison
    round_ms: Mapping[str, float] = field(default_factory=dict)
    costs: Mapping[int, float] = field(default_factory=dict)
    step_ms: float = 0.0

    @property
    def sources(self) -> frozenset[str]:
        """Whose drafts the measured stack verified."""
        return frozenset(self.measured.stats(STACK).sources)


def of_folder(record: RunRecord) -> list[Recording]:
    """Of a folder that `bench first-light` or `bench stack` wrote; a prompt counts in the first suite that has it.

    Raises StateFileError if it isn't a run.
    """
    _ = record.conditions
    suites: dict[tuple[str, str], str] = {}
    entries: dict[str, list[Entry]] = {}
    for entry in record.entries():
        if suites.setdefault((entry.model, entry.sample.prompt.id), entry.suite) == entry.suite:
            entries.setdefault(entry.model, []).append(entry)
    curves = _curves(record)
    return [_of_entries(record.folder.name, model, found, curves.get(model, {})) for model, found in entries.items()]


def _curves(record: RunRecord) -> Mapping[str, Any]:
    """By model, what a finished run of `bench stack` reports of its curves, in plain passes."""
    file = record.folder / "report.json"
    try:
        found: Mapping[str, Any] = json.loads(file.read_text("utf-8")).get("curves", {})
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        raise StateFileError(f"{file} is no report: {error}", hint="remove it, or name another run") from None
    return found


def _of_entries(source: str, model: str, entries: Sequence[Entry], curve: Mapping[str, Any]) -> Recording:
    plain = [entry.sample for entry in entries if entry.sample.arm == BASELINE]
    timed = {(e.sample.prompt.id, e.sample.arm, e.sample.repetition): e.sample for e in entries}
    arms = (BASELINE, STACK)
    samples = [sample for sample in timed.values() if sample.repetition >= 0 and sample.arm in arms]
    besides = {
        arm: [times.total - times.target for entry in entries if entry.sample.arm == arm for times in entry.rounds]
        for arm in arms
    }
    seen: dict[int, list[float]] = {}
    for entry in entries:
        if DRAFT not in entry.sample.stats.sources:
            for times in entry.rounds:
                seen.setdefault(times.width, []).append(times.target)
    ratios = {int(width): float(ratio) for width, ratio in curve.get("ratios", {}).items()}
    costs, step_ms = _costs(seen, ratios, curve.get("draft_step", {}).get(DRAFT, 0.0))
    return Recording(
        source,
        model,
        _first((sample.prompt, sample.tokens) for sample in plain),
        Comparison(samples),
        {arm: median(values) for arm, values in besides.items() if values},
        costs,
        step_ms,
    )


def _costs(
    seen: Mapping[int, Sequence[float]], ratios: Mapping[int, float], step: float
) -> tuple[dict[int, float], float]:
    """Milliseconds by width, and of a draft model's pass: a curve (`ratios` and `step`, in plain passes), taken to what
    passes really cost in the generations without a draft model (`seen`, by width). A curve is measured once, before
    hours of generating; plain passes wait for memory, all others mostly compute, so the two have a pace each, and a
    draft model goes with the latter."""
    if not ratios or 1 not in seen:
        return {}, 0.0
    plain_ms = median(seen[1])
    expected = VerifyCost({0: {1: plain_ms} | {width: plain_ms * ratio for width, ratio in ratios.items()}})
    costs = expected.costs(0)
    paces = [ms / costs[width] for width, found in seen.items() if 1 < width < len(costs) for ms in found]
    pace = median(paces) if paces else 1.0
    wide = {width: pace * plain_ms * ratio for width, ratio in ratios.items()}
    often = {width: median(found) for width, found in seen.items() if len(found) >= OFTEN and width < len(costs)}
    return {1: plain_ms} | wide | often, pace * plain_ms * step


def of_store(whole: WholeRun) -> list[Recording]:
    """Of a stored run: one for every model that an arm ran without drafts. The stack is the arm of the same model that
    left drafting to the policy."""
    run = whole.run
    found: dict[str, Recording] = {}
    for arm in run.arms:
        model = measured_model(run, arm.name).name
        if arm.role == "repeat" or model in found or _draft(arm.configuration) != "off":
            continue
        stacks = (
            other.name
            for other in run.arms
            if other.role == "candidate"
            and _draft(other.configuration) == "auto"
            and measured_model(run, other.name).name == model
        )
        found[model] = _of_cells(whole, model, {arm.name: BASELINE, next(stacks, ""): STACK})
    return [recording for recording in found.values() if recording.answers]


def _of_cells(whole: WholeRun, model: str, names: Mapping[str, str]) -> Recording:
    """`names` are what the arms that count are called here."""
    prompts = {row["id"]: Prompt(**row) for row in whole.run.plan.get("prompts", ())}
    cells = [cell for cell in whole.cells if cell.status == "ok" and cell.token_ids and cell.arm in names]
    samples = [_sample(cell, names[cell.arm], prompts) for cell in cells]
    besides: dict[str, list[float]] = {}
    seen: dict[int, list[float]] = {}
    for cell in cells:
        if (spent := _besides(cell)) is not None:
            besides.setdefault(names[cell.arm], []).append(spent)
        for width, milliseconds in _passes(cell):
            seen.setdefault(width, []).append(milliseconds)
    curve = next((one.table for one in whole.curves if one.model.removesuffix(".gguf") == model), {})
    row = curve[min(curve)] if curve else {}
    costs, step_ms = _costs(seen, {width: ms / row[1] for width, ms in row.items()} if 1 in row else {}, 0.0)
    return Recording(
        whole.run.id,
        model,
        _first((sample.prompt, sample.tokens) for sample in samples if sample.arm == BASELINE),
        Comparison(samples),
        {name: median(values) for name, values in besides.items()},
        costs,
        step_ms,
    )


def _passes(cell: Cell) -> list[tuple[int, float]]:
    """Width and milliseconds of target passes: each one (`passes`) where they were recorded, else the mean of a cell
    without drafts. None where a draft model took turns with them."""
    figures = cell.figures
    if DRAFT in figures.get("sources", {}):
        return []
    if "passes" in figures:
        return [(int(width), float(milliseconds)) for width, milliseconds in figures["passes"]]
    if figures.get("rounds") and figures.get("target_ms") and not figures.get("drafted"):
        return [(1, figures["target_ms"] / figures["rounds"])]
    return []


def _besides(cell: Cell) -> float | None:
    """Milliseconds that a round of the cell took besides its passes; None if it wasn't recorded."""
    figures = cell.figures
    if not figures.get("rounds") or "target_ms" not in figures:
        return None
    spent: float = 1000 * cell.seconds - figures["target_ms"] - figures.get("paid_ms", 0.0)
    return max(0.0, spent) / int(figures["rounds"])


def of_trace(file: Path, model: str, prompt: Prompt) -> Recording:
    """Of what `slipstream run --trace` wrote while `model` answered `prompt`: the tokens alone, as nothing was measured
    beside it. Raises StateFileError if it is no trace."""
    try:
        rounds = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        tokens = tuple(int(token) for one in rounds for token in one["slots"][0]["emitted"])
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise StateFileError(f"{file} is no trace: {error}", hint="make one with slipstream run --trace") from None
    if not tokens:
        raise StateFileError(f"{file} is empty", hint="make one with slipstream run --trace")
    return Recording(file.name, model, (Answered(prompt, tokens),), Comparison())


def _draft(configuration: Mapping[str, object]) -> str:
    settings = configuration.get("settings", configuration)
    if not isinstance(settings, Mapping) or settings.get("draft_length"):
        return "fixed"
    return str(settings.get("draft", "auto"))


def _sample(cell: Cell, arm: str, prompts: Mapping[str, Prompt]) -> Sample:
    sources = {name: SourceStats(**source) for name, source in cell.figures.get("sources", {}).items()}
    rounds = int(cell.figures.get("rounds", 0))
    stats = Stats(tokens=cell.tokens, rounds=rounds, decode_ms=1000 * cell.seconds, sources=sources)
    prompt = prompts.get(cell.prompt, Prompt(cell.prompt, cell.task, ""))
    return Sample(prompt, arm, cell.repetition, cell.token_ids, cell.answer, stats, cell.started)


def _first(answers: Iterable[tuple[Prompt, tuple[int, ...]]]) -> tuple[Answered, ...]:
    """The first answer to each prompt: all of them are greedy."""
    found: dict[str, Answered] = {}
    for prompt, tokens in answers:
        if tokens:
            found.setdefault(prompt.id, Answered(prompt, tokens))
    return tuple(found.values())
