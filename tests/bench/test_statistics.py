"""Ratios and their intervals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipstream.bench.statistics import geometric_mean, ratio_of

positive = st.floats(0.1, 10)
paired = st.lists(st.lists(positive, min_size=1, max_size=5), min_size=1, max_size=6)


def test_a_geometric_mean_treats_twice_as_fast_and_half_as_fast_alike() -> None:
    assert geometric_mean([2.0, 0.5]) == pytest.approx(1)
    assert geometric_mean([4.0]) == pytest.approx(4)


@pytest.mark.parametrize("values", [[], [1.0, 0.0], [-1.0]])
def test_a_geometric_mean_needs_positive_values(values: list[float]) -> None:
    with pytest.raises(ValueError, match="positive"):
        geometric_mean(values)


def test_the_value_is_the_geometric_mean_of_the_prompts_medians() -> None:
    ratio = ratio_of([[1.0, 2.0, 90.0], [8.0]])
    assert ratio.value == pytest.approx(4)
    assert (ratio.prompts, ratio.pairs) == (2, 4)


@pytest.mark.parametrize("pairs", [[], [[1.0], []]])
def test_a_prompt_without_pairs_is_refused(pairs: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="at least one pair"):
        ratio_of(pairs)


@settings(max_examples=15)
@given(paired, st.floats(0.5, 2))
def test_the_interval_holds_what_was_seen_and_scales_with_it(pairs: list[list[float]], factor: float) -> None:
    ratio = ratio_of(pairs)
    values = [value for prompt in pairs for value in prompt]
    assert min(values) * 0.999 <= ratio.low <= ratio.high <= max(values) * 1.001
    assert ratio == ratio_of(pairs), "the same data gives the same interval"
    scaled = ratio_of([[factor * value for value in prompt] for prompt in pairs])
    assert (scaled.value, scaled.low, scaled.high) == pytest.approx(
        (factor * ratio.value, factor * ratio.low, factor * ratio.high)
    )


def test_without_spread_there_is_no_interval() -> None:
    ratio = ratio_of([[1.5, 1.5], [1.5]])
    assert (ratio.low, ratio.value, ratio.high) == pytest.approx((1.5, 1.5, 1.5))


def test_one_prompt_is_resampled_over_its_pairs() -> None:
    ratio = ratio_of([[1.0, 2.0, 3.0, 4.0, 5.0]])
    assert ratio.low < 3 < ratio.high


def test_prompts_that_disagree_widen_the_interval_and_more_of_them_narrow_it() -> None:
    alike, apart = ratio_of([[2.0]] * 4), ratio_of([[1.0], [4.0]] * 2)
    many = ratio_of([[1.0], [4.0]] * 20)
    assert alike.value == pytest.approx(apart.value)
    assert alike.high - alike.low < 1e-9 < many.high - many.low < 0.5 * (apart.high - apart.low)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(60):
        ratio = ratio_of([[float(value)] for value in np.exp(random.normal(0.5, 0.3, 25))])
        covered += ratio.low <= np.exp(0.5) <= ratio.high
    assert 51 <= covered <= 60
