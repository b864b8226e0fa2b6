"""The search finds a known best set, ends when it should, and goes on where it was."""

from collections.abc import Callable

import numpy as np
import pytest

from slipstream.core.errors import RequestError
from slipstream.core.skip import SkipSet
from slipstream.selfdraft.gaussian import GaussianProcess
from slipstream.selfdraft.sublayers import from_sublayers, left_out, to_sublayers
from slipstream.selfdraft.swift import SwiftSettings, SwiftState, search

BLOCKS = 10


def planted(best: SkipSet) -> Callable[[SkipSet], float]:
    """Share of `best` that a set has in common with it."""
    wanted = set(to_sublayers(best))
    return lambda skip: len(wanted & set(to_sublayers(skip))) / len(wanted)


def clock() -> float:
    return 0.0


BEST = from_sublayers([3, 5, 6, 11])


def test_finds_the_planted_set_with_bayesian_optimisation() -> None:
    settings = SwiftSettings(ratio=0.25, candidates=200, max_score=0.99, bayes_every=2)
    state = search(planted(BEST), BLOCKS, settings, clock)
    assert state.best == (BEST, 1.0) and state.ended == "good enough"
    assert len(state.tried) < 150  # of 1820
    assert len({*state.tried}) == len(state.tried)


def test_bayesian_optimisation_beats_chance() -> None:
    chance = search(planted(BEST), BLOCKS, SwiftSettings(0.25, 60, 1, bayes_every=1000), clock)
    guided = search(planted(BEST), BLOCKS, SwiftSettings(0.25, 60, 1, bayes_every=2), clock)
    assert guided.best[1] > chance.best[1]


def test_every_candidate_has_the_wanted_size_and_keeps_the_ends() -> None:
    state = search(planted(BEST), BLOCKS, SwiftSettings(0.45, 40, 1), clock)
    for skip in state.tried:
        assert len(skip) == left_out(BLOCKS, 0.45) == 7
        assert all(0 < number < BLOCKS - 1 for number in (*skip.attention, *skip.feed_forward))


def test_blocks_only() -> None:
    best = SkipSet.of_blocks((2, 5, 7))
    state = search(planted(best), BLOCKS, SwiftSettings(0.4, 100, 0.99, blocks_only=True), clock)
    assert all(skip.attention == skip.feed_forward == skip.blocks for skip in state.tried)
    assert state.best[0] == best
    # 56 sets of three of eight blocks: it stops by itself when there is no other.
    state = search(lambda skip: 0.5, BLOCKS, SwiftSettings(0.4, 100, blocks_only=True), clock)
    assert len(state.tried) == 56 and state.ended == "every set was tried"


def test_ends_without_a_better_one() -> None:
    state = search(lambda skip: 0.5, BLOCKS, SwiftSettings(0.25, 1000, patience=20), clock)
    assert len(state.tried) == 21 and state.ended == "no better one for long"


def test_seconds_end_it_after_one_candidate_at_least() -> None:
    ticks = iter(range(100))
    settings = SwiftSettings(0.25, 1000, patience=500)
    state = search(planted(BEST), BLOCKS, settings, lambda: float(next(ticks)), seconds=5)
    assert state.ended == "seconds" and len(state.tried) == 5
    assert len(search(planted(BEST), BLOCKS, settings, lambda: float(next(ticks)), seconds=0).tried) == 1


def test_goes_on_as_if_it_had_not_been_interrupted() -> None:
    settings = SwiftSettings(0.25, 30, 1, bayes_every=5)
    whole = search(planted(BEST), BLOCKS, settings, clock)
    kept: list[object] = []
    calls = 0

    def interrupted(skip: SkipSet) -> float:
        nonlocal calls
        calls += 1
        if calls == 17:
            raise KeyboardInterrupt
        return planted(BEST)(skip)

    state = SwiftState()
    with pytest.raises(KeyboardInterrupt):
        search(interrupted, BLOCKS, settings, clock, state=state, save=lambda state: kept.append(state.to_json()))
    assert kept and len(state.tried) == 16
    again = SwiftState.from_json(state.to_json())
    search(planted(BEST), BLOCKS, settings, clock, state=again)
    assert list(again.tried) == list(whole.tried) and again.best == whole.best


@pytest.mark.parametrize("ratio", [0.0, 1.0, -1.0])
def test_refuses_ratios(ratio: float) -> None:
    with pytest.raises(RequestError):
        SwiftSettings(ratio)


def test_refuses_models_too_small() -> None:
    with pytest.raises(RequestError, match="leaves out nothing"):
        search(planted(BEST), 3, SwiftSettings(0.25), clock)


def test_left_out_is_the_papers() -> None:
    assert [left_out(32, 0.45), left_out(80, 0.5), left_out(12, 0.3)] == [27, 78, 6]
    assert to_sublayers(from_sublayers([7, 2, 3])) == [2, 3, 7]


def test_gaussian_process_learns_additive_scores() -> None:
    random = np.random.default_rng(3)
    rows = np.array([random.permutation(20) < 8 for _ in range(90)])
    weights = random.standard_normal(20)
    scores = rows @ weights
    process = GaussianProcess(rows[:70], scores[:70].tolist())
    mean, deviation = process.predict(rows[70:])
    assert np.corrcoef(mean, scores[70:])[0, 1] > 0.9
    assert (deviation > 0).all()
    known, sure = process.predict(rows[:5])
    assert np.abs(known - scores[:5]).max() < 0.5 * scores.std() and sure.max() < deviation.min()
    gains = process.expected_improvement(rows[70:], float(scores.min()))
    assert (gains > 0).all() and np.corrcoef(gains, mean)[0, 1] > 0.99
