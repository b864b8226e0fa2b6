"""The policy on curves as they are on real machines, and on made ones that are worse."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.control.calibration import Buckets, Calibration
from slipstream.control.curve import VerifyCost
from slipstream.control.parity import SPLIT, Allowed, Classes, ParityMap
from slipstream.control.policy import AdaptivePolicy
from slipstream.control.watchdog import INCOME, START
from slipstream.core.draft import Draft
from slipstream.core.plan import Plan, SlotView, Snapshot
from slipstream.core.request import Request
from slipstream.core.stats import RoundRecord, SlotRound

Q4_K_M = {1: 37, 2: 60, 4: 98, 6: 143, 8: 247, 12: 295, 16: 292, 24: 458, 32: 501, 48: 790, 64: 956}
BF16 = {1: 98, 2: 122, 4: 139, 6: 176, 8: 190, 12: 220, 16: 295, 24: 360, 32: 424, 48: 568, 64: 675}
Q8_0 = {1: 67, 2: 107, 4: 134, 6: 332, 8: 206, 12: 291, 16: 315, 24: 456, 32: 591, 48: 887, 64: 1044}
CURVES = {"Q4_K_M": Q4_K_M, "BF16": BF16, "Q8_0": Q8_0}


def draft(length: int, match_length: int, *, support: int = 1, start: int = 0, source: str = "suffix") -> Draft:
    return Draft(source, tuple(range(start, start + length)), (1.0,) * length, match_length, support)


def certain(length: int) -> Draft:
    return draft(length, 64, support=3)


def make(
    curve: dict[int, int], allowed: Callable[[int], Allowed] | None = None, slots: int = 1, gain: float = 100.0
) -> AdaptivePolicy:
    """By default its workload gained so much lately that the watchdog allows everything."""
    table = {64: {width: float(cost) for width, cost in curve.items()}}
    policy = AdaptivePolicy(VerifyCost(table), Calibration({"default": Buckets(gain=gain)}), allowed=allowed)
    for slot in range(slots):
        policy.begin(slot, Request((1,)))
    return policy


def view(*drafts: Draft, slot: int = 0, depth: int = 10, room: int = 200) -> SlotView:
    return SlotView(slot, depth, room, drafts)


def plan(policy: AdaptivePolicy, *drafts: Draft, depth: int = 10, room: int = 200) -> Plan:
    return policy.plan(Snapshot((view(*drafts, depth=depth, room=room),)))


def length(plan: Plan) -> int:
    return len(plan.choices[0].draft)


def verify(policy: AdaptivePolicy, plan: Plan, truth: Sequence[int], ms: float, learn: bool = True) -> None:
    """One round of one slot with this plan, in which the target said `truth`."""
    chosen = plan.choices[0].draft
    accepted = next((i for i, token in enumerate(chosen.tokens) if token != truth[i]), len(chosen))
    share = SlotRound(0, (chosen,) if learn and chosen else (), chosen, accepted, tuple(truth[: accepted + 1]))
    policy.observe(RoundRecord((share,), plan.width, 10, plan.reason, target_ms=ms, predicted_ms=plan.predicted_ms))


def test_an_uncertain_draft_is_left_on_a_steep_curve_and_verified_in_part_on_a_flat_one() -> None:
    uncertain = draft(20, 2)
    assert length(plan(make(Q4_K_M), uncertain)) == 0
    assert 1 <= length(plan(make(BF16), uncertain)) <= 5


@pytest.mark.parametrize("curve", [Q4_K_M, BF16])
def test_a_certain_long_draft_is_verified_at_length(curve: dict[int, int]) -> None:
    found = plan(make(curve), certain(60))
    assert length(found) >= 15
    assert found.width == 1 + length(found)
    assert found.predicted_ms == make(curve).curve.costs(10)[found.width]
    assert found.predicted_tokens == pytest.approx(1 + found.choices[0].expected)


def test_a_costly_dip_is_avoided_on_either_side() -> None:
    assert length(plan(make(Q8_0), certain(5))) == 3, "a pass of six costs more than one of eight"
    assert length(plan(make(Q8_0), certain(7))) == 7
    assert all(length(plan(make(Q8_0), certain(n))) not in (4, 5) for n in range(1, 60))


def test_no_draft_is_plain_and_says_so() -> None:
    found = plan(make(BF16))
    assert (length(found), found.width, found.predicted_tokens) == (0, 1, 1)
    assert found.reason == "plain: no draft"


@given(
    st.sampled_from(sorted(CURVES)),
    st.lists(
        st.builds(
            draft,
            st.integers(1, 40),
            st.integers(0, 80),
            support=st.integers(1, 4),
            start=st.integers(0, 3),
            source=st.sampled_from(["suffix", "prompt_lookup", "reference"]),
        ),
        max_size=3,
    ),
    st.integers(0, 900),
    st.integers(1, 80),
)
def test_every_plan_has_a_reason_keeps_to_the_room_and_promises_no_loss(
    name: str, drafts: list[Draft], depth: int, room: int
) -> None:
    policy = make(CURVES[name])
    found = plan(policy, *drafts, depth=depth, room=room)
    assert found.reason
    assert length(found) <= room
    assert found.width == 1 + length(found) <= policy.curve.max_width
    assert found.padding == 0
    chosen = found.choices[0].draft
    assert not chosen or any(one.cut(len(chosen)) == chosen for one in drafts)
    costs = policy.curve.costs(depth)
    gain = found.predicted_tokens / found.predicted_ms * costs[1]
    assert gain >= policy.margin or (length(found) == 0 and gain == pytest.approx(1))


def test_the_margin_is_kept() -> None:
    policy = make(BF16)
    assert length(plan(policy, certain(20))) > 0
    policy.margin = 10.0
    refused = plan(policy, certain(20))
    assert length(refused) == 0
    assert refused.reason.startswith("plain: suffix would give")


def test_the_better_source_wins_whatever_the_order() -> None:
    weak, strong = draft(20, 1, start=500, source="prompt_lookup"), draft(20, 30, source="suffix")
    for order in ((weak, strong), (strong, weak)):
        found = plan(make(BF16), *order)
        assert found.choices[0].draft.source == "suffix"
        assert "suffix" in found.reason


def test_of_drafts_that_begin_alike_the_first_is_judged_alone() -> None:
    modest, optimistic = draft(20, 2, source="suffix"), draft(20, 64, support=3, source="prompt_lookup")
    assert plan(make(Q4_K_M), modest, optimistic).choices[0].draft == Draft("plain")
    assert plan(make(Q4_K_M), optimistic, modest).choices[0].draft.source == "prompt_lookup"


def test_learns_from_rounds_what_a_source_is_worth() -> None:
    policy = make(BF16)
    offered = draft(8, 6)
    assert length(plan(policy, offered)) > 2
    for _ in range(12):
        found = plan(policy, offered)
        verify(policy, found, [99] * 9, found.predicted_ms)
    found = plan(policy, offered)
    assert length(found) == 0
    assert "would give" in found.reason


def lose(policy: AdaptivePolicy) -> Plan:
    """A round in which a draft, if one is allowed, is wrong from its first token on. Only the watchdog can stop it: the
    calibration isn't told."""
    found = plan(policy, certain(8))
    verify(policy, found, [99] * 9, found.predicted_ms, learn=False)
    return found


def test_stops_after_losing_rounds_whatever_was_predicted_and_probes_again() -> None:
    policy = make(BF16, gain=0)
    assert length(plan(policy, certain(8))) == 8
    plans = [lose(policy) for _ in range(2000)]
    drafted = [length(one) > 0 for one in plans]
    assert not all(drafted[:10])
    assert all("cost too much" in one.reason for one in plans if not length(one))
    assert sum(drafted[:200]) > sum(drafted[1800:]) > 0, "it never stops probing"
    lost = sum(one.predicted_ms / BF16[1] - 1 for one in plans)
    assert lost < START + INCOME * len(plans)


def test_a_first_request_risks_little_and_a_workload_that_gained_more() -> None:
    assert plan(make(Q4_K_M, gain=0), certain(60)).predicted_ms <= (1 + START) * Q4_K_M[1]
    assert plan(make(Q4_K_M, gain=100), certain(60)).predicted_ms > 8 * Q4_K_M[1]


def test_gains_are_carried_to_the_workloads_next_request_and_to_no_other() -> None:
    policy = make(BF16, gain=0)
    for _ in range(30):
        found = plan(policy, certain(60))
        verify(policy, found, range(61), found.predicted_ms)
    policy.end(0)
    policy.end(0)
    assert policy.calibration.workloads["default"].gain > 10
    policy.begin(0, Request((1,)))
    rich = length(plan(policy, certain(60)))
    policy.begin(0, Request((1,), workload="other"))
    assert rich > length(plan(policy, certain(60))) > 0


def test_rounds_that_win_never_stop() -> None:
    policy = make(BF16, gain=0)
    for _ in range(200):
        found = plan(policy, certain(8))
        assert length(found) > 0
        verify(policy, found, range(9), found.predicted_ms)


def test_sources_are_left_in_peace_only_while_no_match_could_have_grown_to_pay() -> None:
    def quiet(policy: AdaptivePolicy, *drafts: Draft, by_match: bool = True) -> int:
        return policy.plan(Snapshot((SlotView(0, 10, 200, drafts, by_match),))).quiet

    def demanding() -> AdaptivePolicy:
        policy = make(Q4_K_M)
        policy.margin = 1.5
        return policy

    assert quiet(demanding(), certain(20)) == 0, "a draft is verified"
    assert quiet(demanding()) == 1, "nothing is known of the source: it is asked every other round"
    needed = next(match for match in range(20) if length(plan(demanding(), draft(60, match, support=3))))
    assert needed > 2
    for match in range(needed):
        rounds = quiet(demanding(), draft(60, match))
        assert needed - match - 1 <= rounds <= max(1, needed - match - 1)
        assert quiet(demanding(), draft(60, match), by_match=False) == 0


# Several slots.

offers = st.lists(
    st.lists(st.builds(draft, st.integers(1, 20), st.integers(0, 70), support=st.integers(1, 3)), max_size=2),
    min_size=2,
    max_size=4,
)


@given(st.sampled_from(sorted(CURVES)), offers, st.lists(st.integers(1, 30), min_size=4, max_size=4))
def test_a_joint_plan_serves_every_slot_within_its_room(name: str, many: list[list[Draft]], rooms: list[int]) -> None:
    policy = make(CURVES[name], slots=len(many))
    views = tuple(view(*drafts, slot=slot, room=rooms[slot]) for slot, drafts in enumerate(many))
    found = policy.plan(Snapshot(views))
    assert found.reason
    assert [choice.slot for choice in found.choices] == list(range(len(many)))
    for choice, one in zip(found.choices, views, strict=True):
        assert len(choice.draft) <= one.room
        assert not choice.draft or any(d.cut(len(choice.draft)) == choice.draft for d in one.drafts)
    assert found.width <= policy.curve.max_width
    costs = policy.curve.costs(10)
    assert found.predicted_ms == pytest.approx(costs[found.width])
    assert found.predicted_tokens == pytest.approx(len(many) + sum(choice.expected for choice in found.choices))
    plain = len(many) / costs[len(many)]
    gain = found.predicted_tokens / found.predicted_ms / plain
    assert gain >= policy.margin or (found.width == len(many) and gain == pytest.approx(1))


def test_a_joint_plan_gives_the_tokens_to_the_slot_that_knows_more() -> None:
    policy = make(BF16, slots=3)
    found = policy.plan(Snapshot((view(draft(10, 1)), view(certain(10), slot=1), view(slot=2))))
    assert len(found.choices[1].draft) > len(found.choices[0].draft)
    assert len(found.choices[2].draft) == 0


def test_joint_rounds_are_measured_against_joint_plain_ones() -> None:
    """A pass over two slots costs more than one over one: that alone is no loss of the draft's."""
    policy = make({1: 10, 2: 20, 3: 21, 4: 22, 8: 30}, slots=2, gain=0)
    snapshot = Snapshot((view(certain(1)), view(slot=1)))
    for _ in range(60):
        found = policy.plan(snapshot)
        assert len(found.choices[0].draft) == 1, found.reason
        shares = (SlotRound(0, (), certain(1), 1, (0, 5)), SlotRound(1, (), Draft("plain"), 0, (5,)))
        cost = policy.curve.costs(10)[3]
        policy.observe(RoundRecord(shares, 3, 10, found.reason, target_ms=cost, predicted_ms=cost))


def test_more_slots_than_the_curve_is_wide_decode_plainly() -> None:
    policy = make({1: 10, 2: 11}, slots=3)
    found = policy.plan(Snapshot(tuple(view(certain(4), slot=slot) for slot in range(3))))
    assert [len(choice.draft) for choice in found.choices] == [0, 0, 0]


# Exact mode.

Q4_CLASSES = ((1, 2, 3), (4, 5, 6, 7, 8), (12, 16))
SPLIT_CLASSES = ((1,), (2, 3), (4, 5, 6, 7, 8), (12, 16))
WIDE_CLASSES = ((1,), tuple(range(2, 41)))
MAPS: dict[str, dict[int, Classes]] = {
    "one class everywhere": {40: Q4_CLASSES, 472: Q4_CLASSES, 600: Q4_CLASSES},
    "width 1 alone past the split": {40: Q4_CLASSES, 472: Q4_CLASSES, 600: SPLIT_CLASSES},
    "width 1 alone everywhere": {40: WIDE_CLASSES, 472: WIDE_CLASSES, 600: WIDE_CLASSES},
    "wide classes that start at four": {40: ((1,), (2,), (4, 8, 16)), 600: ((1,), (2,), (4, 8, 12, 16))},
}


@given(
    st.sampled_from(sorted(MAPS)),
    st.sampled_from(sorted(CURVES)),
    st.one_of(st.integers(0, 1500), st.integers(SPLIT - 50, SPLIT + 50)),
    st.lists(st.builds(draft, st.integers(1, 40), st.integers(0, 80), support=st.integers(1, 4)), max_size=1),
)
def test_in_exact_mode_every_pass_has_an_allowed_width(name: str, curve: str, depth: int, drafts: list[Draft]) -> None:
    policy = make(CURVES[curve])
    policy.allowed = ParityMap(MAPS[name], {}).choose(policy.curve.costs(0))
    found = plan(policy, *drafts, depth=depth)
    allowed = policy.allowed(depth)
    assert found.width in allowed.widths
    assert found.width <= allowed.limit
    assert found.padding == found.width - 1 - length(found)
    one_class_serves_both = policy.allowed(0).widths == policy.allowed(SPLIT).widths
    assert one_class_serves_both or depth >= SPLIT or depth + found.width <= SPLIT


def test_in_exact_mode_a_plain_round_is_padded_and_judged_at_its_padded_cost() -> None:
    exact = make(BF16, lambda depth: Allowed(frozenset({4, 8}), 8))
    found = plan(exact)
    assert (found.width, found.padding) == (4, 3)
    assert found.predicted_ms == BF16[4]
    free = plan(exact, draft(1, 4))
    assert length(free) == 1, "a token in place of filler costs nothing"
    assert free.padding == 2


def test_in_exact_mode_padded_plain_rounds_do_not_wake_the_watchdog() -> None:
    policy = make(BF16, lambda depth: Allowed(frozenset({4, 8}), 8), gain=0)
    for _ in range(100):
        found = plan(policy, draft(1, 64, support=3))
        assert length(found) == 1
        verify(policy, found, [99, 99], 139.0, learn=False)


def test_in_exact_mode_no_draft_outgrows_the_limit() -> None:
    policy = make(Q4_K_M, lambda depth: Allowed(frozenset({1, 2, 3}), 2))
    assert plan(policy, certain(40)).width <= 2


def test_where_two_tokens_cost_almost_three_passes_a_first_draft_is_still_allowed() -> None:
    steep = {1: 40.0, 2: 108.0, 4: 150.0, 8: 160.0, 16: 240.0, 32: 410.0, 64: 800.0}
    policy = AdaptivePolicy(VerifyCost({64: steep}), Calibration())
    policy.begin(0, Request((1,)))
    certain = Draft("suffix", (1,) * 40, (1.0,) * 40, 32, 3)
    assert policy.plan(Snapshot((SlotView(0, 10, 200, (certain,)),))).choices[0].draft
