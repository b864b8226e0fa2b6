"""Finding the batch widths that agree bit for bit, and choosing among them."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipstream.control.measure import Progress
from slipstream.control.parity import DEPTHS, SPLIT, WIDTHS, Allowed, Classes, ParityMap, measure_parity, padded
from slipstream.core.errors import ParityError
from tests.support import WidthSensitiveTarget, near_ties

TEXT = [1, 2, 3, 4, 5, 6, 0, 2, 4, 6, 1, 3, 5] * 12
COSTS = [0.0, *(30.0 + 5 * width for width in range(1, 65))]


def q4_k_m(width: int, depth: int) -> int:
    """Widths 1 to 3 agree, then groups; one token alone past the split."""
    if width == 1 and depth >= SPLIT:
        return 9
    return 0 if width <= 3 else 1 + width // 16


def bf16(width: int, depth: int) -> int:
    return 0 if width == 1 else 1 if width <= 40 else 2


KERNELS: dict[str, Callable[[int, int], int]] = {"q4_k_m": q4_k_m, "bf16": bf16, "all alike": lambda width, depth: 0}


def make(kernel: Callable[[int, int], int], context_length: int = 2048) -> WidthSensitiveTarget:
    return WidthSensitiveTarget(near_ties(1, 8), 8, slots=2, context_length=context_length, kernel=kernel)


def classes_of(kernel: Callable[[int, int], int], depth: int, widths: Sequence[int] = WIDTHS) -> Classes:
    groups: dict[int, list[int]] = {}
    for width in widths:
        groups.setdefault(kernel(width, depth), []).append(width)
    return tuple(map(tuple, groups.values()))


@pytest.mark.parametrize("name", KERNELS)
def test_finds_exactly_the_classes_there_are(name: str) -> None:
    target = make(KERNELS[name])
    found = measure_parity(target, TEXT)
    assert found.classes == {depth: classes_of(KERNELS[name], depth) for depth in DEPTHS}
    assert target.kv[0] == []


@settings(max_examples=10)
@given(st.lists(st.integers(0, 3), min_size=8, max_size=8), st.lists(st.integers(0, 3), min_size=8, max_size=8))
def test_finds_any_classes(shallow: list[int], deep: list[int]) -> None:
    def kernel(width: int, depth: int) -> int:
        return (deep if depth >= SPLIT else shallow)[width - 1]

    found = measure_parity(make(kernel), TEXT, widths=range(1, 9))
    assert found.classes == {depth: classes_of(kernel, depth, range(1, 9)) for depth in DEPTHS}


def test_differences_are_from_the_plain_pass_and_as_large_as_they_are() -> None:
    found = measure_parity(make(bf16), TEXT)
    for row in found.differences.values():
        assert row[1] == 0
        assert all(0 < row[width] <= 2.1e-4 for width in WIDTHS[1:])
    alike = measure_parity(make(KERNELS["all alike"]), TEXT)
    assert {value for row in alike.differences.values() for value in row.values()} == {0.0}


def test_progress_counts_up_to_the_total() -> None:
    seen: list[Progress] = []
    measure_parity(make(bf16), TEXT, seen.append, widths=(1, 2, 4))
    assert [progress.done for progress in seen] == list(range(12))
    assert {progress.total for progress in seen} == {12}


@pytest.mark.parametrize(
    ("context_length", "depths"),
    [
        (688, DEPTHS),
        (600, DEPTHS[:3]),
        (390, (*DEPTHS[:2], SPLIT)),
        (310, (*DEPTHS[:2], SPLIT)),
        (280, DEPTHS[:2]),
        (200, DEPTHS[:1]),
        (60, (0,)),
    ],
)
def test_a_short_context_is_compared_where_it_reaches(context_length: int, depths: tuple[int, ...]) -> None:
    target = make(q4_k_m, context_length)
    found = measure_parity(target, TEXT)
    assert tuple(found.classes) == depths
    for depth, classes in found.classes.items():
        widths = [width for one in classes for width in one]
        assert classes == classes_of(q4_k_m, depth, sorted(widths))
        assert set(range(1, 17)) <= set(widths) or context_length < 100
    assert target.kv[0] == []


def test_widths_beyond_the_batch_are_not_compared() -> None:
    target = make(q4_k_m)
    target.batch_size = 12
    found = measure_parity(target, TEXT)
    assert {width for classes in found.classes.values() for one in classes for width in one} == set(range(1, 13))


def test_survives_json() -> None:
    found = measure_parity(make(q4_k_m), TEXT, widths=(1, 2, 4))
    assert ParityMap.from_json(found.to_json()) == found


@pytest.mark.parametrize("value", [[], {}, {"classes": {"x": []}, "differences": {}}, {"classes": {"1": 3}}])
def test_damaged_json_is_refused(value: object) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        ParityMap.from_json(value)  # type: ignore[arg-type]


# choose()


def chosen(classes: dict[int, Classes], depth: int, costs: Sequence[float] = COSTS) -> Allowed:
    return ParityMap(classes, {}).choose(costs)(depth)


def test_the_class_with_the_cheapest_plain_round_wins_then_the_larger() -> None:
    assert chosen({40: ((1,), (2, 3), (4, 5, 6, 7, 8))}, 0).widths == {2, 3}
    dip = list(COSTS)
    dip[4] = 20.0
    assert chosen({40: ((1,), (2, 3), (4, 5, 6))}, 0, dip).widths == {4, 5, 6}
    level = [0.0, *[10.0] * 64]
    assert chosen({40: ((1, 2), (4, 5, 6))}, 0, level).widths == {4, 5, 6}


def test_what_agrees_at_one_depth_only_does_not_count() -> None:
    assert chosen({40: ((1, 2, 3, 4),), 216: ((1, 2), (3, 4))}, 0).widths == {1, 2}


def test_singletons_are_refused_with_a_hint() -> None:
    lonely: Classes = ((1,), (2,), (4,))
    with pytest.raises(ParityError, match="no two batch widths agree") as caught:
        ParityMap({40: lonely, 216: lonely, 600: lonely}, {}).choose(COSTS)
    assert "--exact" in caught.value.hint
    for classes in ({40: ((1, 2),), 600: lonely}, {40: lonely, 600: ((1, 2),)}, {40: lonely}):
        with pytest.raises(ParityError):
            ParityMap(classes, {}).choose(COSTS)


def test_two_regions_never_share_a_pass() -> None:
    choose = ParityMap({40: ((1, 2, 3),), 216: ((1, 2, 3),), 600: ((1,), (2, 3))}, {}).choose(COSTS)
    for depth in range(SPLIT + 200):
        allowed = choose(depth)
        if depth < SPLIT:
            assert allowed.widths == {1, 2, 3}
            assert allowed.limit == SPLIT - depth
            assert any(width <= allowed.limit for width in allowed.widths), "a plain round must fit"
        else:
            assert allowed == Allowed(frozenset({2, 3}), 3)


def test_a_class_that_serves_both_regions_may_cross() -> None:
    choose = ParityMap({40: ((1,), (2, 3, 4)), 600: ((1,), (2, 3, 4))}, {}).choose(COSTS)
    assert choose(SPLIT - 1) == choose(0) == choose(SPLIT) == Allowed(frozenset({2, 3, 4}), 4)


def test_without_width_one_both_regions_use_what_they_have_in_common() -> None:
    choose = ParityMap({40: ((1,), (2, 3, 4)), 600: ((1,), (2,), (3, 4, 5))}, {}).choose(COSTS)
    assert choose(0) == choose(SPLIT - 1) == choose(SPLIT) == Allowed(frozenset({3, 4}), 4)


def test_a_dearer_class_is_found_if_only_it_serves_both_regions() -> None:
    choose = ParityMap({40: ((1,), (2, 3), (4, 8)), 600: ((1,), (2,), (3,), (4, 8))}, {}).choose(COSTS)
    assert choose(0) == choose(SPLIT) == Allowed(frozenset({4, 8}), 8)


# padded()


def test_padded_rounds_up_to_the_next_allowed_width() -> None:
    costs = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    filled, widths = padded(costs, Allowed(frozenset({2, 5}), 5))
    assert widths[1:6] == [2, 2, 5, 5, 5]
    assert filled[1:6] == [2.0, 2.0, 5.0, 5.0, 5.0]
    assert filled[6] == float("inf")


@given(
    st.frozensets(st.integers(1, 40), min_size=1),
    st.integers(1, 50),
    st.lists(st.floats(1, 100), min_size=2, max_size=40),
)
def test_padded_never_leaves_what_is_allowed(widths: frozenset[int], limit: int, tail: list[float]) -> None:
    costs = [0.0, *tail]
    filled, to = padded(costs, Allowed(widths, limit))
    assert len(filled) == len(to) == len(costs)
    fitting = [width for width in widths if width <= min(limit, len(costs) - 1)]
    for width in range(1, len(costs)):
        wider = [fit for fit in fitting if fit >= width]
        if wider:
            assert to[width] == min(wider)
            assert filled[width] == costs[min(wider)]
        else:
            assert filled[width] == float("inf")
