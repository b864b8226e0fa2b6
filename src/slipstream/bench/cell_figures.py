"""Figures of a benchmark, read off its cells. Only pairs of which both cells count make a ratio; None where none do."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from slipstream.bench.cell import Cell
from slipstream.bench.pairs import pairs_of
from slipstream.bench.statistics import ratio_of
from slipstream.bench.table import Answers, find_divergences

Interval = list[float] | None
"""Value, low and high end of a ratio, as JSON has it."""


def speed_up(cells: Sequence[Cell], arm: str, baseline: str, task: str | None = None) -> Interval:
    """Tokens a second of `arm` against `baseline`, on prompts of a task or all."""
    names = {cell.prompt for cell in cells if task in (None, cell.task)}
    ratios = list(pairs_of(cells, arm, baseline, names).ratios.values())
    if not ratios:
        return None
    found = ratio_of(ratios)
    return [found.value, found.low, found.high]


def by_prompt(cells: Sequence[Cell], arm: str, baseline: str) -> Mapping[str, tuple[float, ...]]:
    """The ratios of every prompt's pairs."""
    return pairs_of(cells, arm, baseline, {cell.prompt for cell in cells}).ratios


def slowest(cells: Sequence[Cell], arm: str, baseline: str) -> dict[str, Any] | None:
    """The prompt on which `arm` does worst, with its own interval."""
    ratios = {prompt: ratio_of([pairs]) for prompt, pairs in by_prompt(cells, arm, baseline).items()}
    if not ratios:
        return None
    worst = min(ratios, key=lambda prompt: ratios[prompt].value)
    ratio = ratios[worst]
    return {"prompt": worst, "ratio": [ratio.value, ratio.low, ratio.high], "pairs": ratio.pairs}


def counted(cells: Iterable[Cell], arm: str) -> list[Cell]:
    """An arm's cells that count."""
    return [cell for cell in cells if cell.arm == arm and cell.status == "ok"]


def tokens_per_round(cells: Iterable[Cell], arm: str) -> float:
    """Emitted tokens per target pass, over all rounds; 0 without any."""
    found = counted(cells, arm)
    rounds = sum(cell.figures["rounds"] for cell in found)
    return sum(cell.tokens for cell in found) / rounds if rounds else 0.0


def sources(cells: Iterable[Cell], arm: str) -> dict[str, list[int]]:
    """By source, how many drafted tokens stood, and how many there were."""
    found: dict[str, list[int]] = {}
    for cell in counted(cells, arm):
        for name, source in cell.figures["sources"].items():
            held = found.setdefault(name, [0, 0])
            held[0] += source["accepted"]
            held[1] += source["drafted"]
    return dict(sorted(found.items()))


def answers(cells: Iterable[Cell], arm: str) -> dict[str, tuple[int, ...]]:
    """An arm's first answer by prompt id, whatever its timing is worth."""
    found: dict[str, tuple[int, ...]] = {}
    for cell in cells:
        if cell.arm == arm and cell.token_ids:
            found.setdefault(cell.prompt, cell.token_ids)
    return found


def divergences(cells: Sequence[Cell], session: Any, prompts: Answers, arm: str, baseline: str) -> list[dict[str, Any]]:
    """Where an arm's answers part from the baseline's, with logit gaps from the model itself; `prompts` are tokens."""
    apart = find_divergences(answers(cells, baseline), answers(cells, arm), session.target, prompts)
    return [{"prompt": one.prompt, "token": one.position, "logit_gap": one.gap} for one in apart]
