"""The policy with paid sources: when they are asked, what becomes of their drafts, and that they never cost much."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.control.curve import VerifyCost
from slipstream.control.policy import AdaptivePolicy
from slipstream.control.price import Price
from slipstream.core.draft import Draft
from slipstream.core.plan import SlotView, Snapshot, Wish
from slipstream.core.request import Request
from slipstream.core.stats import Paid, RoundRecord, SlotRound
from tests.control.test_policy import BF16, CURVES, Q4_K_M, certain, draft, length, make, plan

PAID = "draft_model"
SILENT = Draft("nothing")


def paying(curve: dict[int, int], share: float = 0.04, gain: float = 100.0) -> AdaptivePolicy:
    """With a paid source whose passes cost this share of the target's plain ones, and little more if they are wide."""
    policy = make(curve, gain=gain)
    policy.calibration.workloads["default"].paid_gain = gain
    plain = share * curve[1]
    price = Price(VerifyCost({64: {1: plain, 8: 2 * plain, 64: 10 * plain}}))
    other = AdaptivePolicy(policy.curve, policy.calibration, prices={PAID: price})
    other.begin(0, Request((1,)))
    return other


def model(*probabilities: float, start: int = 0) -> Draft:
    return Draft(PAID, tuple(range(start, start + len(probabilities))), probabilities)


def asked(policy: AdaptivePolicy, *drafts: Draft, behind: int = 0, left: int = 200, room: int = 200) -> Wish | None:
    one = SlotView(0, 10, room, drafts, False, ((PAID, behind),), left)
    found = list(policy.wishes(Snapshot((one,))))
    assert len(found) <= 1
    return found[0] if found else None


@pytest.mark.parametrize("name", CURVES)
def test_a_cheap_paid_source_is_asked_unless_a_free_one_knows_more(name: str) -> None:
    assert asked(paying(CURVES[name]))
    assert asked(paying(CURVES[name]), certain(60)) is None
    assert asked(paying(CURVES[name], 3.0)) is None
    assert asked(paying(CURVES[name]), room=0) is None


@given(
    st.sampled_from(sorted(CURVES)),
    st.lists(st.floats(0.01, 1.0), min_size=1, max_size=12),
    st.integers(0, 30),
    st.integers(0, 80),
    st.integers(1, 80),
)
def test_a_paid_draft_is_no_reason_for_a_round_that_loses(
    name: str, said: list[float], copied: int, match: int, room: int
) -> None:
    """What it has cost is spent, whatever is done now."""
    policy = paying(CURVES[name])
    free = draft(copied, match, start=500)
    whole = model(*said).joined(free).cut(room)
    found = plan(policy, *(one for one in (whole, free.cut(room)) if one), room=room)
    chosen = found.choices[0].draft
    assert not chosen or chosen in (whole.cut(len(chosen)), free.cut(len(chosen)))
    plain_ms = policy.curve.costs(10)[1]
    spent = min(len(said), room) * policy.prices[PAID].step(10, plain_ms) * plain_ms
    assert found.predicted_tokens / (found.predicted_ms + spent) >= 1 / (plain_ms + spent) - 1e-9
    assert found.reason


def test_a_hopeless_paid_draft_is_left_and_a_sure_one_verified() -> None:
    assert length(plan(paying(Q4_K_M), model(*(0.1,) * 8))) == 0
    assert length(plan(paying(Q4_K_M), model(*(0.999,) * 8))) > 2


def test_a_free_draft_is_verified_in_place_of_a_worse_paid_one_that_begins_alike() -> None:
    found = plan(paying(BF16), model(*(0.35,) * 4), certain(40))
    assert found.choices[0].draft.source == "suffix"
    found = plan(paying(BF16), model(*(0.999,) * 8), draft(20, 1, support=1))
    assert found.choices[0].draft.source == PAID


def test_a_joined_draft_is_verified_across_its_parts_or_in_part() -> None:
    sure = model(*(0.999,) * 4).joined(draft(30, 64, support=3, start=4))
    found = plan(paying(BF16), sure).choices[0].draft
    assert [part.source for part in found.segments] == [PAID, "suffix"]
    policy = paying(BF16)
    for _ in range(60):  # what is copied behind this model's words is never right
        policy.calibration.observe(0, [sure], (0, 1, 2, 3, 99))
    assert plan(policy, sure).choices[0].draft == sure.cut(4)


def round_of(policy: AdaptivePolicy, right: bool, behind: int = 0, left: int = 200) -> tuple[bool, float]:
    """One round with a paid source that is sure of itself and `right` or not, on a machine as the curves say: whether
    it was asked, and the round's milliseconds."""
    wish = asked(policy, behind=behind, left=left)
    drafted, spent = 0, 0.0
    paid: tuple[Paid, ...] = ()
    passes = policy.prices[PAID].curve.costs(10)
    if wish:
        drafted = 1
        while wish.going(0.95, SILENT) and drafted < wish.limit:
            drafted += 1
        drafting, reading = drafted * passes[1], behind / 64 * passes[64]
        paid, spent = (Paid(PAID, (0,), drafted, drafting, behind, reading),), drafting + reading
    said = (model(*(0.95,) * drafted),) if drafted else ()
    found = plan(policy, *said)
    chosen = found.choices[0].draft
    accepted = len(chosen) if right else 0
    share = SlotRound(0, said, chosen, accepted, (*range(accepted), accepted if right else 99))
    policy.observe(
        RoundRecord(
            (share,), found.width, 10, "", target_ms=found.predicted_ms, predicted_ms=found.predicted_ms, paid=paid
        )
    )
    return bool(wish), spent + found.predicted_ms


@pytest.mark.parametrize("name", CURVES)
def test_a_paid_source_that_is_right_is_asked_before_long_and_from_then_on(name: str) -> None:
    policy = paying(CURVES[name], gain=0)
    asks = [round_of(policy, True)[0] for _ in range(200)]
    assert asks.index(True) < 60, "on a steep curve there is little that may be lost at first"
    assert all(asks[asks.index(True) :])


@pytest.mark.parametrize("name", CURVES)
def test_a_paid_source_that_loses_is_dropped_and_looked_at_again(name: str) -> None:
    policy = paying(CURVES[name], gain=0)
    asks = [round_of(policy, False)[0] for _ in range(3000)]
    assert 0 < sum(asks[:50]) < 40
    assert sum(asks[500:]) < 200, "seldom"
    assert any(asks[1500:]), "but it is, as the text may have changed"


def test_a_paid_source_that_recovers_is_found_again() -> None:
    policy = paying(BF16, gain=0)
    for _ in range(300):
        round_of(policy, False)
    assert sum(round_of(policy, True)[0] for _ in range(2000)) > 1000


@pytest.mark.parametrize("name", CURVES)
def test_paid_drafts_that_never_stand_cost_hardly_anything(name: str) -> None:
    policy = paying(CURVES[name], gain=0)
    spent = sum(round_of(policy, False)[1] for _ in range(400))
    assert spent < 1.05 * 400 * CURVES[name][1]


def test_much_is_taken_in_for_a_long_drought_and_not_for_short_ones() -> None:
    def after(run: int) -> AdaptivePolicy:
        policy = paying(BF16)
        for _ in range(60):
            policy.calibration.observe_drought(0, run, True)
            policy.calibration.observe_drought(0, 1, False)
        return policy

    assert asked(after(300), behind=640, left=2000)
    assert asked(after(2), behind=640, left=2000) is None
    assert asked(after(300), behind=640, left=3) is None
    assert asked(after(2), behind=0, left=2000)


def test_slots_that_draft_together_verify_together() -> None:
    policy = paying(BF16)
    for slot in (1, 2):
        policy.begin(slot, Request((1,)))
    views = tuple(SlotView(slot, 10, 40, (), False, ((PAID, 0),), 100) for slot in range(3))
    assert {wish.slot for wish in policy.wishes(Snapshot(views))} == {0, 1, 2}
    sure, unsure = model(*(0.999,) * 6), model(*(0.2,) * 6)
    given = tuple(SlotView(slot, 10, 40, (one,)) for slot, one in enumerate((sure, unsure, sure)))
    lengths = [len(choice.draft) for choice in policy.plan(Snapshot(given)).choices]
    assert min(lengths[0], lengths[2]) > lengths[1]
