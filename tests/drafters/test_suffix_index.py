"""The hash chains against a search that looks at every position."""

import random
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from slipstream.drafters.suffix_index import BREAK, Match, SuffixIndex

ORDERS = (1, 2, 4, 8)
DEPTH = 12


def agreement(text: list[int], end: int, tail: list[int]) -> tuple[int, int]:
    """Tokens before `end` that equal the tail's end, and those beyond one differing token."""
    same = [
        back < len(text[: end + 1]) and text[end - back] == tail[-1 - back] for back in range(DEPTH) if back < len(tail)
    ]
    same += [False] * (DEPTH - len(same))
    length = same.index(False) if False in same else DEPTH
    beyond = same[length + 1 :]
    return length, (beyond.index(False) if False in beyond else len(beyond))


def expected(text: list[int], tail: list[int], before: int, limit: int, enough: int) -> list[Match]:
    """The definition in SuffixIndex.find, by brute force over positions of `text`."""
    found: dict[int, Match] = {}
    for order in reversed(ORDERS):
        occurrences = [end for end in range(before - 1, -1, -1) if agreement(text, end, tail)[0] >= order]
        for end in occurrences[:limit]:
            found.setdefault(end, (end, *agreement(text, end, tail)))
        if len(found) >= enough:
            break
    return list(found.values())


def shifted(matches: list[Match], start: int) -> list[Match]:
    return [(position - start, length, bridged) for position, length, bridged in matches]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(0, 2), min_size=1, max_size=400),
    st.lists(st.integers(1, 300), max_size=4),
    st.integers(1, 6),
    st.integers(1, 6),
)
def test_finds_what_brute_force_finds(text: list[int], cuts: list[int], limit: int, enough: int) -> None:
    index = SuffixIndex(ORDERS, DEPTH, capacity=64)
    bounds = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    for low, high in pairwise(bounds):  # in pieces, some of them big enough for the bulk path
        index.extend(text[low:high])
    enough = min(enough, limit)
    found = index.find(index.tail(), index.size - 1, limit, enough)
    assert shifted(found, index.origin) == expected(text, text, len(text) - 1, limit, enough)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=60), min_size=3, max_size=30), st.integers(1, 8))
def test_finds_the_same_after_eviction_as_a_new_index(pieces: list[list[int]], kept: int) -> None:
    index, sizes = SuffixIndex(ORDERS, DEPTH, capacity=64), []
    for piece in pieces:
        index.extend([BREAK, *piece])
        sizes.append(1 + len(piece))
        while len(sizes) > kept:
            index.drop(sizes.pop(0))
    fresh = SuffixIndex(ORDERS, DEPTH)
    live = index.tokens[index.origin : index.size].tolist()
    fresh.extend(live)
    assert live == [token for piece in pieces[-kept:] for token in (BREAK, *piece)]
    query = np.array([7] * DEPTH + [BREAK, *pieces[-1]], np.int32)[-DEPTH:]
    ours = shifted(index.find(query, index.size, 4), index.origin)
    assert ours == shifted(fresh.find(query, fresh.size, 4), fresh.origin)


def test_appending_and_bulk_building_agree() -> None:
    text = [random.Random(3).randrange(50) for _ in range(3000)]
    one, many = SuffixIndex(), SuffixIndex()
    for token in text:
        one.extend([token])
    many.extend(text)
    assert one.find(one.tail(), one.size - 1, 20, 20) == many.find(many.tail(), many.size - 1, 20, 20)


def test_a_periodic_copy_goes_on_through_itself() -> None:
    index = SuffixIndex()
    index.extend([1, 2, 3, 1, 2, 3])
    (position, _, _), *_ = index.find(index.tail(), index.size - 1, 1)
    assert np.frombuffer(index.copy(position, 7, periodic=True), np.int32).tolist() == [1, 2, 3, 1, 2, 3, 1]
    assert np.frombuffer(index.copy(position, 7, periodic=False), np.int32).tolist() == [1, 2, 3]


def test_clear_leaves_no_token_behind() -> None:
    index = SuffixIndex()
    index.extend([41, 42, 43] * 100)
    index.clear()
    assert index.size == index.origin
    assert not np.isin(index.tokens, (41, 42, 43)).any()
    index.extend([5, 6, 5])
    assert shifted(index.find(index.tail(), index.size - 1, 4), index.origin) == [(0, 1, 0)]
