"""A toy model whose middle block 3 does next to nothing, and its answers."""

import pytest

from slipstream.selfdraft.texts import Text, generate
from tests.selfdraft.toy import ToyModel, prompts

STRENGTHS = [0.9, 0.8, 0.5, 0.6, 0.4, 0.7, 0.02, 0.03, 0.5, 0.1, 0.6, 0.5, 0.8, 0.7]


@pytest.fixture
def toy() -> ToyModel:
    return ToyModel(STRENGTHS)


@pytest.fixture
def texts(toy: ToyModel) -> list[Text]:
    return generate(toy, prompts(), 24, ends=())
