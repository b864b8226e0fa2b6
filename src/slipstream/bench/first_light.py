"""The first published measurement: plain decoding, the stack and the oracle on edits and chats, model by model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from slipstream.bench.arms import ORACLE, STACK, session_arms
from slipstream.bench.compare import BASELINE, Comparison, Divergence, interleave
from slipstream.bench.record import Entry, RoundTimes, RunRecord
from slipstream.bench.table import find_divergences
from slipstream.bench.workload import Prompt, built_in, load, pick
from slipstream.core.errors import RequestError

EDITS = "edits"
CHATS = "chats"
EXACT = "exact"
EXACT_PROMPTS = 24


@dataclass(frozen=True, slots=True)
class Suite:
    """Prompts with the arms they are run through."""

    name: str
    prompts: tuple[Prompt, ...]
    max_tokens: int
    oracle: bool = False


def suites(data: Path | None) -> list[Suite]:
    """Code edits and chats: from the files of a folder (code_edit*.jsonl, spec_bench*.jsonl), else the built-in set."""
    if data is None:
        prompts = built_in()
        edits, chats = pick(prompts, ("edit", "copy")), pick(prompts, ("chat", "math", "summary"))
    else:
        edits = pick(load(only(data, "code_edit*.jsonl")), each=12)
        chats = pick(load(only(data, "spec_bench*.jsonl")), ("qa", "math_reasoning", "writing"), each=4)
    return [Suite(EDITS, tuple(edits), 256, oracle=True), Suite(CHATS, tuple(chats), 128)]


def exact_suite(data: Path | None) -> Suite:
    """The same prompts, longer answers and more edits (24 prompts, where there are so many), plain against the stack:
    every token must be the same."""
    edits, chats = suites(data)
    if data is not None:
        more = pick(load(only(data, "code_edit*.jsonl")), each=EXACT_PROMPTS - len(chats.prompts))
        edits = replace(edits, prompts=tuple(more))
    return Suite(EXACT, edits.prompts + chats.prompts, 256)


def only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise RequestError(f"{folder} holds {len(found)} files {pattern}", hint="the data folder needs exactly one")
    return found[0]


def measure(
    session: Any, model: str, suite: Suite, repetitions: int, record: RunRecord, clock: Callable[[], float],
    report: Callable[[str], None] = lambda what: None,
) -> None:  # fmt: skip
    """Run a suite on an opened model, storing each generation; what the record already holds is left out."""
    times: list[RoundTimes] = []
    session.loop.trace = lambda r, learn, total: times.append(
        RoundTimes(r.width, r.draft_ms, r.plan_ms, learn, r.target_ms, total)
    )
    arms = session_arms(session, suite.max_tokens, oracle=suite.oracle, clock=clock)
    held: dict[tuple[str, int], set[str]] = {}
    for entry in record.entries():
        if (entry.suite, entry.model) == (suite.name, model):
            held.setdefault((entry.sample.prompt.id, entry.sample.repetition), set()).add(entry.sample.arm)
    done = {pair for pair, found in held.items() if found >= set(arms)}
    for sample in interleave(suite.prompts, arms, repetitions, session.forget, done):
        record.append(Entry(suite.name, model, sample, tuple(times)))
        times.clear()
        report(f"{model}, {suite.name}: {sample.prompt.id}, {sample.arm}")
    session.loop.trace = None


def comparison_of(record: RunRecord, suite: str, model: str) -> Comparison:
    """A suite's samples; the last one counts where a generation was interrupted and run again."""
    latest = {
        (e.sample.prompt.id, e.sample.arm, e.sample.repetition): e.sample
        for e in record.entries()
        if (e.suite, e.model) == (suite, model)
    }
    return Comparison(list(latest.values()))


def divergences(session: Any, record: RunRecord, suite: Suite, model: str) -> list[Divergence]:
    """Where the stack's outputs part from the plain ones, with logit gaps from the model itself."""
    prompts: dict[str, Sequence[int]] = {p.id: session.request(p.text).prompt for p in suite.prompts}
    return find_divergences(comparison_of(record, suite.name, model), session.target, prompts)


def figures(record: RunRecord, model: str) -> dict[str, Any]:
    """The published figures of a model; ratios as (value, low, high)."""
    edits, chats = comparison_of(record, EDITS, model), comparison_of(record, CHATS, model)
    both = Comparison(edits.samples + chats.samples)
    worst, ratio = both.slowest(STACK)
    rounds = [
        times
        for entry in record.entries()
        if entry.model == model and entry.suite in (EDITS, CHATS) and entry.sample.arm == STACK
        for times in entry.rounds
    ]

    def speed_up(comparison: Comparison, arm: str = STACK, baseline: str = BASELINE) -> list[float]:
        found = comparison.ratio(arm, comparison.prompts(), baseline)
        return [found.value, found.low, found.high]

    return {
        "model": model,
        "edits": speed_up(edits),
        "chats": speed_up(chats),
        "slowest": {"prompt": worst, "ratio": [ratio.value, ratio.low, ratio.high]},
        "oracle": speed_up(edits, ORACLE),
        "share_of_oracle": speed_up(edits, STACK, ORACLE),
        "deciding_ms_median": median(times.deciding for times in rounds),
        "all_but_target_median": median(1 - times.target / times.total for times in rounds),
        "all_but_target": 1 - sum(times.target for times in rounds) / sum(times.total for times in rounds),
        "tokens_per_round": {
            "edits": edits.stats(STACK).tokens_per_round,
            "chats": chats.stats(STACK).tokens_per_round,
        },
        "pairs": len(both.of(STACK)),
        "prompts": len(both.prompts()),
    }


def exact_figures(record: RunRecord, model: str) -> dict[str, Any]:
    """Of exact mode: prompts whose outputs differ (there should be none), tokens compared, and the speed-up within
    it."""
    comparison = comparison_of(record, EXACT, model)
    ratio = comparison.ratio(STACK, comparison.prompts())
    differing = [
        name
        for name in comparison.prompts()
        if comparison.of(BASELINE, [name])[0].tokens != comparison.of(STACK, [name])[0].tokens
    ]
    return {
        "model": model,
        "prompts": len(comparison.prompts()),
        "tokens": sum(len(sample.tokens) for sample in comparison.of(BASELINE)),
        "differing": differing,
        "speed_up": [ratio.value, ratio.low, ratio.high],
    }


def short(suite: Suite, prompts: int) -> Suite:
    """The suite's first prompts, for a quick look."""
    return replace(suite, prompts=suite.prompts[:prompts])
