"""The arithmetic of cascades against closed forms and brute force."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.drafters.cascade_route import LONGEST, Level, prescreen, route, speed_up, vertical_speed_up

NOTHING = Level("nothing", 0.0, 0.0)
FREE = Level("free", 0.5, 0.01)
FLAT = [0.0, *[1.0] * 60]
"""What papers take: a wide pass costs no more than a narrow one."""
RISING = [0.0, *(100.0 + 8.0 * more for more in range(60))]

acceptances = st.floats(0.05, 0.98)
levels = st.builds(Level, st.just("level"), acceptances, st.floats(0.01, 0.8))


def emitted(acceptance: float, length: int) -> float:
    return (1 - acceptance ** (length + 1)) / (1 - acceptance)


@given(levels, st.sampled_from([FLAT, RISING]))
def test_one_level_alone_is_plain_speculation_of_the_best_length(level: Level, verify: list[float]) -> None:
    """Leviathan et al., arXiv 2211.17192. Lengths are tried up to `LONGEST`."""
    gains = [
        emitted(level.acceptance, length) / (verify[1 + length] / verify[1] + length * level.cost)
        for length in range(LONGEST + 1)
    ]
    assert speed_up([level], NOTHING, verify) == pytest.approx(max(gains))


@given(st.lists(levels, max_size=3), st.builds(Level, st.just("bottom"), acceptances, st.floats(0.001, 0.05)))
def test_a_cascade_is_no_better_than_the_best_of_all_lengths(many: list[Level], bottom: Level) -> None:
    best = 1.0
    for lengths in product(range(LONGEST + 1), repeat=len(many) + 1):
        if sum(lengths) > 16:
            continue
        expected, prefix, drafting = 1.0, 1.0, 0.0
        for level, length in zip((*many, bottom), lengths, strict=True):
            expected += prefix * (emitted(level.acceptance, length) - 1)
            prefix *= level.acceptance**length
            drafting += level.cost * length
        best = max(best, expected / (RISING[1 + sum(lengths)] / RISING[1] + drafting))
    found = speed_up(many, bottom, RISING[:18])
    assert 1 <= found <= best + 1e-9
    assert found >= speed_up([], bottom, RISING[:18]) - 1e-9 or many


bottoms = st.builds(Level, st.just("bottom"), acceptances, st.floats(0.001, 0.1))


@given(st.lists(levels, min_size=1, max_size=4), bottoms)
def test_the_route_has_the_best_score(many: list[Level], bottom: Level) -> None:
    """DyTC: (a (1 - a^k) / (1 - a) + a^k b) / (c k + d)."""
    scores = {
        (index, length): (
            level.acceptance * (1 - level.acceptance**length) / (1 - level.acceptance)
            + level.acceptance**length * bottom.acceptance
        )
        / (level.cost * length + bottom.cost)
        for index, level in enumerate(many)
        for length in range(1, LONGEST + 1)
    }
    found = route(many, bottom)
    assert found.score == pytest.approx(max(scores.values()))
    assert scores[found.level, found.length] == pytest.approx(found.score)


def test_routing_prefers_what_is_right_if_costs_are_equal_and_what_is_cheap_if_it_is_as_right() -> None:
    good, poor = Level("good", 0.9, 0.2), Level("poor", 0.4, 0.2)
    assert route([good, poor], FREE).level == 0
    assert route([poor, good], FREE).level == 1
    assert route([good, Level("cheap", 0.9, 0.05)], FREE).level == 1


@pytest.mark.parametrize("verify", [FLAT, RISING])
def test_screening_leaves_out_what_does_not_pay(verify: list[float]) -> None:
    good, dear = Level("good", 0.9, 0.1), Level("dear", 0.5, 0.9)
    kept, note = prescreen([dear, good], FREE, verify)
    assert kept == (1,)
    assert "dear left out" in note and "good" not in note
    assert prescreen([good], FREE, verify) == ((0,), "every level pays")


def test_screening_may_leave_out_everything() -> None:
    kept, note = prescreen([Level("one", 0.1, 2.0), Level("other", 0.2, 3.0)], FREE, RISING)
    assert kept == ()
    assert note.count("left out") == 2


@given(st.lists(levels, max_size=4), st.sampled_from([FLAT, RISING]))
def test_screening_never_makes_it_slower(many: list[Level], verify: list[float]) -> None:
    kept, note = prescreen(many, FREE, verify)
    assert list(kept) == sorted(set(kept))
    assert note
    assert speed_up([many[index] for index in kept], FREE, verify) >= speed_up(many, FREE, verify) - 1e-9


@given(acceptances, acceptances, st.floats(0.01, 0.5), st.integers(1, 4), st.integers(0, 5))
def test_the_vertical_formula_is_the_expectation(a: float, b: float, cost: float, reviews: int, length: int) -> None:
    """Of all outcomes: a review adds 1 to `length` + 1 tokens, and the target accepts each with probability a."""
    review = {1 + stood: b**stood * (1 - b) for stood in range(length)}
    review[1 + length] = b**length
    drafted = {0: 1.0}
    for _ in range(reviews):
        after: dict[int, float] = {}
        for (before, chance), (more, other) in product(drafted.items(), review.items()):
            after[before + more] = after.get(before + more, 0.0) + chance * other
        drafted = after
    tokens = sum(chance * emitted(a, count) for count, chance in drafted.items())
    width = 1 + round(sum(chance * count for count, chance in drafted.items()))
    spent = RISING[width] / RISING[1] + reviews * (cost + length * 0.01)
    found = vertical_speed_up(Level("level", a, cost), Level("inner", b, 0.01), reviews, length, RISING)
    assert found == pytest.approx(tokens / spent)


@given(acceptances, st.integers(1, 8))
def test_reviewing_nothing_is_drafting_alone(a: float, reviews: int) -> None:
    found = vertical_speed_up(Level("level", a, 0.1), NOTHING, reviews, 0, RISING)
    assert found == pytest.approx(emitted(a, reviews) / (RISING[1 + reviews] / RISING[1] + 0.1 * reviews))
