"""When to stop drafting: on curves that are flat, steep and jagged, with free continuations of every quality."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.control.pursuit import Pace, Pursuit
from slipstream.core.draft import Draft

FLAT = [0.0, *(100.0 + 5.0 * (width - 1) for width in range(1, 34))]
STEEP = [0.0, *(100.0 + 60.0 * (width - 1) for width in range(1, 34))]
NOTHING = Draft("nothing")


def pursuit(
    costs: Sequence[float] = FLAT,
    step: float = 0.05,
    *,
    base: int = 1,
    pace: float = 0.9,
    calibrate: Callable[[float], float] = lambda probability: probability,
) -> Pursuit:
    return Pursuit(costs, base, step, Pace(pace), calibrate, lambda draft: draft.probabilities)


def length(chase: Pursuit, probabilities: Sequence[float], follow: Draft = NOTHING) -> int:
    """Tokens drafted when the model's are so probable."""
    for count, probability in enumerate(probabilities, 1):
        if not chase(probability, follow):
            return count
    return len(probabilities)


def copied(count: int, probability: float) -> Draft:
    return Draft("suffix", (1,) * count, (probability,) * count, 9, 1)


def test_certain_drafts_go_on() -> None:
    assert length(pursuit(), [0.999] * 20) == 20


def test_no_draft_is_longer_than_the_curve() -> None:
    assert length(pursuit([0.0, 10.0, 10.1, 10.2, 10.3]), [1.0] * 50) == 3
    assert length(pursuit([0.0, 10.0, 10.1, 10.2, 10.3], base=2), [1.0] * 50) == 2
    assert length(pursuit([0.0, 10.0, 10.1]), [1.0] * 50) == 1


def test_a_hopeless_draft_stops_at_once() -> None:
    assert length(pursuit(step=0.0), [0.01] * 20) == 1
    assert length(pursuit(), [0.999, 0.999, 0.01, 0.999]) == 3


def test_a_doubtful_draft_stops_where_a_dearer_step_would_not_pay() -> None:
    doubtful = [0.9, 0.8, *[0.6] * 20]
    cheap, dear = (length(pursuit(step=step, pace=0.7), doubtful) for step in (0.01, 0.4))
    assert dear < cheap < len(doubtful)


def test_a_steep_curve_stops_sooner() -> None:
    sure = [0.95] * 20
    assert length(pursuit(STEEP), sure) < length(pursuit(FLAT), sure)


def test_it_goes_by_calibrated_probabilities() -> None:
    boasting = pursuit(calibrate=lambda probability: 0.5 * probability)
    assert length(boasting, [0.99] * 20) < length(pursuit(), [0.99] * 20)


def test_a_good_free_continuation_makes_further_drafting_a_waste() -> None:
    sure = [0.97] * 20
    assert length(pursuit(step=0.2), sure) > 1
    assert length(pursuit(step=0.2), sure, copied(20, 0.97)) == 1
    assert length(pursuit(step=0.2), sure, copied(20, 0.1)) > 1
    # One that adds little more is no reason to stop either.
    assert length(pursuit(step=0.05), sure, copied(1, 0.97)) > 1


def test_a_costly_stretch_of_the_curve_is_looked_across() -> None:
    """Passes of three to five tokens cost more than one of six: drafting on pays, but only for a draft so sure that it
    gets there."""
    jagged = [0.0, 100.0, 110.0, *[230.0] * 3, *[150.0 + 3.0 * more for more in range(28)]]
    assert length(pursuit(jagged, 0.02, pace=0.98), [0.99] * 16) > 5
    assert length(pursuit(jagged, 0.02, pace=0.4), [0.5] * 16) == 1


def test_the_pace_follows_the_drafts_of_the_request() -> None:
    pace = Pace()
    for _ in range(60):
        pace.learn(0.3)
    assert pace.value == pytest.approx(0.3, abs=0.01)
    chase = Pursuit(FLAT, 1, 0.2, pace, lambda probability: probability, lambda draft: ())
    assert length(chase, [0.8] * 20) < length(pursuit(step=0.2, pace=0.95), [0.8] * 20)


@given(
    st.lists(st.floats(1.0, 500.0), min_size=2, max_size=30),
    st.floats(0.0, 1.0),
    st.lists(st.floats(0.0, 1.0), min_size=1, max_size=40),
    st.integers(1, 3),
)
def test_on_any_curve_it_ends_within_it(row: list[float], step: float, probabilities: list[float], base: int) -> None:
    costs = [0.0, *row, row[-1], row[-1]]
    drafted = length(pursuit(costs, step, base=base), probabilities)
    assert 1 <= drafted <= max(1, len(costs) - 1 - base)


@given(st.floats(0.02, 0.5), st.floats(0.3, 0.999))
def test_a_steady_draft_ends_where_no_longer_one_is_faster(step: float, probability: float) -> None:
    """With all tokens alike and a pace that says so, the stop is the best fixed length, found by trying all."""
    rates, expected, prefix = [1.0], 1.0, 1.0
    for count in range(1, 30):
        prefix *= probability
        expected += prefix
        rates.append(expected / (FLAT[1 + count] / FLAT[1] + count * step))
    best = max(range(30), key=lambda count: rates[count])
    drafted = length(pursuit(step=step, pace=probability), [probability] * 29)
    assert rates[drafted] == pytest.approx(rates[best], rel=0.02) or drafted <= 1 >= best or prefix < 0.03
