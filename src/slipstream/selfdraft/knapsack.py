"""A knapsack over sub-layers weighted by their latency, after KnapSpec (arXiv 2602.20217): which set, and how long a
draft, give the most tokens a second.

What KnapSpec computes on a GPU for all budgets at once with a hidden state a cell is too many passes for a CPU. Here a
sub-layer's value is what the final hidden state loses when that one alone is left out (minus the logarithm of the
cosine, so that losses add up), one pass each; a 0/1 knapsack gives the set that loses least for every budget of saved
time; and the agreement of those sets is then measured, not assumed.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from slipstream.control.measure import Progress
from slipstream.core.skip import SkipSet
from slipstream.selfdraft.costs import Choice, Costs, choose_length
from slipstream.selfdraft.hidden import HiddenStates
from slipstream.selfdraft.sublayers import from_sublayers, to_sublayers
from slipstream.selfdraft.swift import Objective

UNITS = 200
"""Latencies are rounded to whole 200ths of their sum."""
BUDGETS = 12
LEAST_COSINE = 0.5
"""Sets whose hidden state is expected to be less like the full model's are not worth a measurement."""


@dataclass(slots=True)
class KnapsackState:
    """Losses by sub-layer, and agreements of sets, measured so far."""

    losses: dict[int, float] = field(default_factory=dict)
    agreements: dict[SkipSet, float] = field(default_factory=dict)

    def to_json(self) -> Any:
        """For JSON."""
        agreements = [[skip.attention, skip.feed_forward, score] for skip, score in self.agreements.items()]
        return {"losses": {str(number): loss for number, loss in self.losses.items()}, "agreements": agreements}

    @classmethod
    def from_json(cls, value: Any) -> "KnapsackState":
        """Raises KeyError, TypeError or ValueError for anything that `to_json` didn't write."""
        agreements = {SkipSet(tuple(attention), tuple(feed)): float(s) for attention, feed, s in value["agreements"]}
        return cls({int(number): float(loss) for number, loss in value["losses"].items()}, agreements)


def search(
    hidden: HiddenStates,
    objective: Objective,
    costs: Costs,
    *,
    most: float = 0.8,
    state: KnapsackState | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
    save: Callable[[KnapsackState], None] = lambda state: None,
) -> list[Choice]:
    """Sets from the fastest to the slowest, none saving more than the share `most` of the sub-layers' time. `save` gets
    the state after every measurement; with it a later call goes on there."""
    state = state or KnapsackState()
    last = 2 * hidden.block_count - 1
    numbers = range(2, last - 1)
    total = len(numbers) + BUDGETS
    for done, number in enumerate(numbers):
        report(Progress(done, total, f"sub-layer {number} alone"))
        if number not in state.losses:
            cosine = hidden.likeness(hidden.read(from_sublayers([number]))[last], last)
            state.losses[number] = -math.log(max(cosine, 1e-6))
            save(state)
    scale = UNITS / sum(costs.sublayers[number] for number in numbers)
    weights = {number: max(1, round(costs.sublayers[number] * scale)) for number in numbers}
    sets = fill(state.losses, weights, [round(UNITS * most * step / BUDGETS) for step in range(1, BUDGETS + 1)])
    for done, skip in enumerate(sets, len(numbers)):
        report(Progress(done, total, f"a set of {len(skip)}"))
        loss = sum(state.losses[number] for number in to_sublayers(skip))
        if skip not in state.agreements and (loss <= -math.log(LEAST_COSINE) or not state.agreements):
            state.agreements[skip] = objective(skip)
            save(state)
    report(Progress(total, total, "sets measured"))
    choices = [choose_length(skip, agreement, costs) for skip, agreement in state.agreements.items()]
    return sorted(choices, key=lambda choice: -choice.speedup)


def fill(losses: Mapping[int, float], weights: Mapping[int, int], budgets: Sequence[int]) -> list[SkipSet]:
    """For every budget the set of items that loses least and weighs at least that much: a 0/1 knapsack, exact. Distinct
    ones, in the budgets' order; a budget beyond all items gives none."""
    numbers = list(weights)
    room = max(budgets, default=0)
    least = np.full(room + 1, np.inf)
    least[0] = 0.0
    taken = np.zeros((len(numbers), room + 1), np.bool_)
    for index, number in enumerate(numbers):
        # Weight past the largest budget doesn't count: cell `room` means "at least room".
        origin = np.maximum(np.arange(room + 1) - weights[number], 0)
        with_item = least[origin] + losses[number]
        # Cell w means "at least w", so taking an item from cell 0 covers every weight below its own as well.
        taken[index] = with_item < least
        taken[index, 0] = False
        least = np.where(taken[index], with_item, least)
    sets = []
    for budget in budgets:
        if not np.isfinite(least[budget]):
            continue
        chosen, weight = [], budget
        for index in range(len(numbers) - 1, -1, -1):
            if taken[index, weight]:
                chosen.append(numbers[index])
                weight = max(0, weight - weights[numbers[index]])
        sets.append(from_sublayers(sorted(chosen)))
    return list(dict.fromkeys(skip for skip in sets if len(skip)))
