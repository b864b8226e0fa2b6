"""Windows as llama.cpp cuts them, and the walk through one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.bench.quality.windows import read, require_context, scored, windows
from slipstream.core.errors import RequestError
from tests.bench.quality.reading import ReadingTarget, knowing

TEXT = list(range(40))


def test_windows_follow_each_other_and_the_rest_is_left() -> None:
    assert windows(TEXT, 16) == [tuple(range(16)), tuple(range(16, 32))]
    assert windows(TEXT, 16, begin=99) == [(99, *range(1, 16)), (99, *range(17, 32))]
    assert [part[0] for part in windows(TEXT, 16, 8)] == [0, 8, 16, 24]
    assert windows(TEXT, 40) == [tuple(TEXT)]


def test_the_second_half_counts() -> None:
    assert scored(512) == 255  # llama.cpp: n_ctx - n_ctx/2 - 1
    assert scored(512, 256) == 255
    assert scored(512, 64) == 64


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(RequestError, match="has 40 tokens and a window 41"):
        windows(TEXT, 41)
    for length, stride in ((3, 0), (16, 17), (16, -1)):
        with pytest.raises(RequestError, match=f"a window of {length} tokens in steps of {stride}"):
            windows(TEXT, length, stride)
    target = ReadingTarget(knowing(TEXT, 50, 1.0), 50, context_length=8)
    with pytest.raises(RequestError, match="window of 9 tokens exceeds the context of 8"):
        require_context(target, 9)


@given(st.integers(4, 40), st.integers(1, 12), st.integers(1, 12), st.data())
def test_each_token_meets_the_logits_before_it(length: int, batch: int, rows: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, length - 1))
    target = ReadingTarget(knowing(TEXT, 50, 5.0), 50, slots=1, batch_size=batch, output_rows=min(batch, rows))
    found = [(token, int(logits.argmax())) for token, logits in read(target, TEXT[:length], count)]
    assert found == [(token, token) for token in TEXT[length - count : length]]
    assert max(target.passes) <= batch and target.most_rows <= rows
    assert target.kv == [[]]


def test_a_walk_that_is_left_half_way_leaves_nothing() -> None:
    target = ReadingTarget(knowing(TEXT, 50, 1.0), 50, slots=1)
    walk = read(target, TEXT, 20)
    next(walk)
    walk.close()  # type: ignore[attr-defined]
    assert target.kv == [[]]
