"""Recorded answers, from wherever they were stored: what a model said plainly, and how fast the stack was then."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from slipstream.bench.arms import STACK
from slipstream.bench.cell import Cell
from slipstream.bench.compare import BASELINE, Comparison, Sample
from slipstream.bench.record import Entry, RunRecord
from slipstream.bench.store_rows import WholeRun
from slipstream.bench.untested import measured_model
from slipstream.bench.workload import Prompt
from slipstream.core.stats import SourceStats, Stats

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
    round took besides its passes, by arm; `source` names the run."""

    source: str
    model: str
    answers: tuple[Answered, ...]
    measured: Comparison
    round_ms: Mapping[str, float] = field(default_factory=dict)

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
    return [_of_entries(record.folder.name, model, found) for model, found in entries.items()]


def _of_entries(source: str, model: str, entries: Sequence[Entry]) -> Recording:
    plain = [entry.sample for entry in entries if entry.sample.arm == BASELINE]
    timed = {(e.sample.prompt.id, e.sample.arm, e.sample.repetition): e.sample for e in entries}
    arms = (BASELINE, STACK)
    samples = [sample for sample in timed.values() if sample.repetition >= 0 and sample.arm in arms]
    besides = {
        arm: [times.total - times.target for entry in entries if entry.sample.arm == arm for times in entry.rounds]
        for arm in arms
    }
    return Recording(
        source,
        model,
        _first((sample.prompt, sample.tokens) for sample in plain),
        Comparison(samples),
        {arm: median(values) for arm, values in besides.items() if values},
    )


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
