"""The knapsack is exact, and the choice follows tokens per time."""

from itertools import combinations

import numpy as np
import pytest

from slipstream.control.curve import VerifyCost
from slipstream.core.skip import SkipSet
from slipstream.selfdraft.costs import Costs, choose_length, measure, tokens_per_pass
from slipstream.selfdraft.hidden import HiddenStates
from slipstream.selfdraft.knapsack import KnapsackState, fill, search
from slipstream.selfdraft.matchness import Matchness
from slipstream.selfdraft.sublayers import from_sublayers, to_sublayers
from slipstream.selfdraft.texts import Text
from tests.selfdraft.toy import ToyModel

FLAT = VerifyCost({64: {width: 1.0 for width in range(1, 12)}})


def test_fill_is_exact() -> None:
    random = np.random.default_rng(2)
    for _ in range(20):
        losses = {number: float(random.uniform(0.01, 1)) for number in range(2, 11)}
        weights = {number: int(random.integers(1, 9)) for number in losses}
        for budget in (1, 7, 20, sum(weights.values())):
            (found,) = fill(losses, weights, [budget])
            sets = [items for size in range(10) for items in combinations(losses, size)]
            enough = [items for items in sets if sum(weights[item] for item in items) >= budget]
            best = min(enough, key=lambda items: sum(losses[item] for item in items))
            assert to_sublayers(found) == sorted(best)


def test_a_budget_beyond_everything_gives_no_set() -> None:
    assert fill({2: 0.1}, {2: 3}, [4]) == []
    assert fill({2: 0.1}, {2: 3}, [1, 2, 3]) == [from_sublayers([2])]


def test_tokens_per_pass_is_the_papers() -> None:
    assert tokens_per_pass(0.5, 0.25, 2) == pytest.approx(1.75 / 1.5)
    assert tokens_per_pass(1.0, 0.5, 4, 2.0) == pytest.approx(5 / 4)
    assert tokens_per_pass(0.0, 0.5, 1) == pytest.approx(1 / 1.5)


def test_length_grows_with_agreement() -> None:
    costs = Costs((1.0,) * 20, 0.0, FLAT)
    skip = from_sublayers(range(2, 18))
    assert costs.relative(skip) == pytest.approx(0.2)
    short, long = choose_length(skip, 0.5, costs), choose_length(skip, 0.98, costs)
    assert short.length < long.length <= 10 and short.speedup < long.speedup


def test_choice_prefers_what_costs_time(toy: ToyModel, texts: list[Text]) -> None:
    # Block 3 is weak in both parts; its feed-forward costs three times its attention.
    costs = measure(toy, texts[0], iter(np.arange(0, 100, 0.01).tolist()).__next__)
    hidden, matchness = HiddenStates(toy, texts), Matchness(toy, texts)
    kept: list[object] = []
    choices = search(hidden, matchness.agreement, costs, save=lambda state: kept.append(state.to_json()))
    assert [choice.speedup for choice in choices] == sorted((choice.speedup for choice in choices), reverse=True)
    assert all(choice.agreement == matchness.agreement(choice.skip) for choice in choices)
    smallest = min(choices, key=lambda choice: len(choice.skip))
    assert set(to_sublayers(smallest.skip)) <= {6, 7, 9}
    passes = toy.passes
    again = search(hidden, matchness.agreement, costs, state=KnapsackState.from_json(kept[-1]))
    assert again == choices and toy.passes == passes


def test_measured_costs(toy: ToyModel, texts: list[Text]) -> None:
    costs = measure(toy, texts[0], iter(np.arange(0, 100, 0.05).tolist()).__next__)
    assert costs.sublayers == (1.0, 3.0) * 7 and costs.rest == pytest.approx(50 - 28)
    assert costs.verify(1) == 1 and costs.widths.max_width == 11
    assert costs.relative(SkipSet.of_blocks((2,))) == pytest.approx(1 - 4 / 50)
