"""What asking is worth: the forecast against a closed form, records that correct each other, lengths of droughts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.control.worth import RUNS, Droughts, Record, estimate, forecast

LINEAR = [0.0, *(100.0 + 4.0 * (width - 1) for width in range(1, 34))]


@pytest.mark.parametrize("acceptance", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("step", [0.02, 0.1, 0.3])
def test_the_forecast_is_the_best_fixed_length(acceptance: float, step: float) -> None:
    """Leviathan et al., arXiv 2211.17192: a round emits (1 - a^(k + 1)) / (1 - a) tokens."""
    rates = [
        (1 - acceptance ** (length + 1)) / (1 - acceptance) / (LINEAR[1 + length] / LINEAR[1] + length * step)
        for length in range(1, 17)
    ]
    assert forecast(LINEAR, step, acceptance) == pytest.approx(max(rates))


@given(st.lists(st.floats(1.0, 1000.0), min_size=1, max_size=30), st.floats(0.0, 2.0), st.floats(0.0, 1.0))
def test_a_forecast_is_never_better_than_perfect(row: list[float], step: float, acceptance: float) -> None:
    costs = [0.0, *row]
    found = forecast(costs, step, acceptance)
    assert 0 <= found <= forecast(costs, 0.0, 1.0) + 1e-9
    assert found <= max(width * costs[1] / costs[width] for width in range(1, len(costs))) + 1e-9


def test_too_dear_a_draft_is_worse_than_plain() -> None:
    assert forecast(LINEAR, 2.0) < 1
    assert forecast([0.0, 10.0], 0.0) == 0, "no draft fits"


def seen(tokens: float, cost: float, rounds: int, fade: float = 1.0) -> Record:
    record = Record()
    for _ in range(rounds):
        record.add(tokens, cost, fade)
    return record


def test_without_records_the_forecast_stands() -> None:
    assert estimate(1.7, Record(), Record()) == pytest.approx(1.7)


def test_enough_rounds_outweigh_any_forecast() -> None:
    assert estimate(2.0, seen(1, 2, 2000), Record()) == pytest.approx(0.5, abs=0.15)
    assert estimate(1.0, seen(3, 1, 2000), Record()) == pytest.approx(3, abs=0.4)


def test_a_workload_corrects_the_forecast_and_a_request_its_workload() -> None:
    good, bad = seen(3, 1, 100), seen(1, 2, 100)
    assert estimate(1.5, bad, Record()) < 1 < estimate(1.0, good, Record())
    assert estimate(1.5, bad, good) > 1 > estimate(1.5, good, bad)


records = st.tuples(st.floats(1, 8), st.floats(1, 4), st.integers(0, 40))


@given(st.floats(0.1, 5), st.lists(records, min_size=2, max_size=2))
def test_an_estimate_lies_between_what_is_known(expected: float, known: list[tuple[float, float, int]]) -> None:
    workload, request = (seen(*one) for one in known)
    found = estimate(expected, workload, request)
    rates = [expected, *(tokens / cost for tokens, cost, rounds in known if rounds)]
    assert min(rates) - 1e-9 <= found <= max(rates) + 1e-9


def test_old_rounds_fade_and_a_round_that_asks_ends_the_wait() -> None:
    record = seen(1, 2, 200, 0.9)
    record.since = 70
    for _ in range(60):
        record.add(3, 1, 0.9)
    assert record.since == 0
    assert record.rate(1.0, 0.0) == pytest.approx(3, rel=0.01)


# Droughts.


@given(st.lists(st.integers(1, 600), max_size=40), st.integers(0, 600), st.integers(0, 500))
def test_what_is_left_of_a_drought_lies_within_what_can_be(runs: list[int], run: int, most: int) -> None:
    droughts = Droughts()
    for length in runs:
        droughts.add(length)
    assert 0 <= droughts.left(run, most) <= most
    assert droughts.left(run, most) <= droughts.left(run, most + 50) + 1e-9


def test_droughts_are_expected_as_they_were() -> None:
    short, long = Droughts(), Droughts()
    for _ in range(100):
        short.add(3)
        long.add(200)
    assert long.left(0, 400) > 5 * short.left(0, 400)
    assert 90 < long.left(0, 400) < 256


def test_a_drought_that_has_lasted_goes_on() -> None:
    droughts = Droughts()
    for _ in range(100):
        droughts.add(2)
    assert droughts.left(40, 400) > droughts.left(0, 400)
    assert droughts.left(RUNS[-1] + 1, 77) == 77, "longer than any seen: to the end"


def test_old_runs_fade() -> None:
    droughts = Droughts()
    for _ in range(200):
        droughts.add(300)
    for _ in range(200):
        droughts.add(1)
    assert droughts.left(0, 400) < 20
