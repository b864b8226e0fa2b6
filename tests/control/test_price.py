"""What drafting costs, in plain passes of the target."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.control.curve import VerifyCost
from slipstream.control.price import FURTHEST, Price
from slipstream.core.stats import Paid

PLAIN_MS = 100.0


def price() -> Price:
    return Price(VerifyCost({64: {1: 10.0, 2: 14.0, 4: 20.0, 8: 40.0}, 1024: {1: 20.0, 2: 24.0, 4: 30.0, 8: 50.0}}))


def paid(steps: int, step_ms: float, slots: int = 1) -> Paid:
    return Paid("draft_model", tuple(range(slots)), steps, step_ms, 0, 0.0)


def test_a_step_is_a_pass_of_one_token() -> None:
    assert price().step(64, PLAIN_MS) == pytest.approx(0.1)
    assert price().step(1024, PLAIN_MS) == pytest.approx(0.2)


def test_slots_that_draft_together_share_a_pass() -> None:
    assert price().step(64, PLAIN_MS, 2) == pytest.approx(0.07)
    assert price().step(64, PLAIN_MS, 4) == pytest.approx(0.05)


def test_taking_in_costs_wide_passes() -> None:
    assert price().catch_up(0, 64, PLAIN_MS) == 0
    assert price().catch_up(1, 64, PLAIN_MS) == pytest.approx(0.1)
    assert price().catch_up(8, 64, PLAIN_MS) == pytest.approx(0.4)
    assert price().catch_up(80, 64, PLAIN_MS) == pytest.approx(4.0), "more than the widest pass is several of them"


@given(st.integers(0, 300), st.integers(0, 300))
def test_more_to_take_in_never_costs_less(one: int, other: int) -> None:
    few, many = sorted((one, other))
    assert price().catch_up(few, 64, PLAIN_MS) <= price().catch_up(many, 64, PLAIN_MS) + 1e-9


@pytest.mark.parametrize("slots", [1, 2, 4])
@pytest.mark.parametrize("factor", [0.5, 1.0, 1.7])
def test_follows_what_drafts_really_cost(factor: float, slots: int) -> None:
    followed = price()
    real = factor * slots * price().step(64, PLAIN_MS, slots) * PLAIN_MS
    for _ in range(200):
        followed.learn(paid(5, 5 * real, slots), 64, PLAIN_MS, PLAIN_MS)
    assert followed.step(64, PLAIN_MS) == pytest.approx(factor * price().step(64, PLAIN_MS), rel=0.02)
    assert followed.catch_up(8, 64, PLAIN_MS) == price().catch_up(8, 64, PLAIN_MS), "taking in is priced apart"


@pytest.mark.parametrize("slots", [1, 2])
@pytest.mark.parametrize("factor", [0.5, 1.0, 1.7])
def test_follows_what_taking_in_really_costs(factor: float, slots: int) -> None:
    followed = price()
    real = factor * slots * price().catch_up(40, 64, PLAIN_MS) * PLAIN_MS
    for _ in range(200):
        followed.learn(Paid("draft_model", tuple(range(slots)), 0, 0.0, 40 * slots, real), 64, PLAIN_MS, PLAIN_MS)
    assert followed.catch_up(8, 64, PLAIN_MS) == pytest.approx(factor * price().catch_up(8, 64, PLAIN_MS), rel=0.02)
    assert followed.step(64, PLAIN_MS) == price().step(64, PLAIN_MS)


def test_a_machine_that_is_slow_as_a_whole_changes_nothing() -> None:
    followed = price()
    for _ in range(50):
        followed.learn(paid(5, 3 * 50.0), 64, PLAIN_MS, 3 * PLAIN_MS)
    assert followed.pace == pytest.approx(1)


def test_one_hiccup_hardly_counts_and_many_stay_within_bounds() -> None:
    followed = price()
    followed.learn(paid(1, 1e6), 64, PLAIN_MS, PLAIN_MS)
    assert followed.pace < 1.2
    for _ in range(500):
        followed.learn(paid(1, 1e6), 64, PLAIN_MS, PLAIN_MS)
    assert followed.pace == pytest.approx(FURTHEST)
    for _ in range(500):
        followed.learn(paid(1, 0.0), 64, PLAIN_MS, PLAIN_MS)
    assert followed.pace == pytest.approx(1 / FURTHEST)


def test_a_round_without_passes_teaches_nothing() -> None:
    followed = price()
    followed.learn(Paid("draft_model", (0,), 0, 7.0, 0, 0.0), 64, PLAIN_MS, PLAIN_MS)
    assert followed == price()
