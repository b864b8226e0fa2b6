"""Drafts as values: scores, cuts, and what several sources join to."""

from itertools import accumulate
from operator import mul

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.core.draft import Draft

probabilities = st.lists(st.floats(0.0, 1.0), max_size=6)
drafts = st.builds(
    lambda source, chances, match, support: Draft(source, tuple(range(len(chances))), tuple(chances), match, support),
    st.sampled_from(["suffix", "reference", "draft_model"]),
    probabilities,
    st.integers(0, 9),
    st.integers(0, 3),
)
several = st.lists(drafts, min_size=1, max_size=4)


def joined(parts: list[Draft]) -> Draft:
    whole = Draft(parts[0].source)
    for part in parts:
        whole = whole.joined(part)
    return whole


def test_tokens_without_probabilities_are_refused() -> None:
    with pytest.raises(ValueError, match="2 tokens with 1 probabilities"):
        Draft("suffix", (1, 2), (0.5,))


@given(several)
def test_a_joined_draft_says_what_its_parts_say_in_order(parts: list[Draft]) -> None:
    whole, said = joined(parts), [part for part in parts if part]
    assert whole.tokens == sum((part.tokens for part in parts), ())
    assert whole.probabilities == sum((part.probabilities for part in parts), ())
    assert whole.score == pytest.approx(sum(accumulate(whole.probabilities, mul)))
    if said:
        assert list(whole.segments) == said
        assert whole.source == "+".join(part.source for part in said)
        assert (whole.match_length, whole.support) == (said[0].match_length, said[0].support)


@given(drafts, drafts, drafts)
def test_joining_is_associative(one: Draft, two: Draft, three: Draft) -> None:
    assert one.joined(two).joined(three).segments == one.joined(two.joined(three)).segments


@given(drafts)
def test_joining_nothing_changes_nothing(draft: Draft) -> None:
    if draft:
        assert draft.joined(Draft("suffix")) == draft
        assert Draft("suffix").joined(draft) == draft
    assert draft.segments == (draft,)
    assert not Draft("suffix").joined(Draft("reference"))


@given(several, st.integers(0, 30))
def test_a_cut_goes_across_parts(parts: list[Draft], length: int) -> None:
    whole = joined(parts)
    cut = whole.cut(length)
    assert cut.tokens == whole.tokens[:length]
    assert cut.probabilities == whole.probabilities[:length]
    assert cut.cut(length) == cut
    left = length
    for part, kept in zip((part for part in parts if part), cut.segments if cut else (), strict=False):
        assert kept == part.cut(left)
        left -= len(part)
    assert sum(map(len, cut.segments)) == len(cut)


@given(several, st.integers(0, 30), st.integers(0, 30))
def test_cuts_compose(parts: list[Draft], long: int, short: int) -> None:
    whole = joined(parts)
    assert whole.cut(max(long, short)).cut(min(long, short)) == whole.cut(min(long, short))


def test_a_draft_cut_to_one_part_is_that_part() -> None:
    model, copied = Draft("draft_model", (1, 2), (0.9, 0.8)), Draft("suffix", (3, 4), (1.0, 1.0), 5, 2)
    whole = model.joined(copied)
    assert whole.source == "draft_model+suffix"
    assert whole.cut(2) == model
    assert whole.cut(3).segments == (model, copied.cut(1))
    assert whole.cut(9) is whole
    assert not whole.cut(0)
