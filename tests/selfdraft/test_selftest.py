"""A path that is broken stops the search instead of looking like a model that can't skip layers."""

import pytest

from slipstream.core.errors import EngineError
from slipstream.selfdraft.matchness import Matchness
from slipstream.selfdraft.selftest import self_test
from slipstream.selfdraft.texts import Text
from tests.selfdraft.toy import ToyModel


def test_a_sound_model_passes(toy: ToyModel, texts: list[Text]) -> None:
    tested = self_test(Matchness(toy, texts))
    assert tested.nothing == 1 > tested.everything
    assert set(tested.blocks) == {1, 2, 3, 4, 5}
    assert max(tested.blocks, key=lambda block: tested.blocks[block]) == 3
    assert self_test(Matchness(toy, texts), blocks=False).blocks == {}


def test_passes_that_differ_by_themselves(toy: ToyModel, texts: list[Text]) -> None:
    matchness = Matchness(toy, texts)
    toy.exact = False
    with pytest.raises(EngineError, match="skipping nothing changed"):
        self_test(matchness)


def test_a_mask_without_effect(toy: ToyModel, texts: list[Text]) -> None:
    toy.obeys = False
    with pytest.raises(EngineError, match="changed no prediction"):
        self_test(Matchness(toy, texts))


def test_predictions_that_are_not_what_was_generated(toy: ToyModel, texts: list[Text]) -> None:
    other = [Text(text.prompt, tuple(reversed(text.answer))) for text in texts]
    with pytest.raises(EngineError, match="another token than it generated"):
        self_test(Matchness(toy, other))
