"""The first published measurement: plain decoding, the stack and the oracle on edits and chats, model by model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from slipstream.bench import cell_figures as read
from slipstream.bench.arms import STACK
from slipstream.bench.cell import Arm, Cell, Role
from slipstream.bench.compare import BASELINE
from slipstream.bench.traced_arm import REFERENCE, rounds_of
from slipstream.bench.workload import Prompt, built_in, load, pick
from slipstream.core.errors import RequestError

AGAIN = f"{BASELINE}, again"
ORACLE = "oracle"
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


def short(suite: Suite, prompts: int) -> Suite:
    """The suite's first prompts, for a quick look."""
    return replace(suite, prompts=suite.prompts[:prompts])


def only(folder: Path, pattern: str) -> Path:
    """The one file of a folder that is called so. RequestError if there are none or several."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise RequestError(f"{folder} holds {len(found)} files {pattern}", hint="the data folder needs exactly one")
    return found[0]


def arm(name: str, role: Role, suite: Suite, settings: Mapping[str, Any], draft: Any, **more: Any) -> Arm:
    """One of a suite's arms; `settings` say how the model is opened."""
    told = {**settings, "max_tokens": suite.max_tokens, "draft": draft, **more}
    return Arm(name=name, role=role, configuration={"settings": told})


def ground(suite: Suite, settings: Mapping[str, Any]) -> tuple[Arm, Arm, Arm]:
    """Plain decoding, the same once more to learn the noise, and the stack."""
    return (
        arm(BASELINE, "baseline", suite, settings, "off"),
        arm(AGAIN, "repeat", suite, settings, "off"),
        arm(STACK, "candidate", suite, settings, "auto"),
    )


def arms(suite: Suite, settings: Mapping[str, Any]) -> tuple[Arm, ...]:
    """What a suite is run through."""
    oracle = (arm(ORACLE, "bound", suite, settings, [REFERENCE]),) if suite.oracle else ()
    return (*ground(suite, settings), *oracle)


def exact_arms(suite: Suite, settings: Mapping[str, Any]) -> tuple[Arm, Arm]:
    """Of exact mode: tokens are what counts there, so the noise isn't measured."""
    plain, _, stack = ground(suite, settings)
    return plain, stack


def figures(model: str, edits: Sequence[Cell], chats: Sequence[Cell]) -> dict[str, Any]:
    """The published figures of a model, from the cells of both suites; ratios as [value, low, high]."""
    both = [*edits, *chats]
    rounds = [times for cell in read.counted(both, STACK) for times in rounds_of(cell)]
    total = sum(times.total for times in rounds)
    return {
        "model": model,
        "edits": read.speed_up(edits, STACK, BASELINE),
        "chats": read.speed_up(chats, STACK, BASELINE),
        "slowest": read.slowest(both, STACK, BASELINE),
        "oracle": read.speed_up(edits, ORACLE, BASELINE),
        "share_of_oracle": read.speed_up(edits, STACK, ORACLE),
        "deciding_ms_median": median(times.deciding for times in rounds) if rounds else None,
        "all_but_target_median": median(1 - times.passes / times.total for times in rounds) if rounds else None,
        "all_but_target": 1 - sum(times.passes for times in rounds) / total if total else None,
        "tokens_per_round": {
            "edits": read.tokens_per_round(edits, STACK),
            "chats": read.tokens_per_round(chats, STACK),
        },
        "pairs": sum(map(len, read.by_prompt(both, STACK, BASELINE).values())),
        "prompts": len({cell.prompt for cell in both if cell.arm == STACK}),
    }


def exact_figures(model: str, cells: Sequence[Cell]) -> dict[str, Any]:
    """Of exact mode: prompts whose outputs differ (there should be none), tokens compared, and the speed-up within
    it."""
    plain, ours = read.answers(cells, BASELINE), read.answers(cells, STACK)
    return {
        "model": model,
        "prompts": len(plain.keys() & ours.keys()),
        "tokens": sum(len(tokens) for name, tokens in plain.items() if name in ours),
        "differing": [name for name, tokens in plain.items() if name in ours and ours[name] != tokens],
        "speed_up": read.speed_up(cells, STACK, BASELINE),
    }
