"""The best lengths against brute force, on curves as jagged as hypothesis can make them."""

from collections.abc import Iterator, Sequence
from itertools import accumulate, product
from operator import mul

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.control.choice import Candidate, Replay, Shape, best_joint
from slipstream.control.choice import best_length as cut
from slipstream.core.draft import Draft

curves = st.lists(st.integers(1, 1000), min_size=2, max_size=40).map(lambda costs: [0.0, *map(float, costs)])
probabilities = st.lists(st.floats(0.0, 1.0), max_size=30)
few = st.lists(st.floats(0.0, 1.0), max_size=4)


def best_length(values: Sequence[float], costs: Sequence[float]) -> tuple[int, float, float]:
    return cut(iter(values), costs, Shape.of(costs).cheapest)


def expected(values: Sequence[float], length: int) -> float:
    return float(sum(accumulate(values[:length], mul)))


def candidate(slot: int, values: Sequence[float]) -> Candidate:
    return Candidate(slot, Draft("some", tuple(range(len(values))), tuple(values)), values)


@given(probabilities, curves)
def test_best_length_is_the_best_of_all_lengths(values: list[float], costs: list[float]) -> None:
    lengths = range(min(len(values), len(costs) - 2) + 1)
    rates = [(1 + expected(values, length)) / costs[1 + length] for length in lengths]
    length, accepted, rate = best_length(values, costs)
    assert rate == pytest.approx(max(rates))
    assert rate == pytest.approx((1 + accepted) / costs[1 + length])
    assert accepted == pytest.approx(expected(values, length))


@given(probabilities, curves)
def test_best_length_is_never_worse_than_plain_and_fits_the_curve(values: list[float], costs: list[float]) -> None:
    length, _, rate = best_length(values, costs)
    assert rate >= 1 / costs[1]
    assert 0 <= length <= min(len(values), len(costs) - 2)


def test_of_equal_rates_the_shorter_draft_wins() -> None:
    assert best_length([1.0, 1.0], [0.0, 10.0, 20.0, 30.0]) == (0, 0.0, 0.1)


def test_a_step_in_the_curve_is_stepped_over_or_stopped_before() -> None:
    costs = [0.0, 10.0, 12.0, 14.0, 60.0, 16.0, 70.0]
    assert best_length([0.9] * 3, costs)[0] == 2
    assert best_length([0.9] * 5, costs)[0] == 4


@given(st.lists(few, min_size=1, max_size=3), st.integers(0, 2), curves)
def test_best_joint_is_the_best_of_all_combinations(
    many: list[list[float]], undrafted: int, costs: list[float]
) -> None:
    slots = len(many) + undrafted
    if slots > len(costs) - 1:
        costs = costs + [costs[-1]] * slots
    best = best_joint([candidate(slot, values) for slot, values in enumerate(many)], slots, costs)
    rates = []
    for lengths in product(*(range(len(values) + 1) for values in many)):
        width = slots + sum(lengths)
        if width <= len(costs) - 1:
            total = slots + sum(expected(values, length) for values, length in zip(many, lengths, strict=True))
            rates.append(total / costs[width])
    assert best.rate == pytest.approx(max(rates))
    assert best.rate >= slots / costs[slots] or best.rate == pytest.approx(slots / costs[slots])
    assert best.width == slots + sum(length for _, length, _ in best.lengths.values())
    assert best.tokens == pytest.approx(best.rate * costs[best.width])
    for slot, (chosen, length, accepted) in best.lengths.items():
        assert chosen.slot == slot
        assert 1 <= length <= len(many[slot])
        assert accepted == pytest.approx(expected(many[slot], length))


@given(probabilities, curves)
def test_one_slot_is_best_length(values: list[float], costs: list[float]) -> None:
    length, accepted, rate = best_length(values, costs)
    best = best_joint([candidate(7, values)], 1, costs)
    assert best.rate == pytest.approx(rate)
    found = best.lengths.get(7, (None, 0, 0.0))[1]
    # Lengths may differ where a token adds nothing to the rate.
    assert (1 + expected(values, found)) / costs[1 + found] == pytest.approx((1 + accepted) / costs[1 + length])


@given(st.lists(probabilities, max_size=4), st.integers(0, 2), curves)
def test_best_joint_is_never_worse_than_plain(many: list[list[float]], undrafted: int, costs: list[float]) -> None:
    slots = max(1, len(many) + undrafted)
    best = best_joint([candidate(slot, values) for slot, values in enumerate(many)], slots, costs)
    assert best.rate >= slots / costs[min(slots, len(costs) - 1)]
    assert best.width <= max(slots, len(costs) - 1)


def test_the_likelier_slot_gets_the_tokens() -> None:
    costs = [0.0, 10.0, 11.0, 12.0, 13.0, 50.0, 60.0]
    best = best_joint([candidate(3, [0.5, 0.5]), candidate(8, [0.9, 0.9])], 2, costs)
    assert {slot: length for slot, (_, length, _) in best.lengths.items()} == {8: 2}


def test_a_hopeless_draft_is_not_read_to_its_end() -> None:
    read: list[float] = []

    def values() -> Iterator[float]:
        for value in [0.1] * 30:
            read.append(value)
            yield value

    costs = [0.0, *(10.0 + 5 * width for width in range(40))]
    assert cut(values(), costs, Shape.of(costs).cheapest)[0] == 0
    assert len(read) == 1


@given(curves, st.floats(0.0, 60.0))
def test_the_widest_affordable_pass(costs: list[float], most: float) -> None:
    affordable = [width for width in range(1, len(costs)) if costs[width] <= most * costs[1]]
    assert Shape.of(costs).widest(most) == max(affordable, default=0)


@given(curves)
def test_the_cheapest_token_is_the_flattest_line_from_the_plain_pass(costs: list[float]) -> None:
    cheapest = Shape.of(costs).cheapest
    for width in range(2, len(costs)):
        assert costs[width] / costs[1] >= 1 + (width - 1) * cheapest - 1e-9


# Models that restore a state after a rejection.


@given(probabilities, curves, st.integers(0, 12))
def test_what_a_rejection_costs_the_next_pass_is_counted(values: list[float], costs: list[float], free: int) -> None:
    """Against the sum over every place where the first rejection may be."""
    replay = Replay(costs, free)
    rates = [1 / costs[1]]
    for length in range(1, min(len(values), len(costs) - 2) + 1):
        lost = 0.0
        for stood in range(length):
            prefix = expected(values, stood) - expected(values, stood - 1) if stood > 1 else [1.0, values[0]][stood]
            width = min(1 + 1 + stood, len(costs) - 1)
            lost += prefix * (1 - values[stood]) * (costs[width] - costs[1])
        cost = costs[1 + length] + (lost if length > free else 0.0)
        if cost > 0:
            rates.append((1 + expected(values, length)) / cost)
    found = cut(iter(values), costs, Shape.of(costs).cheapest, replay)
    if all(costs[width] >= costs[1] for width in range(1, len(costs))):
        assert found[2] == pytest.approx(max(rates))
    assert found[2] >= 1 / costs[1]


@given(probabilities, curves)
def test_where_all_can_be_dropped_for_free_nothing_changes(values: list[float], costs: list[float]) -> None:
    free = Replay(costs, len(values))
    assert cut(iter(values), costs, Shape.of(costs).cheapest, free) == best_length(values, costs)


def test_a_doubtful_draft_is_kept_to_what_can_be_dropped_for_free_and_a_sure_one_is_not() -> None:
    costs = [0.0, *(100.0 + 25.0 * (width - 1) for width in range(1, 30))]
    cheapest = Shape.of(costs).cheapest
    replay = Replay(costs, 2)
    doubtful, sure = [0.8] * 12, [0.999] * 12
    assert cut(doubtful, costs, cheapest)[0] > 2
    assert cut(doubtful, costs, cheapest, replay)[0] == 2
    assert cut(sure, costs, cheapest, replay)[0] == 12


@given(probabilities, curves, st.integers(0, 12))
def test_restoring_never_makes_a_draft_look_better(values: list[float], costs: list[float], free: int) -> None:
    rising = [0.0, *accumulate(costs[1:], max)]
    cheapest = Shape.of(rising).cheapest
    assert cut(iter(values), rising, cheapest, Replay(rising, free))[2] <= best_length(values, rising)[2] + 1e-12
