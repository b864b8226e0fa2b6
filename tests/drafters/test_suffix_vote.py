"""Voting: the likeliest path, its probabilities and where it ends; and the paper's choice among match lengths."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipstream.drafters.suffix_index import SuffixIndex
from slipstream.drafters.suffix_vote import Ballot, blend, follow, levels, score


def data(*tokens: int) -> bytes:
    return np.array(tokens, np.int32).tobytes()


def test_follows_the_majority_and_gives_its_shares() -> None:
    assert follow({data(1, 2, 3): 2.0, data(1, 2, 4): 1.0, data(9, 9, 9): 1.0}, 3, 0.1) == (
        [1, 2, 3],
        [0.75, 1.0, pytest.approx(2 / 3)],
    )


def test_ends_where_the_path_becomes_unlikely() -> None:
    votes = {data(1, 2): 1.0, data(1, 3): 1.0, data(4, 5): 1.0, data(6, 7): 1.0}
    assert follow(votes, 2, 0.3) == ([1], [0.5])
    assert follow(votes, 2, 0.6) == ([], [])


def test_an_occurrence_that_ends_votes_for_stopping() -> None:
    assert follow({data(1): 3.0, data(1, 2): 1.0}, 5, 0.1) == ([1], [1.0])
    assert follow({data(1, -1, 8): 1.0}, 5, 0.1) == ([1], [1.0])


def test_score_is_the_expected_number_of_accepted_tokens() -> None:
    assert score([0.5, 0.5, 1.0]) == pytest.approx(0.5 + 0.25 + 0.25)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=2, max_size=60), st.integers(1, 8), st.floats(0, 1), st.floats(0, 3))
def test_levels_agree_with_the_definition(text: list[int], limit: int, minimum: float, alpha: float) -> None:
    index = SuffixIndex()
    index.extend(text)
    matches = index.find(index.tail(), index.size - 1, 1000, 1000)
    ballot = Ballot(
        index, [(position, index.view[position + 1], 1.0, length) for position, length, _ in matches], False
    )
    best: tuple[float, int, list[int]] = (0.0, 0, [])
    for length in range(1, index.depth + 1):
        ends = [position for position, matched, _ in matches if matched >= length]
        draft: list[int] = []
        path = total = 1.0
        total = 0.0
        while ends and len(draft) < min(limit, int(alpha * length + 1e-6)):
            following = [index.view[end + 1] if end + 1 < index.size else -1 for end in ends]
            heaviest = max(following, key=lambda token: (following.count(token), -following.index(token)))
            path *= following.count(heaviest) / len(following)
            if heaviest < 0 or path < minimum:
                break
            draft.append(heaviest)
            total += path
            ends = [end + 1 for end, token in zip(ends, following, strict=True) if token == heaviest]
        if total >= best[0] and draft:
            best = (total, length, draft)
    outcome = levels(ballot, limit, minimum, alpha, 0.0)
    assert score(outcome.shares) == pytest.approx(best[0])
    assert outcome.match_length == 0 or index.depth >= outcome.match_length


def test_a_blend_weighs_both_indexes_at_once() -> None:
    first, second = SuffixIndex(), SuffixIndex()
    first.extend([1, 2, 7, 7, 1, 2])
    second.extend([1, 2, 8, 8, 1, 2, 8, 9])
    start = first.origin
    ballots = [
        Ballot(first, [(start + 1, 7, 1.0, 2)], True),
        Ballot(second, [(start + 1, 8, 1.0, 2), (start + 5, 8, 2.0, 3)], False),
    ]
    outcome = blend(ballots, 2, 0.1, 1.0, 0.0)
    assert (outcome.tokens, outcome.match_length, outcome.support) == ([8, 9], 3, 2)
    assert list(outcome.shares) == pytest.approx([0.75, 2 / 3])
    assert blend(ballots, 2, 0.8, 1.0, 0.0).tokens == ()
    assert blend([], 4, 0.1, 1.0, 1.0).tokens == ()
