"""Forecasts against closed forms: constant acceptance and linear costs, and the bounds that always hold."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.control.forecast import Forecast, forecast

LINEAR = [0.0, *(100.0 + 4.0 * (width - 1) for width in range(1, 34))]


def coin(chance: float, count: int = 20000) -> list[bool]:
    source = random.Random(3)
    return [source.random() < chance for _ in range(count)]


def by_formula(chance: float, length: int, costs: list[float], draft_ms: float) -> float:
    """Leviathan et al., arXiv 2211.17192: a round emits (1 - p^(k + 1)) / (1 - p) tokens."""
    emitted = (1 - chance ** (length + 1)) / (1 - chance)
    return emitted * costs[1] / (length * draft_ms + costs[length + 1])


@pytest.mark.parametrize(("chance", "draft_ms"), [(0.6, 5.0), (0.8, 10.0), (0.9, 20.0)])
def test_constant_acceptance(chance: float, draft_ms: float) -> None:
    found = forecast(coin(chance), [chance] * 20000, LINEAR, draft_ms)
    gains = {length: by_formula(chance, length, LINEAR, draft_ms) for length in range(1, 33)}
    best = max(gains, key=lambda length: gains[length])
    assert abs(found.best_length - best) <= 1
    assert found.speed_up_fixed == pytest.approx(gains[best], rel=0.03)
    # Nothing tells one token from another, so stopping by probability is fixed length again.
    assert found.speed_up_adaptive == pytest.approx(found.speed_up_fixed, rel=0.03)
    emitted = (1 - chance ** (best + 1)) / (1 - chance)
    assert found.tokens_per_round == pytest.approx(emitted, rel=0.1)


def test_always_right() -> None:
    found = forecast([True] * 64, [1.0] * 64, LINEAR, 10.0)
    assert found.best_length == 32
    assert found.speed_up_fixed == pytest.approx(33 * 100 / (320 + 228))
    assert found.tokens_per_round == pytest.approx(33)


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_never_right_is_plain(probability: float) -> None:
    found = forecast([False] * 64, [probability] * 64, LINEAR, 1.0)
    assert (found.best_length, found.speed_up_fixed, found.speed_up, found.tokens_per_round) == (0, 1.0, 1.0, 1.0)
    assert found.speed_up_adaptive == 1.0


def test_too_dear_a_drafter_is_plain() -> None:
    found = forecast(coin(0.9, 500), [0.9] * 500, LINEAR, 100.0)
    assert (found.best_length, found.speed_up) == (0, 1.0)


def test_knowing_where_to_stop_gains() -> None:
    # Stretches that are easy and known to be, then hard ones: no fixed length suits both.
    agree = ([True] * 12 + [False] * 4) * 20
    sure = ([0.99] * 12 + [0.05] * 4) * 20
    told = forecast(agree, sure, LINEAR, 20.0)
    assert told.speed_up_adaptive > 1.1 * told.speed_up_fixed
    untold = forecast(agree, [0.75] * 320, LINEAR, 20.0)
    assert untold.speed_up_fixed == told.speed_up_fixed
    assert untold.speed_up_adaptive < told.speed_up_adaptive


def test_an_overconfident_drafter_is_seen_through() -> None:
    agree = coin(0.5, 2000)
    honest, boasting = (forecast(agree, [level] * 2000, LINEAR, 10.0) for level in (0.5, 0.999))
    assert boasting.speed_up_adaptive == pytest.approx(honest.speed_up_adaptive, rel=0.02)


def test_a_step_in_the_costs_is_looked_past() -> None:
    # The second token of a pass doubles its cost, those after it are free.
    costs = [0.0, 100.0, *[200.0] * 16]
    assert forecast([True] * 64, [1.0] * 64, costs, 1.0).speed_up_adaptive > 6


@pytest.mark.parametrize("costs", [[0.0, 10.0], [0.0, 10.0, 11.0]])
def test_little_to_go_by(costs: list[float]) -> None:
    assert forecast([], [], costs, 1.0) == Forecast(0, 1.0, 1.0, 1.0)
    assert forecast([True], [0.9], costs, 1.0).speed_up >= 1.0


@given(
    st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=80),
    st.lists(st.floats(0, 50), min_size=1, max_size=20),
    st.floats(0.01, 100),
)
def test_bounds(record: list[tuple[bool, float]], steps: list[float], draft_ms: float) -> None:
    costs = [0.0, 50.0]
    for step in steps:
        costs.append(costs[-1] + step)
    assert all(a <= b for a, b in pairwise(costs))
    found = forecast([agree for agree, _ in record], [level for _, level in record], costs, draft_ms)
    assert 0 <= found.best_length <= len(steps)
    assert found.speed_up_fixed >= 1.0 and found.speed_up >= 1.0
    most = max(width * costs[1] / costs[width] for width in range(1, len(costs)))
    assert found.speed_up <= most + 1e-9
    assert 1.0 <= found.tokens_per_round <= len(costs) - 1
