"""Whether a paid source is asked: its worth against its price, what may be lost, and what taking in must bring back."""

from collections.abc import Mapping, Sequence

import pytest

from slipstream.control.asking import INVESTMENT, Asking, Spent
from slipstream.control.calibration import Calibration
from slipstream.control.curve import VerifyCost
from slipstream.control.price import Price
from slipstream.core.draft import Draft
from slipstream.core.plan import SlotView, Wish
from slipstream.core.stats import Paid, RoundRecord, SlotRound

COSTS = [0.0, *(100.0 + 5.0 * (width - 1) for width in range(1, 34))]
RICH = 1000.0
MODEL = "draft_model"


def make(step_ms: float = 5.0, prices: Mapping[str, float] | None = None, slots: int = 1) -> Asking:
    """`prices` are milliseconds of a pass of one token; eight in a pass cost twice that."""
    named = {MODEL: step_ms} if prices is None else prices
    curves = {name: Price(VerifyCost({64: {1: ms, 8: 2 * ms, 64: 8 * ms}})) for name, ms in named.items()}
    asking = Asking(curves, Calibration())
    for slot in range(slots):
        asking.begin(slot, asking.calibration.begin(slot, "default"))
    return asking


def view(behind: int = 0, *, room: int = 30, left: int = 200, names: Sequence[str] = (MODEL,)) -> SlotView:
    return SlotView(0, 64, room, paid=tuple((name, behind) for name in names), left=left)


def wish(asking: Asking, one: SlotView, free_rate: float = 1.0, balance: float = RICH, base: int = 1) -> Wish | None:
    asking.accounts[one.slot].balance = balance
    return asking.wish(one, COSTS, base, free_rate, won=0.0)


def record(
    chosen: Draft, accepted: int, *, steps: int = 4, step_ms: float = 20.0, caught_up: int = 0, catch_up_ms: float = 0.0
) -> RoundRecord:
    share = SlotRound(0, (chosen,), chosen, accepted, tuple(range(accepted + 1)))
    paid = (Paid(MODEL, (0,), steps, step_ms, caught_up, catch_up_ms),)
    return RoundRecord((share,), 1 + len(chosen), 64, "", target_ms=COSTS[1 + len(chosen)], paid=paid)


def model_draft(length: int) -> Draft:
    return Draft(MODEL, tuple(range(length)), (0.9,) * length)


def lose(asking: Asking, rounds: int) -> None:
    for _ in range(rounds):
        asking.learn(record(model_draft(4), 0), COSTS, COSTS[1])


def test_a_cheap_source_is_asked_and_a_dear_one_is_not() -> None:
    found = wish(make(), view())
    assert found and (found.slot, found.source) == (0, MODEL)
    assert 0 < found.limit <= 30
    assert wish(make(step_ms=90.0), view()) is None


def test_nobody_is_asked_where_nothing_can_be_used() -> None:
    assert wish(make(), view(room=0)) is None
    assert wish(make(), view(names=())) is None
    assert wish(make(), view(), base=len(COSTS) - 1) is None


@pytest.mark.parametrize("room", [1, 3, 100])
@pytest.mark.parametrize("base", [1, 3])
def test_no_wish_exceeds_the_room_or_the_curve(room: int, base: int) -> None:
    found = wish(make(step_ms=1.0), view(room=room), base=base)
    assert found and found.limit <= min(room, len(COSTS) - 1 - base)


def test_a_good_free_draft_is_taken_instead() -> None:
    assert wish(make(), view(), free_rate=1.1)
    assert wish(make(), view(), free_rate=8.0) is None


def test_the_watchdogs_balance_bounds_the_draft() -> None:
    balances = (0.0, 0.5, 1.5, 99.0)
    wishes = [wish(make(), view(), balance=balance) for balance in balances]
    lengths = [found.limit if found else 0 for found in wishes]
    assert lengths[0] == 0
    assert lengths == sorted(set(lengths))
    for length, balance in zip(lengths, balances, strict=True):
        assert length * 0.05 + (COSTS[1 + length] - COSTS[1]) / COSTS[1] <= balance


def test_what_has_to_be_taken_in_counts_against_the_balance() -> None:
    behind = INVESTMENT - 1
    free, burdened = wish(make(), view(), balance=1.0), wish(make(), view(behind), balance=1.0)
    assert free and burdened and burdened.limit < free.limit
    assert wish(make(), view(behind), balance=0.1) is None


@pytest.mark.parametrize("order", [("good", "poor"), ("poor", "good")])
def test_the_source_that_is_worth_more_is_asked(order: tuple[str, str]) -> None:
    asking = make(prices={"good": 5.0, "poor": 5.0})
    for _ in range(20):
        asking.calibration.observe_paid(0, "good", 3, 1.2)
        asking.calibration.observe_paid(0, "poor", 1, 1.2)
    found = wish(asking, view(names=order))
    assert found and found.source == "good"
    cheap = wish(make(prices={"dear": 30.0, "cheap": 3.0}), view(names=("dear", "cheap")))
    assert cheap and cheap.source == "cheap"


def test_a_source_that_loses_is_not_asked_until_it_has_waited_long() -> None:
    asking = make()
    lose(asking, 40)
    waited = 0
    while wish(asking, view()) is None:
        waited += 1
        assert waited < 5000
    assert waited > 20
    lose(asking, 1)
    assert wish(asking, view()) is None, "one more loss, and it waits again"


# Taking in what was missed.

LONG = 20 * INVESTMENT


def test_an_investment_is_made_where_much_is_left_to_say_and_not_for_a_few_tokens() -> None:
    asking = make()
    for _ in range(60):
        asking.calibration.observe_drought(0, 300, True)
        asking.calibration.observe_drought(0, 1, False)
    assert wish(asking, view(LONG, left=2000))
    assert wish(asking, view(LONG, left=5)) is None
    assert wish(asking, view(0, left=5))


def test_an_investment_is_made_for_long_droughts_and_not_for_short_ones() -> None:
    short, long = make(), make()
    for asking, run in ((short, 2), (long, 300)):
        for _ in range(60):
            asking.calibration.observe_drought(0, run, True)
            asking.calibration.observe_drought(0, 1, False)
    assert wish(long, view(LONG, left=2000))
    assert wish(short, view(LONG, left=2000)) is None
    for _ in range(300):  # a drought that lasts is a long one after all
        short.calibration.observe_drought(0, 1, True)
    assert wish(short, view(LONG, left=2000))


def test_an_investment_that_costs_more_than_may_be_lost_is_not_made() -> None:
    """Unless free drafts have won as much."""
    asking = make()
    for _ in range(60):
        asking.calibration.observe_drought(0, 300, True)
        asking.calibration.observe_drought(0, 1, False)
    asking.accounts[0].balance = -5.0
    assert asking.wish(view(LONG, left=300), COSTS, 1, 1.0, won=0.0) is None
    assert asking.wish(view(LONG, left=300), COSTS, 1, 1.0, won=-100.0) is None
    assert asking.wish(view(LONG, left=300), COSTS, 1, 1.0, won=100.0)
    assert asking.wish(view(0, left=300), COSTS, 1, 1.0, won=100.0) is None, "nothing is taken in"


# What a round has cost.


def test_drafting_is_a_cost_of_the_round_and_much_taken_in_an_investment() -> None:
    few = make().learn(record(model_draft(4), 2, caught_up=INVESTMENT - 1, catch_up_ms=30.0), COSTS, 100.0)
    assert few[0].drafting == pytest.approx(0.5)
    assert few[0].invested == 0
    much = make().learn(record(model_draft(4), 2, caught_up=INVESTMENT, catch_up_ms=30.0), COSTS, 100.0)
    assert much[0].drafting == pytest.approx(0.2)
    assert much[0].invested == pytest.approx(0.3)


def test_slots_share_what_drafting_cost() -> None:
    asking = make(slots=2)
    shares = tuple(SlotRound(slot, (), model_draft(2), 1, (0, 1)) for slot in range(2))
    paid = (Paid(MODEL, (0, 1), 2, 20.0, 0, 0.0),)
    spent = asking.learn(RoundRecord(shares, 6, 64, "", paid=paid), COSTS, 100.0)
    assert spent == {0: Spent(0.1), 1: Spent(0.1)}


def test_a_source_is_worth_what_it_does_itself() -> None:
    """What a free source adds behind it is not its merit, nor is its cost."""
    alone, followed = make(), make()
    behind = Draft("suffix", (9,) * 10, (1.0,) * 10, 9, 1)
    for _ in range(20):
        alone.learn(record(model_draft(4), 4), COSTS, 100.0)
        followed.learn(record(model_draft(4).joined(behind), 14), COSTS, 100.0)
    worth = [asking.calibration.worth(0, MODEL, 1.0) for asking in (alone, followed)]
    assert worth[0] == pytest.approx(worth[1])
    assert worth[0] > 1


def test_a_draft_that_was_made_and_not_verified_was_in_vain() -> None:
    asking = make()
    asking.learn(record(Draft("plain"), 0), COSTS, 100.0)
    assert asking.calibration.worth(0, MODEL, 1.5) < 1.5
    found = asking.calibration.workloads["default"].record(MODEL)
    assert found.tokens == 1
    assert found.cost == pytest.approx(1.2)


def test_prices_follow_what_drafts_cost() -> None:
    asking = make()
    for _ in range(100):
        asking.learn(record(model_draft(4), 4, step_ms=40.0), COSTS, 100.0)
    assert asking.prices[MODEL].step(64, 100.0) == pytest.approx(0.1, rel=0.05)


def test_a_drought_lasts_until_a_free_draft_is_verified() -> None:
    asking = make()
    droughts = asking.calibration.workloads["default"].droughts
    for _ in range(5):
        asking.learn(record(model_draft(2), 1), COSTS, 100.0)
    assert sum(droughts.counts) == 0
    chosen = Draft("suffix", (1,), (1.0,), 9, 1)
    share = SlotRound(0, (chosen,), chosen, 1, (1, 2))
    asking.learn(RoundRecord((share,), 2, 64, ""), COSTS, 100.0)
    assert sum(droughts.counts) == 1


def test_how_sure_a_request_was_is_forgotten_with_it() -> None:
    asking = make()
    nothing = Draft("nothing")

    def length() -> int:
        found = wish(asking, view())
        assert found
        drafted = 1
        while found.going(0.9, nothing) and drafted < found.limit:
            drafted += 1
        return drafted

    fresh = length()
    found = wish(asking, view())
    assert found
    for _ in range(60):
        found.going(0.0, nothing)
    assert length() <= fresh
    history = asking.calibration.workloads["default"]
    asking.end(0, history)
    asking.begin(0, history)
    assert length() == fresh


def test_what_paid_drafts_won_or_lost_is_the_workloads() -> None:
    asking = make()
    history = asking.calibration.workloads["default"]
    asking.accounts[0].settle(40, 5.0, 5.0)
    asking.end(0, history)
    assert history.paid_gain > 0
    assert history.gain == 0
    first = make()
    asking.begin(0, history)
    assert asking.accounts[0].balance > first.accounts[0].balance
