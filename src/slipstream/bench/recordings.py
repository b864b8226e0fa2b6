"""Recorded answers, from wherever they were stored: what a model said plainly, and how fast the stack was then."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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
    costs, step_ms = _costs(entries, curve)
    return Recording(
        source,
        model,
        _first((sample.prompt, sample.tokens) for sample in plain),
        Comparison(samples),
        {arm: median(values) for arm, values in besides.items() if values},
        costs,
        step_ms,
    )


def _costs(entries: Sequence[Entry], curve: Mapping[str, Any]) -> tuple[dict[int, float], float]:
    """Milliseconds by width, and of a draft model's pass: the reported curve, taken to what passes really cost in the
    generations without a draft model. A curve is measured once, before hours of generating; plain passes wait for
    memory, all others mostly compute, so the two have a pace each, and a draft model goes with the latter."""
    seen: dict[int, list[float]] = {}
    for entry in entries:
        if DRAFT not in entry.sample.stats.sources:
            for times in entry.rounds:
                seen.setdefault(times.width, []).append(times.target)
    ratios = {int(width): float(ratio) for width, ratio in curve.get("ratios", {}).items()}
    if not ratios or 1 not in seen:
        return {}, 0.0
    plain_ms = median(seen[1])
    expected = VerifyCost({0: {1: plain_ms} | {width: plain_ms * ratio for width, ratio in ratios.items()}})
    costs = expected.costs(0)
    paces = [ms / costs[width] for width, found in seen.items() if 1 < width < len(costs) for ms in found]
    pace = median(paces) if paces else 1.0
    wide = {width: pace * plain_ms * ratio for width, ratio in ratios.items()}
    often = {width: median(found) for width, found in seen.items() if len(found) >= OFTEN and width < len(costs)}
    return {1: plain_ms} | wide | often, pace * plain_ms * curve.get("draft_step", {}).get(DRAFT, 0.0)


def of_store(whole: WholeRun) -> list[Recording]:
    """Of a stored run: one for every model that an arm ran without drafts. The stack is the arm of the same model that
    left drafting to the policy."""
    run = whole.run
    prompts = {row["id"]: Prompt(**row) for row in run.plan.get("prompts", ())}
    found: dict[str, Recording] = {}
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
        samples = [_sample(cell, names[cell.arm], prompts) for cell in cells]
        found[model] = Recording(
            run.id,
            model,
            _first((sample.prompt, sample.tokens) for sample in samples if sample.arm == BASELINE),
            Comparison(samples),
        )
    return [recording for recording in found.values() if recording.answers]


def _draft(configuration: Mapping[str, object]) -> str:
    settings = configuration.get("settings", configuration)
    if not isinstance(settings, Mapping) or settings.get("draft_length"):
        return "fixed"
    return str(settings.get("draft", "auto"))


def _sample(cell: Cell, arm: str, prompts: Mapping[str, Prompt]) -> Sample:
    sources = {name: SourceStats(**source) for name, source in cell.figures.get("sources", {}).items()}
    stats = Stats(tokens=cell.tokens, decode_ms=1000 * cell.seconds, sources=sources)
    prompt = prompts.get(cell.prompt, Prompt(cell.prompt, cell.task, ""))
    return Sample(prompt, arm, cell.repetition, cell.token_ids, cell.answer, stats, cell.started)


def _first(answers: Iterable[tuple[Prompt, tuple[int, ...]]]) -> tuple[Answered, ...]:
    """The first answer to each prompt: all of them are greedy."""
    found: dict[str, Answered] = {}
    for prompt, tokens in answers:
        if tokens:
            found.setdefault(prompt.id, Answered(prompt, tokens))
    return tuple(found.values())
