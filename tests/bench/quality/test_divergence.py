"""Two models on one text, in step."""

import math

import pytest

from slipstream.bench.quality.divergence import divergence
from slipstream.core.errors import RequestError
from slipstream.engine.fake import random_table
from tests.bench.quality.reading import ReadingTarget, knowing, uniform

SIZE = 16
TEXT = [n * 5 % SIZE for n in range(96)]


def test_of_the_same_model_it_is_zero() -> None:
    full, same = (ReadingTarget(random_table(1, SIZE), SIZE, output_rows=rows) for rows in (256, 5))
    found = divergence(full, same, TEXT, 32)
    assert (found.mean, found.largest, found.error, found.agreement) == (0, 0, 0, 1)
    assert found.tokens == 45 and found.full == found.reduced
    assert full.kv[0] == same.kv[0] == []


def test_of_an_even_model_from_one_that_knows() -> None:
    full = ReadingTarget(knowing(TEXT, SIZE, 60.0), SIZE)
    found = divergence(full, ReadingTarget(uniform(SIZE), SIZE), TEXT, 32)
    assert found.mean == pytest.approx(math.log(SIZE)) == found.high == found.largest
    assert found.full.value == pytest.approx(1) and found.reduced.value == pytest.approx(SIZE)


def test_of_different_models() -> None:
    full, other = (ReadingTarget(random_table(seed, SIZE), SIZE) for seed in (1, 2))
    found = divergence(full, other, TEXT, 32, stride=8)
    assert 0 < found.mean <= found.high <= found.largest
    assert 0 <= found.agreement_low <= found.agreement <= found.agreement_high < 1
    assert found.tokens == 9 * 8


def test_what_can_not_be_compared_is_refused() -> None:
    with pytest.raises(RequestError, match="vocabularies of 16 and 15 tokens"):
        divergence(ReadingTarget(uniform(16), 16), ReadingTarget(uniform(15), 15), TEXT, 32)
    with pytest.raises(RequestError, match="exceeds the context of 16"):
        divergence(ReadingTarget(uniform(16), 16), ReadingTarget(uniform(16), 16, context_length=16), TEXT, 32)
