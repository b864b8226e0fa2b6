"""Verdicts: few false ones, few missed ones, and every reason not to give one."""

import math
from collections.abc import Sequence
from typing import Any

import pytest

from slipstream.bench.cell import Arm, Cell
from slipstream.bench.claim import Claim
from slipstream.bench.pairs import pairs_of
from slipstream.bench.schedule import default_checks, default_pairs, schedule
from slipstream.bench.statistics import Ratio, ratio_of
from slipstream.bench.verdict import (
    CONTROL_OF,
    LEAST_PAIRS,
    claims_of,
    detectable,
    floor_of,
    noise_floor,
    verdict_of,
    winner,
)
from tests.bench.paired import AGAIN, ARMS, BASE, OTHER, Machine, cell

MACHINES: dict[str, dict[str, Any]] = {
    "that drifts": {"drift": 0.05},
    "with heavy tails": {"drift": 0.05, "tails": True},
    "that wanders": {"drift": 0.0, "walk": 0.01},
}
DEFAULTS = [(prompts, default_pairs(prompts)) for prompts in (1, 4, 10, 22)]
FEW = [(1, 6), (2, 4), (3, 2), (5, 2), (1, 8), (6, 1)]
"""Prompts, and pairs on each."""
CONTROL = Arm(name="control", role="control", configuration={CONTROL_OF: OTHER})


def simulated(seed: int, layout: tuple[int, int], speed: float, **machine: Any) -> str:
    """The verdict on an arm of this speed."""
    names = [f"x{number}" for number in range(layout[0])]
    pairs = layout[1]
    checks = schedule([BASE, AGAIN], names, default_checks(pairs))
    blocks = [*checks, *schedule([BASE, OTHER], names, pairs, first=pairs)]
    computer = Machine(seed, len(blocks), **machine)
    cells = [
        cell(block.arm, block.prompts[0], block.repetition, computer.rate(10 * speed if block.arm == OTHER else 10))
        for block in blocks
    ]
    ratio = ratio_of(list(pairs_of(cells, OTHER, BASE, names).ratios.values()), seed=seed)
    if verdict_of(ratio, 0.0)[0] == "no difference seen":  # no floor could change that
        return "no difference seen"
    return verdict_of(ratio, floor_of(pairs_of(cells, AGAIN, BASE, names)))[0]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("layouts", [DEFAULTS, FEW], ids=["default", "few"])
def test_identical_arms_are_rarely_told_apart(layouts: list[tuple[int, int]], machine: str) -> None:
    options = {"noise": 0.04, **MACHINES[machine]}
    verdicts = [simulated(seed, layouts[seed % len(layouts)], 1.0, **options) for seed in range(200)]
    assert len(verdicts) - verdicts.count("no difference seen") <= 10


@pytest.mark.parametrize("machine", MACHINES)
def test_a_slowdown_of_ten_percent_is_found(machine: str) -> None:
    options = {"noise": 0.03, **MACHINES[machine]}
    found = [simulated(1000 + seed, DEFAULTS[seed % len(DEFAULTS)], 0.9, **options) for seed in range(60)]
    assert found.count("slower") >= 54
    assert "faster" not in found


def test_the_floor_is_the_far_end_of_the_interval() -> None:
    assert noise_floor(Ratio(1.0, 0.98, 1.01, 1, 9)) == pytest.approx(1 / 0.98 - 1)
    assert noise_floor(Ratio(1.02, 1.01, 1.03, 1, 9)) == pytest.approx(0.03)


@pytest.mark.parametrize(
    ("ratio", "floor", "verdict", "says"),
    [
        (Ratio(1.3, 1.2, 1.4, 2, 9), 0.05, "faster", ""),
        (Ratio(0.8, 0.7, 0.9, 2, 9), 0.05, "slower", ""),
        (Ratio(1.3, 0.9, 1.7, 2, 9), 0.05, "no difference seen", "the interval holds 1"),
        (Ratio(1.04, 1.03, 1.05, 2, 9), 0.05, "no difference seen", "identical arms may differ by 5.0 % here"),
        (Ratio(0.96, 0.95, 0.97, 2, 9), 0.05, "no difference seen", "identical arms"),
        (Ratio(1.3, 1.2, 1.4, 2, 9), math.nan, "no difference seen", "the noise floor is unknown"),
        (Ratio(2.0, 1.9, 2.1, 2, 4), 0.05, "no difference seen", "4 pairs are too few to tell; it takes 5"),
    ],
)
def test_verdicts(ratio: Ratio, floor: float, verdict: str, says: str) -> None:
    found, reason = verdict_of(ratio, floor)
    assert found == verdict and says in reason and bool(reason) == bool(says)


def test_the_detectable_effect_shrinks_with_pairs_and_grows_with_spread() -> None:
    noisy = [[1.0, 1.1, 0.9, 1.05, 0.95]]
    assert detectable([noisy[0] * 4]) == pytest.approx(detectable(noisy) / 2, rel=0.2)
    assert detectable([[value**3 for value in noisy[0]]]) > 2 * detectable(noisy)
    assert detectable([[1.0, 1.0], [1.0, 1.0]]) == 0
    # Prompts that disagree leave more open than their quiet pairs suggest.
    assert detectable([[1.0, 1.0], [2.0, 2.0]]) > 1
    assert math.isnan(detectable([[1.2]]))


def cells_of(rates: dict[str, float], prompts: Sequence[str], repetitions: int = 3) -> list[Cell]:
    """No noise at all."""
    return [
        cell(arm, prompt, repetition, rate, started=float(number))
        for repetition in range(repetitions)
        for number, prompt in enumerate(prompts)
        for arm, rate in rates.items()
    ]


def by_task(claims: Sequence[Claim], arm: str) -> dict[str, Claim]:
    return {claim.task: claim for claim in claims if claim.arm == arm}


PROMPTS = ("chat1", "chat2", "edit1", "edit2")
CALM = cells_of({BASE: 10, AGAIN: 10, OTHER: 15}, PROMPTS)


def test_claims_are_per_task_and_on_all() -> None:
    claims = claims_of("run", ARMS, CALM, PROMPTS)
    found = by_task(claims, OTHER)
    assert list(found) == ["chat", "edit", "all"]
    assert [claim.id for claim in found.values()] == ["run/stack/chat", "run/stack/edit", "run/stack/all"]
    everything = found["all"]
    assert (everything.value, everything.low, everything.high) == pytest.approx((1.5, 1.5, 1.5))
    assert (everything.prompts, everything.pairs, everything.floor) == (4, 12, 0)
    assert (everything.verdict, everything.standing, everything.reason) == ("faster", "candidate", "")
    assert found["chat"].pairs == 6


def test_the_repeated_baseline_gets_no_verdict() -> None:
    differing = cells_of({BASE: 10, AGAIN: 11, OTHER: 10.5}, PROMPTS)
    claims = claims_of("run", ARMS, differing, PROMPTS)
    same = by_task(claims, AGAIN)["all"]
    assert (same.verdict, same.standing) == ("no difference seen", "baseline")
    assert same.floor == pytest.approx(0.1)
    other = by_task(claims, OTHER)["all"]
    assert other.verdict == "no difference seen" and "identical arms may differ by 10.0 %" in other.reason
    assert other.detectable >= other.floor


def test_few_pairs_or_one_repetition_are_an_observation() -> None:
    few = cells_of({BASE: 10, AGAIN: 10, OTHER: 15}, ("chat1", "chat2"), 2)
    assert by_task(claims_of("run", ARMS, few, PROMPTS), OTHER)["all"].standing == "observation"
    once = cells_of({BASE: 10, AGAIN: 10, OTHER: 15}, [f"chat{number}" for number in range(9)], 1)
    claim = by_task(claims_of("run", ARMS, once, [one.prompt for one in once]), OTHER)["all"]
    assert (claim.verdict, claim.standing) == ("faster", "observation")


def replaced(cells: Sequence[Cell], arm: str, count: int, status: str) -> list[Cell]:
    """The first `count` cells of an arm with another status."""
    bad = [one for one in cells if one.arm == arm][:count]
    return [
        cell(one.arm, one.prompt, one.repetition, one.rate, status=status, started=one.started) if one in bad else one
        for one in cells
    ]


def test_more_than_a_fifth_left_out_taints_the_claim() -> None:
    fine = by_task(claims_of("run", ARMS, replaced(CALM, OTHER, 2, "tainted"), PROMPTS), OTHER)["all"]
    assert (fine.verdict, fine.pairs) == ("faster", 10)
    assert fine.reason == "2 of 12 pairs left out: 2 tainted"
    for status in ("tainted", "garbage", "failed"):
        claim = by_task(claims_of("run", ARMS, replaced(CALM, OTHER, 3, status), PROMPTS), OTHER)["all"]
        assert claim.verdict == "tainted" and f"3 {status}" in claim.reason
    none = by_task(claims_of("run", ARMS, replaced(CALM, OTHER, 12, "failed"), PROMPTS), OTHER)["all"]
    assert none.verdict == "tainted" and none.pairs == 0 and math.isnan(none.value) and none.standing == "observation"


def test_without_a_clean_pair_of_identical_arms_there_is_no_verdict() -> None:
    claim = by_task(claims_of("run", ARMS, replaced(CALM, AGAIN, 12, "tainted"), PROMPTS), OTHER)["all"]
    assert claim.verdict == "tainted" and "the noise floor is unknown" in claim.reason


def test_few_pairs_of_identical_arms_leave_the_floor_unknown_and_no_more_than_an_observation() -> None:
    for kept, known in ((LEAST_PAIRS - 1, False), (LEAST_PAIRS, True)):
        again = [one for one in CALM if one.arm == AGAIN][:kept]
        cells = [one for one in CALM if one.arm != AGAIN or one in again]
        claim = by_task(claims_of("run", ARMS, cells, PROMPTS), OTHER)["all"]
        if known:
            assert (claim.floor, claim.verdict, claim.standing) == (0, "faster", "candidate")
        else:
            assert math.isnan(claim.floor) and math.isnan(claim.detectable)
            assert (claim.verdict, claim.standing) == ("no difference seen", "observation")
            assert "the noise floor is unknown" in claim.reason


def test_two_pairs_that_agree_by_luck_tell_no_floor() -> None:
    lucky = pairs_of(cells_of({BASE: 10, AGAIN: 10.01}, ("chat1",), 2), AGAIN, BASE, ("chat1",))
    assert lucky.count == 2 and math.isnan(floor_of(lucky))


def controlled(drafted: int, rate: float) -> list[Cell]:
    control = [cell("control", prompt, n, rate, figures={"drafted": drafted}) for prompt in PROMPTS for n in range(3)]
    return [*CALM, *control]


@pytest.mark.parametrize(
    ("drafted", "rate", "verdict"), [(0, 10, "faster"), (0, 14, "tainted"), (40, 14, "faster"), (0, 8, "faster")]
)
def test_what_is_faster_without_any_draft_is_not_faster_by_drafts(drafted: int, rate: float, verdict: str) -> None:
    claims = claims_of("run", (*ARMS, CONTROL), controlled(drafted, rate), PROMPTS)
    assert by_task(claims, OTHER)["all"].verdict == verdict


def test_a_winner_becomes_an_optimum_on_held_out_prompts_alone() -> None:
    chosen, held = PROMPTS[::2], PROMPTS[1::2]
    claims = claims_of("run", ARMS, CALM, chosen, held)
    found = {claim.id: claim for claim in claims if claim.arm == OTHER and claim.task == "all"}
    assert found["run/stack/all"].standing == "candidate"
    confirmed = found["run/stack/all/held-out"]
    assert (confirmed.standing, confirmed.verdict, confirmed.prompts) == ("optimum", "faster", 2)
    assert "on prompts it was not chosen on" in confirmed.reason
    lucky = [one for one in CALM if one.prompt in chosen or one.arm != OTHER]
    unlucky = [*lucky, *(cell(OTHER, prompt, n, 10) for prompt in held for n in range(3))]
    again = {claim.id: claim for claim in claims_of("run", ARMS, unlucky, chosen, held)}
    assert again["run/stack/all/held-out"].standing == "candidate"
    assert "run/stack/all/held-out" not in {claim.id for claim in claims_of("run", ARMS, lucky, chosen, held)}


def test_the_winner_is_the_fastest_or_a_simpler_one_as_fast() -> None:
    arms = (*ARMS[:2], *(Arm(name=name) for name in ("simple", "fast", "slow")))

    def best(**rates: float) -> str:
        cells = cells_of({BASE: 10, AGAIN: 10.2, **rates}, PROMPTS)
        return winner(claims_of("run", arms, cells, PROMPTS), arms)

    assert best(simple=14, fast=16, slow=9) == "fast"
    assert best(simple=15.9, fast=16, slow=9) == "simple"
    assert best(simple=10, fast=10.1, slow=9) == ""
