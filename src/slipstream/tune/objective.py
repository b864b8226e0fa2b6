"""What is made faster: tokens a second, averaged over task classes; and when such a figure says nothing."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from slipstream.bench.cell import Cell
from slipstream.bench.statistics import Ratio, ratio_of
from slipstream.core.errors import EngineError, RequestError

Figure = Literal["request", "decode"]
"""request: emitted tokens over the time of the whole request. decode: over decoding alone."""

PairRatios = Mapping[str, Sequence[float]]
"""Ratios of tokens a second by prompt id, one a pair."""


class DegenerateObjective(EngineError):
    """What was measured can't tell one configuration from another (requirement R46)."""

    code = "degenerate-objective"


@dataclass(frozen=True, slots=True)
class Objective:
    """The weighted geometric mean over task classes of tokens a second. `weights` by task class; `tasks` by prompt."""

    weights: Mapping[str, float]
    tasks: Mapping[str, str]
    figure: Figure = "request"

    def rate(self, cell: Cell, figure: Figure | None = None) -> float:
        """Tokens a second; 0 without any tokens or time."""
        prefill = cell.prefill_seconds if (figure or self.figure) == "request" else 0.0
        return cell.tokens / (cell.seconds + prefill) if cell.seconds > 0 else 0.0

    def score(self, ratios: PairRatios) -> float:
        """The mean of the medians: above 1 is faster. ValueError without any pair."""
        return math.exp(sum(self._share(task, ratios) * self._log(found) for task, found in self._split(ratios)))

    def ratio(self, ratios: PairRatios) -> Ratio:
        """The same with its 95 % interval: a bootstrap within every task class, the half-widths added in quadrature by
        weight, as classes are independent. ValueError without any pair."""
        value = low = high = 0.0
        prompts = pairs = 0
        for task, found in self._split(ratios):
            one, share = ratio_of(found), self._share(task, ratios)
            value += share * math.log(one.value)
            low += (share * math.log(one.value / one.low)) ** 2
            high += (share * math.log(one.high / one.value)) ** 2
            prompts += one.prompts
            pairs += one.pairs
        return Ratio(
            math.exp(value), math.exp(value - math.sqrt(low)), math.exp(value + math.sqrt(high)), prompts, pairs
        )

    def _split(self, ratios: PairRatios) -> list[tuple[str, list[Sequence[float]]]]:
        by_task: dict[str, list[Sequence[float]]] = {}
        for prompt, found in ratios.items():
            if found:
                by_task.setdefault(self.tasks[prompt], []).append(found)
        if not by_task:
            raise ValueError("a score needs at least one pair")
        return list(by_task.items())

    def _share(self, task: str, ratios: PairRatios) -> float:
        there = {self.tasks[prompt] for prompt, found in ratios.items() if found}
        return self.weights[task] / sum(self.weights[one] for one in there)

    @staticmethod
    def _log(by_prompt: Sequence[Sequence[float]]) -> float:
        return sum(math.log(median(found)) for found in by_prompt) / len(by_prompt)


def weights_of(texts: Sequence[str]) -> dict[str, float]:
    """Task classes with their weights from "edit" or "edit=3". Raises RequestError."""
    weights: dict[str, float] = {}
    for text in texts:
        task, _, number = text.partition("=")
        try:
            weight = float(number) if number else 1.0
        except ValueError:
            weight = 0.0
        if not task or not 0 < weight < math.inf:
            raise RequestError(f"--task {text!r} can't be read", hint="write it as edit, or with a weight as edit=3")
        weights[task] = weight
    return weights


def require_real(cells: Sequence[Cell]) -> None:
    """Refuse to optimise what no engine gives. Raises DegenerateObjective for a launch of the default settings in which
    every answer is garbage or missing, answers have no tokens, or every prompt comes out at exactly the same speed."""
    hint = "look at the answers with slipstream run, or give other prompts with --workload"
    good = [cell for cell in cells if cell.status == "ok"]
    if not good and not any(cell.status == "tainted" for cell in cells):
        why = next((cell.reason for cell in cells if cell.reason), "there are none")
        raise DegenerateObjective(f"no answer of the default settings counts: {why}", hint=hint)
    if not all(cell.tokens and 0 < cell.rate < math.inf for cell in good):
        raise DegenerateObjective("the default settings gave answers without tokens or in no time", hint=hint)
    if len(good) > 2 and len({cell.rate for cell in good}) == 1:
        raise DegenerateObjective(
            f"every prompt came out at exactly {good[0].rate:.3f} tokens a second: that was not measured", hint=hint
        )
