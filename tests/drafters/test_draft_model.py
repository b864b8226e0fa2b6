"""A draft model: greedy drafts in shared passes, from a KV that follows lazily and is never believed blindly."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipstream.core.draft import Draft
from slipstream.core.errors import RequestError
from slipstream.core.ports import Ask, Capabilities
from slipstream.core.request import Request
from slipstream.drafters.bridge import Bridge, Identity
from slipstream.drafters.draft_model import RIDES_ALONG, DraftModel, DraftModelConfig
from slipstream.drafters.mapped_vocabulary import MappedVocabulary
from slipstream.drafters.prompt_lookup import PromptLookup
from slipstream.drafters.translation import Translation
from slipstream.engine.fake import FakeTarget, LogitTable, random_table, scripted_table
from tests.paid import CheckedModel, WordTokenizer

VOCABULARY = 8
TABLE = random_table(3, VOCABULARY)
RECURRENT = Capabilities("checkpoint")
BOUNDED = Capabilities("bounded", rollback=2)


def always(token: int | None, probability: float) -> bool:
    return True


def make(
    table: LogitTable = TABLE,
    *,
    context_length: int = 256,
    batch_size: int = 64,
    capabilities: Capabilities | None = None,
    bridge: Callable[[], Bridge] = Identity,
    ends: frozenset[int] = frozenset(),
    window: int = 0,
) -> tuple[DraftModel, FakeTarget]:
    model = FakeTarget(table, 64, context_length, batch_size=batch_size, capabilities=capabilities or Capabilities())
    return CheckedModel(model, model.clock, bridge=bridge, ends=ends, window=window), model


def begun(prompt: Sequence[int], table: LogitTable = TABLE, context_length: int = 256) -> tuple[DraftModel, FakeTarget]:
    drafter, model = make(table, context_length=context_length)
    assert drafter.begin(0, Request(tuple(prompt)))
    return drafter, model


def draft(drafter: DraftModel, limit: int = 6, after: tuple[int, ...] = (), slot: int = 0) -> Draft:
    return drafter.draft([Ask(slot, limit, always, after)]).drafts[0]


def chain(table: LogitTable, context: Sequence[int], length: int) -> tuple[int, ...]:
    """The likeliest tokens."""
    said: list[int] = []
    while len(said) < length:
        said.append(int(table([*context, *said]).argmax()))
    return tuple(said)


def test_drafts_are_the_likeliest_tokens_with_the_models_own_probabilities() -> None:
    drafter, _ = begun([1, 2, 3])
    found = draft(drafter)
    assert found.tokens == chain(TABLE, [1, 2, 3], 6)
    for index, probability in enumerate(found.probabilities):
        weights = np.exp(TABLE([1, 2, 3, *found.tokens[:index]]))
        assert probability == pytest.approx(float(weights.max() / weights.sum()), rel=1e-5)
    assert (found.source, found.match_length, found.support) == ("draft_model", 0, 0)


def test_what_is_only_supposed_is_not_believed_later() -> None:
    drafter, _ = begun([1, 2])
    for after in ((3, 4), (3, 4), (5, 6)):
        assert draft(drafter, 3, after).tokens == chain(TABLE, [1, 2, *after], 3)


tokens = st.integers(0, VOCABULARY - 1)
runs = st.lists(tokens, max_size=9).map(tuple)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("draft"), st.sampled_from([(), (1, 2), (1, 2, 3), (4, 5, 6)]), st.integers(0, 7)),
        st.tuples(st.just("commit"), runs, st.just(0)),
        st.tuples(st.just("commit what was said"), runs, st.integers(0, 7)),
        st.tuples(st.just("begin"), runs.filter(bool), st.just(0)),
    ),
    max_size=14,
)


@given(
    runs.filter(bool),
    steps,
    st.sampled_from([Capabilities(), RECURRENT, BOUNDED]),
    st.sampled_from([(256, 0), (24, 0), (256, 1), (256, 3), (256, 9)]),
)
def test_whatever_happened_before_drafts_go_on_from_the_context(
    prompt: tuple[int, ...],
    steps: list[tuple[str, tuple[int, ...], int]],
    kind: Capabilities,
    sizes: tuple[int, int],
) -> None:
    """The table looks at two tokens, so that a window of any size shows all that counts."""
    context_length, window = sizes
    drafter, _ = make(capabilities=kind, context_length=context_length, window=window)
    drafter.begin(0, Request(prompt))
    context, said = [*prompt], Draft("none")
    for what, run, number in steps:
        if what == "draft":
            said = draft(drafter, number, run)
            room = max(0, context_length - len(context) - len(run))
            assert said.tokens == chain(TABLE, [*context, *run], min(number, room))
        elif what == "begin":
            drafter.end(0)
            drafter.begin(0, Request(run))
            context = [*run]
        else:
            emitted = run if what == "commit" else (*said.tokens[:number], *run[:1])
            drafter.commit(0, emitted)
            context += emitted
            assert 0 <= drafter.behind(0) < len(context)
            assert not window or drafter.behind(0) <= window


def test_slots_share_passes() -> None:
    drafter, model = make()
    for slot in range(3):
        drafter.begin(slot, Request((slot, slot + 1)))
    made = drafter.draft([Ask(slot, 2 + slot, always) for slot in (2, 0, 1)])
    assert [found.tokens for found in made.drafts] == [chain(TABLE, (slot, slot + 1), 2 + slot) for slot in (2, 0, 1)]
    assert made.steps == len(model.passes) == 4
    assert model.passes == [6, 3, 2, 1]
    assert made.step_ms == pytest.approx(1000 * model.clock.now)


def test_drafting_stops_when_the_policy_has_enough() -> None:
    told: list[tuple[int | None, float]] = []

    def go_on(token: int | None, probability: float) -> bool:
        told.append((token, probability))
        return len(told) < 3

    drafter, model = begun([1, 2, 3])
    made = drafter.draft([Ask(0, 8, go_on)])
    found = made.drafts[0]
    assert len(found) == made.steps == 3
    assert told == list(zip(found.tokens, found.probabilities, strict=True))
    assert model.kv[0] == [1, 2, 3, *found.tokens[:2]], "the last token is fed only if another is wanted"


def test_nothing_is_drafted_behind_an_end() -> None:
    script = (4, 5, 7, 6, 6)
    drafter, _ = make(scripted_table(script, 1, VOCABULARY), ends=frozenset({7}))
    drafter.begin(0, Request((1,)))
    assert draft(drafter, 5).tokens == (4, 5, 7)


def test_it_follows_only_when_it_is_asked() -> None:
    drafter, model = begun(range(3))
    for _ in range(5):
        drafter.commit(0, [1, 2])
    assert not model.passes
    assert drafter.behind(0) == 12
    made = drafter.draft([Ask(0, 2, always)])
    assert (made.caught_up, made.steps) == (12, 2)
    assert model.passes == [12, 1, 1]
    assert made.catch_up_ms + made.step_ms == pytest.approx(1000 * model.clock.now)
    assert min(made.catch_up_ms, made.step_ms) > 0


def test_a_few_missed_tokens_ride_along() -> None:
    drafter, model = begun([1])
    draft(drafter, 1)
    drafter.commit(0, range(RIDES_ALONG - 1))
    made = drafter.draft([Ask(0, 1, always)])
    assert (made.caught_up, made.steps, model.passes[1:]) == (0, 1, [RIDES_ALONG - 1])


def test_long_texts_are_taken_in_by_batches() -> None:
    drafter, model = make(batch_size=16)
    drafter.begin(0, Request((1, 2, 3, 4, 5) * 8))
    made = drafter.draft([Ask(0, 1, always)])
    assert made.caught_up == 39
    assert model.passes == [16, 16, 7, 1]


def test_of_a_long_text_only_the_end_is_taken_in() -> None:
    drafter, model = make(window=12)
    text = (1, 2, 3, 4, 5) * 8
    drafter.begin(0, Request(text))
    assert drafter.behind(0) == 12
    assert drafter.draft([Ask(0, 1, always)]).caught_up == 12
    assert model.kv[0] == list(text[-13:])
    for _ in range(6):
        drafter.commit(0, [1, 2, 3])
        assert drafter.behind(0) == 2
        draft(drafter, 1)
    assert len(model.kv[0]) > 30, "what is there stays"
    drafter.end(0)
    drafter.begin(0, Request(text[-13:]))
    assert drafter.behind(0) == 12, "what begins in mid-text is no prompt's beginning"


def test_a_window_that_began_among_supposed_tokens_is_left_with_them() -> None:
    drafter, _ = make(window=2)
    drafter.begin(0, Request((1, 2, 3)))
    for after in ((4, 5, 6, 7), (), (4, 5, 6, 7), (1,)):
        assert draft(drafter, 3, after).tokens == chain(TABLE, [1, 2, 3, *after], 3)


def test_what_was_drafted_right_is_not_taken_in_again() -> None:
    drafter, _ = begun([1, 2, 3])
    found = draft(drafter, 6)
    drafter.commit(0, [*found.tokens[:4], (found.tokens[4] + 1) % VOCABULARY])
    assert drafter.behind(0) == 0
    assert drafter.draft([Ask(0, 3, always)]).caught_up == 0


def test_a_prompt_that_begins_alike_is_not_taken_in_again() -> None:
    drafter, model = begun([1, 2, 3] * 6)
    draft(drafter, 2)
    drafter.end(0)
    drafter.end(0)
    drafter.begin(0, Request((*[1, 2, 3] * 6, 4, 5)))
    assert drafter.behind(0) <= 2
    drafter.end(0)
    drafter.begin(0, Request((2, 1)))
    assert drafter.behind(0) == 1
    assert draft(drafter, 3).tokens == chain(TABLE, [2, 1], 3)
    assert model.kv[0][:2] == [2, 1]


def test_a_forgotten_prompt_is_taken_in_again() -> None:
    drafter, _ = begun([1, 2, 3] * 6)
    draft(drafter, 2)
    drafter.end(0)
    drafter.forget()
    drafter.begin(0, Request((1, 2, 3) * 6))
    assert drafter.behind(0) == 17
    assert draft(drafter, 3).tokens == chain(TABLE, (1, 2, 3) * 6, 3)


def test_a_context_that_is_full_gives_short_drafts_then_none() -> None:
    drafter, model = begun([1, 2, 3, 4, 5], context_length=8)
    assert len(draft(drafter, 6)) == 3
    drafter.commit(0, [1, 2])
    assert len(draft(drafter, 6)) == 1
    before = len(model.passes)
    drafter.commit(0, [1, 2])
    made = drafter.draft([Ask(0, 6, always)])
    assert (made.drafts, made.steps, made.caught_up) == ((Draft("draft_model"),), 0, 0)
    assert len(model.passes) == before
    drafter.end(0)
    drafter.begin(0, Request((1, 2)))
    assert draft(drafter, 3).tokens == chain(TABLE, [1, 2], 3)


def test_a_slot_without_room_leaves_the_others_theirs() -> None:
    drafter, _ = make(context_length=8)
    for slot, prompt in enumerate(((1,) * 8, (1, 2), (1,) * 9)):
        drafter.begin(slot, Request(prompt))
    made = drafter.draft([Ask(slot, 3, always) for slot in range(3)])
    assert [found.tokens for found in made.drafts] == [(), chain(TABLE, (1, 2), 3), ()]


def test_a_model_that_cannot_go_back_does_not_draft() -> None:
    drafter, _ = make(capabilities=Capabilities("none", reason="it can't"))
    assert not drafter.begin(0, Request((1, 2)))
    drafter.end(0)


LETTERS, PAIRS = WordTokenizer(7), WordTokenizer(7, pairs=True)


def test_a_prompt_without_text_gives_nothing_and_spoils_nothing() -> None:
    """Its context is empty in the draft's vocabulary."""
    drafter, model = make(random_table(1, 57), bridge=lambda: Translation(LETTERS, PAIRS))
    drafter.begin(0, Request((1, 2, 3)))
    draft(drafter, 2)
    drafter.end(0)
    drafter.begin(0, Request((LETTERS.end,)))
    assert drafter.behind(0) == 0
    assert not draft(drafter, 4)
    drafter.commit(0, [4, 5, 6])
    assert drafter.behind(0) == 1
    drafter.draft([Ask(0, 4, always)])
    assert model.kv[0][:2] == PAIRS.encode("efg")


def test_the_policy_is_not_told_tokens_of_another_vocabulary() -> None:
    told: list[int | None] = []

    def go_on(token: int | None, probability: float) -> bool:
        told.append(token)
        return True

    drafter, _ = make(random_table(1, 57), bridge=lambda: Translation(LETTERS, PAIRS))
    drafter.begin(0, Request((1, 2, 3)))
    found = drafter.draft([Ask(0, 3, go_on)]).drafts[0]
    assert set(told) == {None}
    assert 0 < len(found) <= 3
    assert all(token <= LETTERS.end for token in found.tokens)


def test_nothing_is_drafted_behind_a_token_that_cannot_be_translated() -> None:
    to_draft = [0, 1, 2, 3, 4, -1, 6, PAIRS.end]
    to_target = [0, 1, 2, 3, 4, -1, 6, *[-1] * 49, LETTERS.end]
    script = (3, 4, 5, 6, 0, 1)
    drafter, _ = make(
        scripted_table(script, 2, PAIRS.vocabulary_size),
        bridge=lambda: MappedVocabulary(LETTERS, PAIRS, to_draft, to_target),
    )
    drafter.begin(0, Request((1, 2)))
    made = drafter.draft([Ask(0, 6, always)])
    assert (made.drafts[0].tokens, made.steps) == ((3, 4), 3)


# A vertical cascade: a free source speaks first, the model reviews.


@settings(max_examples=40)
@given(st.integers(0, 20), st.lists(tokens, min_size=1, max_size=30), st.integers(1, 12), st.integers(1, 6))
def test_a_reviewed_source_changes_no_draft(seed: int, prompt: list[int], limit: int, review: int) -> None:
    table = random_table(seed, VOCABULARY, order=1)
    alone, _ = make(table)
    reviewing, model = make(table)
    reviewing.inner, reviewing.review = PromptLookup(), review
    request = Request(tuple(prompt))
    for one in (alone, reviewing):
        one.begin(0, request)
    reviewing.inner.begin(0, request)
    for _ in range(3):
        expected, made = draft(alone, limit), reviewing.draft([Ask(0, limit, always)])
        assert made.drafts[0].tokens == expected.tokens
        assert made.drafts[0].probabilities == pytest.approx(expected.probabilities)
        assert made.steps <= len(expected)
        assert len(model.kv[0]) < len(prompt) + limit
        prompt = [*prompt, *expected.tokens[:2], 1]
        for other in (alone, reviewing, reviewing.inner):
            other.commit(0, [*expected.tokens[:2], 1])


def test_a_reviewed_source_that_is_right_saves_passes() -> None:
    script = (1, 2, 3, 4, 5, 6) * 3
    drafter, model = make(scripted_table(script, 12, VOCABULARY))
    drafter.inner = PromptLookup()
    request = Request((1, 2, 3, 4, 5, 6) * 2)
    drafter.begin(0, request)
    drafter.inner.begin(0, request)
    made = drafter.draft([Ask(0, 10, always)])
    assert made.drafts[0].tokens == script[:10]
    assert made.steps < 4
    assert len(model.kv[0]) < 12 + 10


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(RequestError, match="threads"):
        DraftModelConfig(threads=-1)
    with pytest.raises(RequestError, match="context_length"):
        DraftModelConfig(context_length=-5)
