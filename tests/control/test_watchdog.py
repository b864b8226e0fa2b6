"""The watchdog's account: what may be risked on drafts, in plain passes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.control.watchdog import INCOME, START, WORST, Watchdog


def test_a_new_request_may_risk_a_little() -> None:
    assert Watchdog().most == Watchdog.of(0).most == 1 + START


def test_a_request_of_a_workload_that_gained_may_risk_more_and_of_one_that_lost_no_less() -> None:
    assert Watchdog.of(40).most > Watchdog.of(10).most > Watchdog.of(0).most
    assert Watchdog.of(-40).most == Watchdog.of(0).most


def test_losses_are_paid_out_and_gains_paid_in() -> None:
    watchdog = Watchdog()
    watchdog.settle(1, 2.5, 2.5)
    assert watchdog.most == pytest.approx(1 + START - 1.5)
    watchdog.settle(6, 2.5, 2.5)
    assert watchdog.most == pytest.approx(1 + START - 1.5 + 3.5)


def test_every_token_earns_a_little() -> None:
    watchdog = Watchdog()
    watchdog.earn(50)
    assert watchdog.most == pytest.approx(1 + START + 50 * INCOME)


def test_a_hiccup_of_the_machine_is_not_all_the_drafts_fault() -> None:
    watchdog = Watchdog()
    watchdog.settle(1, 1000.0, 2.0)
    assert watchdog.balance == pytest.approx(START + 1 - WORST * 2)
    assert watchdog.gained == pytest.approx(1 - WORST * 2)


@given(st.lists(st.tuples(st.floats(1.0, 30.0), st.booleans()), max_size=400))
def test_whatever_is_tried_drafts_lose_no_more_than_start_and_income(tries: list[tuple[float, bool]]) -> None:
    watchdog, lost = Watchdog(), 0.0
    for tokens, (cost, wanted) in enumerate(tries, 1):
        watchdog.earn(1)
        if wanted and cost <= watchdog.most:
            watchdog.settle(1, cost, cost)
            lost += cost - 1
        assert lost <= START + INCOME * tokens + 1e-9


def test_losing_drafts_are_probed_again_at_the_pace_of_the_income() -> None:
    watchdog, probes = Watchdog(), []
    for token in range(1000):
        if watchdog.most >= 2.0:
            watchdog.settle(1, 2.0, 2.0)
            probes.append(token)
        watchdog.earn(1)
    assert probes[0] == 0
    gaps = [later - sooner for sooner, later in pairwise(probes[1:])]
    assert gaps == pytest.approx([1 / INCOME] * len(gaps), abs=1)
    assert len(gaps) > 10


def test_a_workloads_gain_follows_its_latest_requests() -> None:
    gain = 0.0
    for _ in range(12):
        watchdog = Watchdog.of(gain)
        watchdog.settle(30, 10.0, 10.0)
        gain = watchdog.close(gain)
    assert gain == pytest.approx(20, rel=0.01)
    for _ in range(3):
        gain = Watchdog.of(gain).close(gain)
    assert 0 < gain < 6
