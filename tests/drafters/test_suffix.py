"""The suffix drafter through its four verbs."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipstream.core.errors import RequestError
from slipstream.core.request import Request
from slipstream.drafters.suffix import PRESETS, Suffix, SuffixConfig

SENTENCE = list(range(100, 140))


def remember(drafter: Suffix, *outputs: list[int], prompt: tuple[int, ...] = (1,)) -> None:
    for output in outputs:
        drafter.begin(0, Request(prompt))
        drafter.commit(0, output)
        drafter.end(0)


def test_drafts_from_its_own_prompt() -> None:
    drafter = Suffix()
    drafter.begin(0, Request((*SENTENCE, 7, 8, *SENTENCE[:5])))
    draft = drafter.propose(0, 6)
    assert draft.tokens == tuple(SENTENCE[5:11])
    assert draft.probabilities == (1.0,) * 6
    assert (draft.match_length, draft.support, draft.source) == (5, 1, "suffix")


def test_drafts_from_earlier_outputs_but_never_from_prompts() -> None:
    drafter = Suffix()
    remember(drafter, SENTENCE, prompt=tuple(range(500, 540)))
    drafter.begin(1, Request((1, 2, 3)))
    drafter.commit(1, SENTENCE[:3])
    assert drafter.propose(1, 4).tokens == tuple(SENTENCE[3:7])
    drafter.begin(1, Request((1, 2, 3)))
    drafter.commit(1, [500, 501, 502])
    assert drafter.propose(1, 4).tokens == ()


def test_the_start_of_an_answer_finds_the_starts_of_earlier_ones() -> None:
    drafter = Suffix()
    remember(drafter, SENTENCE, SENTENCE, [3, 4, 5])
    drafter.begin(0, Request((999,)))
    draft = drafter.propose(0, 2)
    assert draft.tokens == tuple(SENTENCE[:2])
    assert draft.probabilities[0] == pytest.approx(2 / 3)


def test_an_output_is_not_continued_into_the_next_one() -> None:
    drafter = Suffix()
    remember(drafter, SENTENCE, [3, 4, 5])
    drafter.begin(0, Request((1,)))
    drafter.commit(0, SENTENCE[-5:-2])
    assert drafter.propose(0, 10).tokens == tuple(SENTENCE[-2:])


def test_a_private_request_neither_reads_nor_writes_the_memory() -> None:
    drafter = Suffix()
    remember(drafter, SENTENCE)
    drafter.begin(0, Request((1,), remember=False))
    drafter.commit(0, SENTENCE[:3])
    assert drafter.propose(0, 4).tokens == ()
    drafter.commit(0, [9] * 8)
    assert drafter.propose(0, 4).tokens == (9,) * 4  # its own text is its own
    drafter.end(0)
    assert list(drafter.outputs()) == [SENTENCE]


def test_without_outputs_in_the_memory_nothing_is_kept() -> None:
    drafter = Suffix(SuffixConfig(max_outputs=0))
    remember(drafter, SENTENCE)
    assert list(drafter.outputs()) == []
    drafter.begin(0, Request((1,)))
    assert drafter.propose(0, 4).tokens == ()


def test_wipe_forgets() -> None:
    drafter = Suffix()
    remember(drafter, SENTENCE)
    drafter.wipe()
    assert list(drafter.outputs()) == []
    drafter.begin(0, Request((1,)))
    drafter.commit(0, SENTENCE[:3])
    assert drafter.propose(0, 4).tokens == ()


def test_interleaved_slots_do_not_mix() -> None:
    alone, together = Suffix(), Suffix()
    texts = {slot: [random.Random(slot).randrange(6) for _ in range(200)] for slot in (0, 1)}
    drafts: dict[int, list[tuple[int, ...]]] = {0: [], 1: []}
    for slot in texts:
        together.begin(slot, Request(tuple(texts[slot][:20])))
    for place in range(20, 200, 3):
        for slot in texts:
            drafts[slot].append(together.propose(slot, 8).tokens)
            together.commit(slot, texts[slot][place : place + 3])
    for slot in texts:
        alone.begin(slot, Request(tuple(texts[slot][:20]), remember=False))
        for number, place in enumerate(range(20, 200, 3)):
            assert alone.propose(slot, 8).tokens == drafts[slot][number]
            alone.commit(slot, texts[slot][place : place + 3])
        alone.end(slot)


def test_what_was_drafted_but_not_accepted_leaves_no_trace() -> None:
    cold = SuffixConfig(heat=0)  # what was foretold only warms places
    drafted, plain = Suffix(cold), Suffix(cold)
    for drafter in (drafted, plain):
        drafter.begin(0, Request((*SENTENCE, *SENTENCE[:5])))
    assert drafted.propose(0, 8).tokens[:1] == (105,)
    for drafter in (drafted, plain):
        drafter.commit(0, [105, 106, 77, 105])  # two accepted, then another token
    assert drafted.propose(0, 4).tokens == plain.propose(0, 4).tokens == (106, 77, 105, 106)


def test_end_in_mid_request_and_a_slot_begun_twice_leave_no_state() -> None:
    drafter = Suffix()
    drafter.begin(0, Request(tuple(SENTENCE)))
    drafter.propose(0, 4)
    drafter.end(0)
    drafter.end(0)
    drafter.end(99)
    assert drafter._slots == {}
    drafter.begin(0, Request((1,)))
    drafter.commit(0, SENTENCE)
    drafter.begin(0, Request((2,)))  # no end: dropped
    assert drafter.propose(0, 4).tokens == ()
    drafter.end(0)
    assert list(drafter.outputs()) == []
    with pytest.raises(KeyError):
        drafter.propose(0, 4)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 3), max_size=30), min_size=1, max_size=6),
    st.integers(0, 20),
    st.sampled_from([SuffixConfig(), PRESETS["paper"]]),
)
def test_drafts_are_values_within_the_limit_and_repeatable(
    outputs: list[list[int]], limit: int, config: SuffixConfig
) -> None:
    seen = []
    for _ in range(2):
        drafter = Suffix(config)
        for slot, output in enumerate(outputs):
            drafter.begin(slot, Request((0,)))
            for place in range(0, len(output), 4):
                draft = drafter.propose(slot, limit)
                assert len(draft) <= limit
                assert all(token >= 0 for token in draft.tokens)
                assert all(0 < share <= 1 for share in draft.probabilities)
                assert draft.score >= 0
                seen.append(draft)
                drafter.commit(slot, output[place : place + 4])
            drafter.end(slot)
    assert seen[: len(seen) // 2] == seen[len(seen) // 2 :]


def test_periodic_text_is_extrapolated() -> None:
    drafter = Suffix()
    drafter.begin(0, Request((1, 2, 3) * 4))
    assert drafter.propose(0, 128).tokens == ((1, 2, 3) * 43)[:128]


def test_recent_success_warms_its_surroundings() -> None:
    """Twenty answers go on with 50; one, whose text was just copied, with 60: the copied one is followed."""
    odd = [*range(200, 230), 1, 60]
    drafter = Suffix(SuffixConfig(candidates=64))
    remember(drafter, odd, *[[*range(300 + 40 * n, 330 + 40 * n), 1, 50] for n in range(20)])
    drafter.begin(0, Request((9,)))
    for token in odd[:28]:
        drafter.propose(0, 1)
        drafter.commit(0, [token])
    drafter.commit(0, [777, 1])
    assert drafter.propose(0, 1).tokens == (60,)
    cold = Suffix(SuffixConfig(candidates=64, heat=0, bridge=0))
    remember(cold, odd, *[[*range(300 + 40 * n, 330 + 40 * n), 1, 50] for n in range(20)])
    cold.begin(0, Request((9,)))
    cold.commit(0, [*odd[:28], 777, 1])
    assert cold.propose(0, 1).tokens == (50,)


def test_settings_out_of_range_are_refused() -> None:
    for values in ({"depth": 4}, {"decay": 0.0}, {"enough": 13}, {"choice": "best"}, {"min_probability": 2.0}):
        with pytest.raises(RequestError):
            SuffixConfig(**values)
