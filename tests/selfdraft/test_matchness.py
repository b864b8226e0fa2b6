"""The score: what counts as agreement, and that scoring leaves no trace."""

import pytest

from slipstream.core.errors import RequestError
from slipstream.core.skip import SkipSet
from slipstream.selfdraft.matchness import Matchness
from slipstream.selfdraft.texts import Text, digest, generate
from tests.selfdraft.toy import VOCABULARY, ToyModel, prompts

ALL = SkipSet.of_blocks((1, 2, 3, 4, 5))


def test_skipping_nothing_agrees_in_everything(toy: ToyModel, texts: list[Text]) -> None:
    matchness = Matchness(toy, texts)
    assert matchness.agreement(SkipSet()) == 1
    assert matchness.tokens == sum(len(text.answer) - 1 for text in texts)
    score = matchness.score(SkipSet())
    assert score.agreement == 1 and score.perplexity_ratio == pytest.approx(1)
    assert matchness.gaps == []


def test_weak_block_costs_less_than_all(toy: ToyModel, texts: list[Text]) -> None:
    matchness = Matchness(toy, texts)
    weak, everything = matchness.score(SkipSet.of_blocks((3,))), matchness.score(ALL)
    assert weak.agreement > 0.9 > everything.agreement
    assert 0.9 < weak.perplexity_ratio < everything.perplexity_ratio
    assert matchness.agreement(ALL) == everything.agreement


@pytest.mark.parametrize("own_context", [False, True])
def test_kv_and_mask_are_as_before(toy: ToyModel, texts: list[Text], own_context: bool) -> None:
    matchness = Matchness(toy, texts)
    before = matchness.agreement(ALL)
    matchness.score(ALL, own_context=own_context)
    assert all(toy.held[slot] == list(text.prompt) for slot, text in enumerate(texts)) or own_context
    assert matchness.agreement(SkipSet()) == 1 and matchness.agreement(ALL) == before


def test_texts_that_do_not_fit_one_pass_take_several(texts: list[Text]) -> None:
    small = ToyModel([0.5] * 14, batch_size=25)
    matchness = Matchness(small, texts)
    before = small.passes
    assert matchness.agreement(SkipSet()) == 1
    assert small.passes - before == len(texts)
    with pytest.raises(RequestError, match="does not fit"):
        Matchness(ToyModel([0.5] * 14, batch_size=8), texts)


def test_answers_of_one_token_compare_nothing(toy: ToyModel) -> None:
    with pytest.raises(RequestError, match="long enough"):
        Matchness(toy, [Text((1, 2), (3,))])


def test_answers_are_greedy_and_end_before_an_end_token(toy: ToyModel) -> None:
    free = generate(toy, prompts(), 12, ends=())
    assert [len(text.answer) for text in free] == [12, 12, 12]
    end = free[0].answer[5]
    ended = generate(toy, prompts(), 12, ends={end})
    assert ended[0].answer == free[0].answer[: free[0].answer.index(end)]
    with pytest.raises(RequestError, match="at once"):
        generate(toy, prompts(), 12, ends=range(VOCABULARY))


def test_split_and_digest() -> None:
    text = Text((1, 2), (3, 4, 5))
    assert text.split(2) == (Text((1, 2), (3, 4)), Text((1, 2, 3, 4), (5,)))
    assert digest([text]) == digest([Text((1, 2), (3, 4, 5))]) != digest([Text((1, 2, 3), (4, 5))])
