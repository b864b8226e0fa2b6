"""Perplexity: of what is known, of what is even, and that it is llama.cpp's."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.bench.quality.perplexity import of, perplexity
from slipstream.control.measure import Progress
from slipstream.core.errors import RequestError
from tests.bench.quality.reading import ReadingTarget, knowing, uniform

TEXT = [n * 7 % 32 for n in range(64)]


def test_of_an_even_model_it_is_the_vocabulary_size() -> None:
    found = perplexity(ReadingTarget(uniform(32), 32), TEXT, 16)
    assert found.value == pytest.approx(32) and found.error == pytest.approx(0, abs=1e-9)
    assert found.tokens == 4 * 7


def test_of_a_model_that_knows_the_text_it_is_one() -> None:
    assert perplexity(ReadingTarget(knowing(TEXT, 32, 60.0), 32), TEXT, 64).value == pytest.approx(1)


def test_overlapping_windows_count_every_token_once() -> None:
    found = perplexity(ReadingTarget(uniform(32), 32), TEXT, 16, stride=4)
    assert found.tokens == 13 * 4


def test_progress_is_told() -> None:
    told: list[Progress] = []
    perplexity(ReadingTarget(uniform(32), 32), TEXT, 16, report=told.append)
    assert [(one.done, one.total) for one in told] == [(n, 4) for n in range(5)]


def test_a_window_longer_than_the_context_is_refused_before_reading() -> None:
    target = ReadingTarget(uniform(32), 32, context_length=32)
    with pytest.raises(RequestError, match="exceeds the context"):
        perplexity(target, TEXT, 64)
    assert not target.passes


@given(st.lists(st.floats(0, 20), min_size=2, max_size=50))
def test_it_lies_between_the_least_and_the_most_surprising_token(values: list[float]) -> None:
    found = of(values)
    assert math.exp(min(values)) <= found.value * (1 + 1e-9) and found.value <= math.exp(max(values)) * (1 + 1e-9)
    assert found.error >= 0


def test_single_values() -> None:
    assert of([math.log(5)]).value == pytest.approx(5) and of([1.0]).error == 0
    assert of([math.log(2), math.log(8)]).value == pytest.approx(4)
    with pytest.raises(ValueError, match="at least one"):
        of([])
