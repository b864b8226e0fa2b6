"""Plain decoding, the whole stack, the best single source with its best fixed length, and a fixed order of sources, on
new code, code edits and a mix of tasks: what each track brings on this machine."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from slipstream.bench import cell_figures as read
from slipstream.bench.ablation import Answer, Single, draft_source, free_source
from slipstream.bench.arms import STACK
from slipstream.bench.cell import Arm, Cell
from slipstream.bench.compare import BASELINE
from slipstream.bench.first_light import Suite, arm, ground, only
from slipstream.bench.predict import Aligned
from slipstream.bench.table import Answers
from slipstream.bench.workload import Prompt, built_in, load, pick
from slipstream.control.fixed import PRESETS
from slipstream.core.ports import Clock
from slipstream.drafters import catalog

SINGLE = "best single"
ORDER = "lookup first"
SLOW = f"{STACK} on its slowest prompts"
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


def arms(suite: Suite, settings: Mapping[str, Any], single: Single, *, order: bool) -> tuple[Arm, ...]:
    """What a suite is run through; `order`: a fixed order of sources too, which takes a draft model."""
    preset = PRESETS[ORDER]
    last = arm(ORDER, "candidate", suite, settings, list(preset.order), draft_length=preset.length)
    return (
        *ground(suite, settings),
        arm(SINGLE, "candidate", suite, settings, [single.source], draft_length=single.length),
        *([last] if order else []),
    )


def slow_arms(suite: Suite, settings: Mapping[str, Any]) -> tuple[Arm, ...]:
    """What the slowest prompts are run through again."""
    plain, again, _ = ground(suite, settings)
    return (plain, again, arm(SLOW, "candidate", suite, settings, "auto"))


def slowest(suite: Suite, cells: Sequence[Cell]) -> tuple[Prompt, ...]:
    """The prompts on which the stack looked slowest."""
    ratios = {prompt: median(pairs) for prompt, pairs in read.by_prompt(cells, STACK, BASELINE).items()}
    chosen = sorted(ratios, key=lambda prompt: ratios[prompt])[:SLOWEST]
    return tuple(prompt for prompt in suite.prompts if prompt.id in chosen)


def ablate(session: Any, prompts: Sequence[Prompt], known: Answers, clock: Clock) -> list[Single]:
    """Every single source at every fixed length, best first, replayed on the plain answers that are `known`; a draft
    model only if it has the target's vocabulary."""
    costs = session.keep.curve.costs(256)
    drafter = session.loop.paid.get(DRAFT)
    drafter = drafter if drafter is not None and drafter.aligned else None
    found = []
    for prompt in prompts:
        if prompt.id not in known:
            continue
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


def figures(
    model: str, suite: Suite, cells: Sequence[Cell], again: Sequence[Cell], singles: Sequence[Single]
) -> dict[str, Any]:
    """The figures of a model on a suite, from its cells and those of the slowest prompts measured again; ratios as
    [value, low, high]."""
    found = [name for name in (STACK, SINGLE, ORDER) if any(cell.arm == name for cell in cells)]
    stack = read.counted(cells, STACK)
    milliseconds = 1000 * sum(cell.seconds for cell in stack)
    return {
        "model": model,
        "suite": suite.name,
        "max_tokens": suite.max_tokens,
        "prompts": len({cell.prompt for cell in cells if cell.arm == STACK}),
        "pairs": sum(map(len, read.by_prompt(cells, STACK, BASELINE).values())),
        "speed_up": {name: read.speed_up(cells, name, BASELINE) for name in found},
        "against_single": read.speed_up(cells, STACK, SINGLE),
        "by_task": {
            task: read.speed_up(cells, STACK, BASELINE, task)
            for task in dict.fromkeys(prompt.task for prompt in suite.prompts)
        },
        "slowest": read.slowest(again, SLOW, BASELINE),
        "tokens_per_round": {name: read.tokens_per_round(cells, name) for name in found},
        "drafting_share": sum(cell.figures["paid_ms"] for cell in stack) / milliseconds if milliseconds else 0.0,
        "sources": read.sources(cells, STACK),
        "single": asdict(singles[0]),
        "ablation": [asdict(single) for single in singles],
    }
