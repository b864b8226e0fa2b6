"""Free sources asked what would follow tokens that aren't emitted yet: `propose(..., after=...)` of every drafter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.core.draft import Draft
from slipstream.core.request import Request
from slipstream.drafters import catalog
from tests.conformance.test_drafters import VOCABULARY, Tokens, begun, commits, every_drafter, prompts, tokens

supposed = st.lists(tokens, min_size=1, max_size=6).map(tuple)
ENDING_WITH_ITS_TEXT = {"prompt_lookup": {"overlap": False}}
"""Settings under which a draft doesn't depend on how the end of its own text is copied: behind supposed tokens, which
are not in the text yet, a copy can't go on through itself."""


@every_drafter
@given(prompts, prompts, commits, supposed, st.integers(0, 12))
def test_a_draft_behind_supposed_tokens_is_one_like_any_other(
    name: str, prompt: Tokens, reference: Tokens, rounds: list[list[int]], after: Tokens, limit: int
) -> None:
    drafter = begun(name, prompt, reference)
    for emitted in [*rounds, []]:
        draft = drafter.propose(0, limit, after)
        assert draft.source == name
        assert len(draft) <= limit
        assert all(0 < probability <= 1 for probability in draft.probabilities)
        assert all(0 <= token < VOCABULARY for token in draft.tokens)
        assert drafter.propose(0, limit, after) == draft
        drafter.commit(0, emitted)


@every_drafter
@given(prompts, prompts, commits, st.lists(supposed, min_size=1, max_size=3), st.booleans())
def test_supposing_tokens_changes_nothing(
    name: str, prompt: Tokens, reference: Tokens, rounds: list[list[int]], runs: list[Tokens], remember: bool
) -> None:
    once, often = (begun(name, prompt, reference, remember=remember) for _ in range(2))
    for drafter in (once, often):  # something to remember
        drafter.commit(0, reference)
        drafter.end(0)
        drafter.begin(0, Request(prompt, reference=reference, remember=remember))
    for emitted in [*rounds, []]:
        for after in runs:
            often.propose(0, 12, after)
        assert often.propose(0, 12) == once.propose(0, 12)
        for after in runs:
            often.propose(0, 12, after)
        for drafter in (once, often):
            drafter.commit(0, emitted)


@every_drafter
@given(prompts, prompts, commits)
def test_supposing_nothing_is_proposing(name: str, prompt: Tokens, reference: Tokens, rounds: list[list[int]]) -> None:
    drafter = begun(name, prompt, reference)
    for emitted in [*rounds, []]:
        assert drafter.propose(0, 12, ()) == drafter.propose(0, 12)
        drafter.commit(0, emitted)


def after_and_committed(
    name: str, prompt: Tokens, reference: Tokens, rounds: list[list[int]], after: Tokens
) -> tuple[Draft, Draft]:
    """The draft behind supposed tokens, and that of a drafter to which they were emitted."""
    found = []
    for supposing in (True, False):
        drafter = catalog.create(name, ENDING_WITH_ITS_TEXT.get(name))
        drafter.begin(0, Request(prompt, reference=reference, remember=False))
        for emitted in rounds:
            drafter.commit(0, emitted)
        if not supposing:
            drafter.commit(0, after)
        found.append(drafter.propose(0, 12, after if supposing else ()))
    return found[0], found[1]


@given(prompts, prompts, commits, supposed)
def test_a_reference_is_followed_through_supposed_tokens_as_through_emitted_ones(
    prompt: Tokens, reference: Tokens, rounds: list[list[int]], after: Tokens
) -> None:
    one, other = after_and_committed("reference", prompt, reference, rounds, after)
    assert one == other


@given(prompts, commits, supposed)
def test_supposed_tokens_lengthen_a_match_and_are_none_themselves(
    prompt: Tokens, rounds: list[list[int]], after: Tokens
) -> None:
    one, other = after_and_committed("prompt_lookup", prompt, (), rounds, after)
    assert one.match_length <= other.match_length
    assert not one or len(other)


@pytest.mark.parametrize("name", ["prompt_lookup", "suffix"])
@given(prompts, commits, supposed)
def test_what_follows_a_match_in_the_text_follows_supposed_tokens_too(
    name: str, prompt: Tokens, rounds: list[list[int]], after: Tokens
) -> None:
    """Emitted tokens are text to copy from themselves; on text where these stand nowhere else, nothing differs but how
    far a copy can go."""
    marks = tuple(VOCABULARY + index for index in range(1 + len(after)))
    text = (*prompt, *marks, *prompt, *after)
    one, other = after_and_committed(name, text, (), rounds, marks)
    assert one.match_length == other.match_length
    assert one.tokens == other.tokens[: len(one)]
    assert one.probabilities == other.probabilities[: len(one)]
    assert one.support == other.support
    assert one, "it stands in the text"
