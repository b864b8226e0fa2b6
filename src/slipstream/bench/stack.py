"""Plain decoding, the whole stack, the best single source with its best fixed length, and a fixed order of sources, on
new code, code edits and a mix of tasks: what each track brings on this machine."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from slipstream.bench.ablation import Answer, Single, draft_source, free_source
from slipstream.bench.arms import STACK
from slipstream.bench.compare import BASELINE, Comparison, Run, Sample, interleave
from slipstream.bench.first_light import Suite, comparison_of, only
from slipstream.bench.predict import Aligned
from slipstream.bench.record import Entry, RoundTimes, RunRecord
from slipstream.bench.table import find_divergences
from slipstream.bench.workload import Prompt, built_in, load, pick
from slipstream.control.fixed import PRESETS, FixedPolicy
from slipstream.core.ports import Clock
from slipstream.drafters import catalog

SINGLE = "best single"
ORDER = "lookup first"
FREE = ("suffix", "prompt_lookup")
DRAFT = "draft_model"
SLOWEST, PAIRS = 3, 5
"""The prompts on which the stack looked slowest are measured again in so many pairs: the slowest of many single pairs
is mostly the noisiest one."""


def suites(data: Path | None) -> list[Suite]:
    """From the files of a folder (humaneval*.jsonl, code_edit*.jsonl, spec_bench*.jsonl), else the built-in set."""
    if data is None:
        prompts = built_in()
        edits = pick(prompts, ("edit", "copy"))
        rest = tuple(prompt for prompt in prompts if prompt.task not in ("edit", "copy"))
        return [Suite("edits", tuple(edits), 256), Suite("mix", rest, 128)]
    return [
        Suite("humaneval", tuple(load(only(data, "humaneval*.jsonl"))[:12]), 256),
        Suite("code_edit", tuple(load(only(data, "code_edit*.jsonl"))[:12]), 256),
        Suite("spec_bench", tuple(pick(load(only(data, "spec_bench*.jsonl")), each=2)), 128),
    ]


def answers(
    session: Any, model: str, suite: Suite, record: RunRecord, clock: Clock, report: Callable[[str], None]
) -> dict[str, tuple[int, ...]]:
    """What the model says plainly, by prompt id: the first, warming run, stored as repetition -1."""
    known = {
        entry.sample.prompt.id: entry.sample.tokens
        for entry in record.entries()
        if (entry.suite, entry.model, entry.sample.repetition) == (suite.name, model, -1)
    }
    for prompt in suite.prompts:
        if prompt.id not in known:
            sample = arm(session, suite, BASELINE, "off", None, clock)(prompt, -1)
            record.append(Entry(suite.name, model, sample, ()))
            known[prompt.id] = sample.tokens
            report(f"{model}, {suite.name}: {prompt.id}, first plain run")
    return known


def ablate(session: Any, suite: Suite, known: Mapping[str, Sequence[int]], clock: Clock) -> list[Single]:
    """Every single source at every fixed length, best first; a draft model only if it has the target's vocabulary."""
    costs = session.keep.curve.costs(256)
    drafter = session.loop.paid.get(DRAFT)
    drafter = drafter if drafter is not None and drafter.aligned else None
    found = []
    for prompt in suite.prompts:
        request, tokens = session.request(prompt.text), tuple(known[prompt.id])
        agree: tuple[bool, ...] = ()
        if drafter is not None:
            drafter.forget()
            agree = Aligned(drafter.model, clock)(request.prompt, tokens).agree
            drafter.model.rewind(0, 0)
        found.append(Answer(request.prompt, tokens, agree))
    singles = [single for name in FREE for single in free_source(name, _maker(name), found, costs)]
    if drafter is not None:
        price = session.loop.policy.prices[DRAFT]
        singles += draft_source(DRAFT, found, costs, price.step(256, costs[1]) * costs[1])
    return sorted(singles, key=lambda single: -single.speed_up)


def _maker(name: str) -> Callable[[], Any]:
    return lambda: catalog.create(name, {"max_outputs": 0} if name == "suffix" else None)


def measure(
    session: Any, model: str, suite: Suite, single: Single, repetitions: int, record: RunRecord, clock: Clock,
    report: Callable[[str], None] = lambda what: None,
) -> None:  # fmt: skip
    """Run every arm on every prompt, storing each generation; what the record already holds is left out."""
    times: list[RoundTimes] = []
    session.loop.trace = lambda r, learn, total: times.append(
        RoundTimes(r.width, r.draft_ms - r.paid_ms, r.plan_ms, learn, r.target_ms + r.paid_ms, total)
    )
    arms = {
        BASELINE: arm(session, suite, BASELINE, "off", None, clock),
        STACK: arm(session, suite, STACK, "auto", None, clock),
        SINGLE: arm(session, suite, SINGLE, (single.source,), FixedPolicy((single.source,), single.length), clock),
        ORDER: arm(session, suite, ORDER, PRESETS[ORDER].order, PRESETS[ORDER], clock),
    }
    if DRAFT not in session.loop.paid:
        del arms[ORDER]
    for sample in interleave(suite.prompts, arms, repetitions, session.forget, _done(record, model, suite, arms)):
        record.append(Entry(suite.name, model, sample, tuple(times)))
        times.clear()
        report(f"{model}, {suite.name}: {sample.prompt.id}, {sample.arm}")
    session.loop.trace = None


def measure_slowest(
    session: Any, model: str, suite: Suite, record: RunRecord, clock: Clock, report: Callable[[str], None]
) -> None:
    """Run plain decoding and the stack again on the prompts on which the stack looked slowest."""
    found = _measured(comparison_of(record, suite.name, model))
    ratios = {prompt: found.ratio(STACK, [prompt]).value for prompt in found.prompts()}
    chosen = sorted(ratios, key=lambda prompt: ratios[prompt])[:SLOWEST]
    again = Suite(_again(suite), tuple(prompt for prompt in suite.prompts if prompt.id in chosen), suite.max_tokens)
    arms = {name: arm(session, again, name, draft, None, clock) for name, draft in ((BASELINE, "off"), (STACK, "auto"))}
    for sample in interleave(again.prompts, arms, PAIRS, None, _done(record, model, again, arms)):
        record.append(Entry(again.name, model, sample, ()))
        report(f"{model}, {again.name}: {sample.prompt.id}, {sample.arm}")


def _again(suite: Suite) -> str:
    return f"{suite.name}, slowest"


def _done(record: RunRecord, model: str, suite: Suite, arms: Collection[str]) -> set[tuple[str, int]]:
    """(prompt id, repetition) that the record holds for every arm."""
    held: dict[tuple[str, int], set[str]] = {}
    for entry in record.entries():
        if (entry.suite, entry.model) == (suite.name, model):
            held.setdefault((entry.sample.prompt.id, entry.sample.repetition), set()).add(entry.sample.arm)
    return {pair for pair, found in held.items() if found >= set(arms)}


def arm(session: Any, suite: Suite, name: str, draft: Any, policy: FixedPolicy | None, clock: Clock) -> Run:
    """Greedy; calibration goes by the prompt's task class; nothing is remembered from prompt to prompt."""

    def run(prompt: Prompt, repetition: int) -> Sample:
        request = session.request(
            prompt.text, max_tokens=suite.max_tokens, workload=prompt.task, remember=False, draft=draft
        )
        session.cool()
        adaptive, session.loop.policy = session.loop.policy, policy or session.loop.policy
        started = clock()
        try:
            completion = session.generate(request)
        finally:
            session.loop.policy = adaptive
        return Sample(prompt, name, repetition, completion.tokens, completion.text, completion.stats, started)

    return run


def figures(session: Any, record: RunRecord, model: str, suite: Suite, singles: Sequence[Single]) -> dict[str, Any]:
    """The figures of a model on a suite; ratios as [value, low, high]."""
    comparison = _measured(comparison_of(record, suite.name, model))
    arms = [arm for arm in (STACK, SINGLE, ORDER) if comparison.of(arm)]

    def ratio(arm: str, prompts: Sequence[str], baseline: str = BASELINE) -> list[float]:
        found = comparison.ratio(arm, prompts, baseline)
        return [found.value, found.low, found.high]

    worst, slowest = comparison_of(record, _again(suite), model).slowest(STACK)
    prompts = {prompt.id: session.request(prompt.text).prompt for prompt in suite.prompts}
    apart = find_divergences(comparison, session.target, prompts)
    stats = {arm: comparison.stats(arm) for arm in arms}
    return {
        "model": model,
        "suite": suite.name,
        "prompts": len(comparison.prompts()),
        "pairs": len(comparison.of(STACK)),
        "speed_up": {arm: ratio(arm, comparison.prompts()) for arm in arms},
        "against_single": ratio(STACK, comparison.prompts(), SINGLE),
        "by_task": {task: ratio(STACK, comparison.prompts(task)) for task in comparison.tasks()},
        "slowest": {"prompt": worst, "ratio": [slowest.value, slowest.low, slowest.high], "pairs": slowest.pairs},
        "tokens_per_round": {arm: found.tokens_per_round for arm, found in stats.items()},
        "drafting_share": stats[STACK].paid_ms / stats[STACK].decode_ms,
        "sources": {name: [s.accepted, s.drafted] for name, s in sorted(stats[STACK].sources.items())},
        "single": asdict(singles[0]),
        "ablation": [asdict(single) for single in singles],
        "divergences": [{"prompt": d.prompt, "token": d.position, "logit_gap": d.gap} for d in apart],
    }


def _measured(comparison: Comparison) -> Comparison:
    """Without the first plain run, which only served to know the answers."""
    return Comparison([sample for sample in comparison.samples if sample.repetition >= 0])
