"""Predicted outputs: following the reference, and finding back after a difference."""

import random

import pytest

from slipstream.core.accept import accept
from slipstream.core.errors import RequestError
from slipstream.core.request import Request
from slipstream.drafters.reference import Reference, ReferenceConfig

TEXT = [random.Random(5).randrange(1000) for _ in range(300)]


def rounds(answer: list[int], reference: list[int], limit: int = 16) -> int:
    """Target passes that the answer takes when drafted from the reference."""
    drafter, done, count = Reference(), 0, 0
    drafter.begin(0, Request((1,), reference=tuple(reference)))
    while done < len(answer):
        draft = drafter.propose(0, limit)
        assert len(draft) <= limit
        emitted = accept(draft.tokens[: len(answer) - done - 1], answer[done:].__getitem__)
        drafter.commit(0, emitted)
        done += len(emitted)
        count += 1
    return count


BEST = -(-len(TEXT) // 17)


def test_a_text_as_expected_takes_no_more_rounds_than_it_must() -> None:
    assert rounds(TEXT, TEXT) == BEST


@pytest.mark.parametrize(
    ("answer", "extra"),
    [
        ([*TEXT[:100], 5000, *TEXT[101:]], 2),
        ([*TEXT[:100], 5000, *TEXT[100:]], 3),
        ([*TEXT[:100], *TEXT[101:]], 2),
        ([*TEXT[:100], *range(5000, 5010), *TEXT[100:]], 13),
        ([*TEXT[:100], *range(5000, 5010), *TEXT[110:]], 13),
        ([*TEXT[:100], *TEXT[150:]], 1),
        ([*TEXT[200:], *TEXT[:200]], 8),
        ([7000, 7001, *TEXT], 4),
    ],
    ids=["replaced", "inserted", "left out", "ten inserted", "ten replaced", "fifty left out", "moved", "preamble"],
)
def test_finds_back_after_a_difference(answer: list[int], extra: int) -> None:
    assert rounds(answer, TEXT) <= BEST + extra


def test_finds_back_among_tokens_that_stand_everywhere() -> None:
    chooser = random.Random(1)
    code = [chooser.randrange(12) for _ in range(400)]
    edited = [*code[:90], 3, 3, 7, *code[95:200], *code[230:]]
    assert rounds(edited, code) <= len(edited) / 17 + 20


def test_probabilities_rise_with_agreement_and_fall_after_a_difference() -> None:
    drafter = Reference()
    drafter.begin(0, Request((1,), reference=tuple(TEXT)))
    drafter.commit(0, TEXT[:50])
    sure = drafter.propose(0, 3)
    assert sure.tokens == tuple(TEXT[50:53])
    assert sure.probabilities[0] > 0.95
    drafter.commit(0, [9999])
    unsure = drafter.propose(0, 3)
    assert unsure.tokens == tuple(TEXT[51:54])
    assert unsure.probabilities[0] < 0.5
    assert list(unsure.probabilities) == sorted(unsure.probabilities)


def test_without_a_reference_nothing_is_drafted() -> None:
    drafter = Reference()
    assert not drafter.begin(0, Request((1, 2)))
    drafter.begin(1, Request((1,), reference=(4, 5)))
    drafter.commit(1, [4, 5])
    assert drafter.propose(1, 8).tokens == ()
    drafter.commit(1, [6, 7, 8])
    assert drafter.propose(1, 8).tokens == ()
    drafter.end(1)
    drafter.end(1)


def test_settings_out_of_range_are_refused() -> None:
    for values in ({"longest": 0}, {"floor": 0.9, "ceiling": 0.5}):
        with pytest.raises(RequestError):
            ReferenceConfig(**values)
