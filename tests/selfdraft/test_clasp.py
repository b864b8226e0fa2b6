"""The dynamic programme finds what trying every set finds, on models small enough for that."""

from itertools import combinations

import pytest

from slipstream.core.errors import EngineError
from slipstream.core.skip import SkipSet
from slipstream.selfdraft.clasp import ClaspState, search
from slipstream.selfdraft.hidden import HiddenStates, cosine
from slipstream.selfdraft.sublayers import from_sublayers
from slipstream.selfdraft.texts import Text
from tests.selfdraft.toy import ToyModel


def final(hidden: HiddenStates, skip: SkipSet) -> float:
    last = 2 * hidden.block_count - 1
    return hidden.likeness(hidden.read(skip)[last], last)


def test_finds_the_best_blocks(toy: ToyModel, texts: list[Text]) -> None:
    hidden = HiddenStates(toy, texts)
    found = search(hidden, 3)
    assert list(found) == [1, 2, 3]
    assert found[1] == SkipSet.of_blocks((3,))
    for number in (1, 2):
        every = [SkipSet.of_blocks(blocks) for blocks in combinations(range(1, 6), number)]
        assert found[number] == max(every, key=lambda skip: final(hidden, skip))


def test_finds_the_best_sublayers(toy: ToyModel, texts: list[Text]) -> None:
    hidden = HiddenStates(toy, texts)
    found = search(hidden, 3, sublayers=True)
    assert found[2] == from_sublayers([6, 7]) and found[3] == from_sublayers([6, 7, 9])


def test_one_pass_serves_every_cell_of_a_path(toy: ToyModel, texts: list[Text]) -> None:
    hidden = HiddenStates(toy, texts)
    search(hidden, 3)
    assert hidden.passes <= 5 * 3 + 1


def test_goes_on_after_an_interruption(toy: ToyModel, texts: list[Text]) -> None:
    hidden = HiddenStates(toy, texts)
    kept: list[object] = []
    whole = search(hidden, 3, save=lambda state: kept.append(state.to_json()))
    for value in kept:
        assert search(hidden, 3, state=ClaspState.from_json(value)) == whole


def test_leaves_kv_and_mask_as_they_were(toy: ToyModel, texts: list[Text]) -> None:
    hidden = HiddenStates(toy, texts)
    search(hidden, 2)
    again = hidden.read(SkipSet())
    assert all((again[number] == hidden.reference[number]).all() for number in again)


def test_needs_middles_for_sublayers(toy: ToyModel, texts: list[Text]) -> None:
    toy.has_middles = False
    hidden = HiddenStates(toy, texts)
    assert search(hidden, 1) == {1: SkipSet.of_blocks((3,))}
    with pytest.raises(EngineError, match="between attention and feed-forward"):
        search(hidden, 1, sublayers=True)


def test_cosine() -> None:
    import numpy as np

    left = np.array([[1, 0], [0, 2], [0, 0]], np.float32)
    right = np.array([[3, 0], [0, -1], [1, 1]], np.float32)
    assert cosine(left, right) == 0
    assert cosine(left[:2], left[:2]) == pytest.approx(1)
