"""Recorded answers of stored runs and of traces: what a model said plainly, and how fast the stack was then."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from slipstream.bench.arms import STACK
from slipstream.bench.cell import Cell
from slipstream.bench.compare import BASELINE, Comparison, Sample
from slipstream.bench.store_rows import Curve, WholeRun
from slipstream.bench.traced_arm import rounds_of
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
    """One model's part of a run, or of the runs of one benchmark. `measured` holds the plain arm and the stack, as
    timed then; `round_ms` is what a round took besides its passes, by arm; `source` names the run. `costs` are
    milliseconds of a pass by width and `step_ms` of a draft model's, as they were then: a machine is another one an
    hour later. Empty and 0 if they weren't stored."""

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


Timed = tuple[Sample, Cell]


def of_store(source: str, runs: Sequence[WholeRun]) -> list[Recording]:
    """Of a stored run, or of all runs of a benchmark, under the name `source`: one for every model that an arm ran
    without drafts. The stack is the arm of the same model that left drafting to the policy. A prompt counts in the
    first run that has it; runs that only prepare others or measure chosen prompts again are left out."""
    found: dict[str, list[Timed]] = {}
    curves: dict[str, list[Curve]] = {}
    for whole in runs:
        if whole.run.plan.get("part"):
            continue
        for model, timed in _by_model(whole).items():
            curves.setdefault(model, []).extend(whole.curves)
            held = found.setdefault(model, [])
            seen = {sample.prompt.id for sample, _ in held}
            held += [one for one in timed if one[0].prompt.id not in seen]
    recordings = [_recording(source, model, timed, curves[model]) for model, timed in found.items()]
    return [recording for recording in recordings if recording.answers]


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


def _by_model(whole: WholeRun) -> dict[str, list[Timed]]:
    """Cells of the plain arm and of the stack, by model."""
    run = whole.run
    prompts = {row["id"]: Prompt(**row) for row in run.plan.get("prompts", ()) if isinstance(row, Mapping)}
    found: dict[str, list[Timed]] = {}
    for arm in run.arms:
        model = measured_model(run, arm.name).name
        if arm.role == "repeat" or model in found or _draft(arm.configuration) != "off":
            continue
        stack = next(
            (
                other.name
                for other in run.arms
                if other.role == "candidate"
                and _draft(other.configuration) == "auto"
                and measured_model(run, other.name).name == model
            ),
            "",
        )
        names = {arm.name: BASELINE, stack: STACK}
        cells = [cell for cell in whole.cells if cell.status == "ok" and cell.token_ids and cell.arm in names]
        found[model] = [(_sample(cell, names[cell.arm], prompts), cell) for cell in cells]
    return found


def _recording(source: str, model: str, timed: Sequence[Timed], curves: Sequence[Curve]) -> Recording:
    besides: dict[str, list[float]] = {}
    for sample, cell in timed:
        besides.setdefault(sample.arm, []).extend(_besides(cell))
    costs, step_ms = _costs(timed, model, curves)
    return Recording(
        source,
        model,
        _first((sample.prompt, sample.tokens) for sample, _ in timed if sample.arm == BASELINE),
        Comparison([sample for sample, _ in timed]),
        {arm: median(values) for arm, values in besides.items() if values},
        costs,
        step_ms,
    )


def _besides(cell: Cell) -> list[float]:
    """Milliseconds that rounds of the cell took besides their passes, or their mean where only that was recorded."""
    if rounds := rounds_of(cell):
        return [times.total - times.passes for times in rounds]
    figures = cell.figures
    if not figures.get("rounds") or "target_ms" not in figures:
        return []
    spent = 1000 * cell.seconds - figures["target_ms"] - figures.get("paid_ms", 0.0)
    return [max(0.0, spent) / figures["rounds"]]


def _costs(timed: Iterable[Timed], model: str, curves: Sequence[Curve]) -> tuple[dict[int, float], float]:
    """Milliseconds by width, and of a draft model's pass: the stored curve, taken to what passes really cost in the
    generations without a draft model. A curve is measured once, before hours of generating; plain passes wait for
    memory, all others mostly compute, so the two have a pace each, and a draft model goes with the latter."""
    seen: dict[int, list[float]] = {}
    for sample, cell in timed:
        if DRAFT not in sample.stats.sources:
            for times in rounds_of(cell):
                seen.setdefault(times.width, []).append(times.passes)
    tables = {curve.model: curve.table for curve in curves}
    if model not in tables or 1 not in seen:
        return {}, 0.0
    table = tables.pop(model)
    costs = _verify_cost(table).costs(0)
    plain_ms = median(seen[1])
    widths = {width for row in table.values() for width in row if width > 1}
    expected = {width: plain_ms * costs[width] / costs[1] for width in range(1, len(costs))}
    paces = [ms / expected[width] for width, found in seen.items() if width > 1 and width in expected for ms in found]
    pace = median(paces) if paces else 1.0
    wide = {width: pace * expected[width] for width in widths}
    often = {width: median(found) for width, found in seen.items() if len(found) >= OFTEN and width in expected}
    # The other curve, if there is one, is the draft model's.
    steps = [_verify_cost(draft).costs(0)[1] for draft in tables.values()]
    return {1: plain_ms} | wide | often, pace * plain_ms * steps[0] / costs[1] if len(steps) == 1 else 0.0


def _verify_cost(table: Mapping[int, Mapping[int, float]]) -> VerifyCost:
    return VerifyCost({depth: dict(row) for depth, row in table.items()})


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
