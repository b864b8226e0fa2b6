"""Invariant I1 on the fake target: whatever is drafted, the output is that of plain decoding, token for token."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.core.errors import ContextOverflow, RequestError, UnknownName
from slipstream.core.ports import Capabilities
from slipstream.core.request import Request, Sampling
from slipstream.decode.loop import Loop
from slipstream.decode.slot import Slot
from slipstream.engine.fake import FakeTarget, random_table
from tests.support import EagerPolicy, GuessingDrafter, LetterTokenizer

VOCABULARY = 8
SAMPLINGS = [
    Sampling(),
    Sampling(repeat_penalty=1.3, repeat_last_n=16),
    Sampling(temperature=0.8, seed=7),
    Sampling(temperature=1.5, top_k=4, top_p=0.9, min_p=0.05, seed=11, presence_penalty=0.5),
    Sampling(temperature=1.0, seed=3, frequency_penalty=0.4, logit_bias=((2, 1.5), (5, -3.0))),
]


def make_loop(table_seed: int = 0, guess_seed: int = 0, padding: int = 0, **target: object) -> Loop:
    options = {"slots": 3, "context_length": 256, "batch_size": 64} | target
    fake = FakeTarget(random_table(table_seed, VOCABULARY), VOCABULARY, **options)  # type: ignore[arg-type]
    drafter = GuessingDrafter(VOCABULARY, guess_seed)
    tokenizer = LetterTokenizer(frozenset({VOCABULARY - 1}))
    return Loop(fake, tokenizer, {"guess": drafter}, EagerPolicy(padding), fake.clock)


def run(loop: Loop, request: Request) -> Slot:
    slot = loop.submit(request)
    while slot.finish is None:
        loop.step()
    return slot


prompts = st.lists(st.integers(0, VOCABULARY - 2), min_size=1, max_size=12).map(tuple)


@given(
    prompts, st.sampled_from(SAMPLINGS), st.integers(0, 50), st.integers(0, 50), st.integers(1, 40), st.integers(0, 3)
)
def test_drafts_never_change_the_output(
    prompt: tuple[int, ...], sampling: Sampling, table: int, guess: int, length: int, padding: int
) -> None:
    request = Request(prompt, max_tokens=length, sampling=sampling)
    plain = run(make_loop(table), replace(request, draft="off"))
    drafted = run(make_loop(table, guess, padding), request)
    assert drafted.tokens == plain.tokens
    assert drafted.finish == plain.finish


@given(
    st.lists(st.tuples(prompts, st.sampled_from(SAMPLINGS), st.integers(1, 30)), min_size=2, max_size=6),
    st.integers(0, 9),
)
def test_slots_that_share_passes_do_not_mix(mix: list[tuple[tuple[int, ...], Sampling, int]], seed: int) -> None:
    loop = make_loop(seed, seed)
    queue = [Request(prompt, max_tokens=length, sampling=sampling) for prompt, sampling, length in mix]
    alone = [run(make_loop(seed), replace(request, draft="off")).tokens for request in queue]
    slots: list[Slot] = []
    while len(slots) < len(queue) or loop.active:
        while len(slots) < len(queue) and len(loop.active) < loop.target.slots:
            slots.append(loop.submit(queue[len(slots)]))
        loop.step()
    assert [slot.tokens for slot in slots] == alone


@given(prompts, st.integers(0, 20), st.integers(0, 12))
def test_kv_is_clean_after_a_cancelled_stream(prompt: tuple[int, ...], seed: int, rounds: int) -> None:
    loop = make_loop(seed, seed)
    request = Request(prompt, max_tokens=60)
    stream = loop.stream(request)
    for _ in range(rounds):
        next(stream, None)
    stream.close()
    assert not loop.active
    assert not loop.drafters["guess"].open_slots  # type: ignore[attr-defined]
    again = run(loop, request)
    assert again.tokens == run(make_loop(seed), replace(request, draft="off")).tokens
    fake = loop.target
    assert isinstance(fake, FakeTarget)
    assert fake.kv[again.index] == again.tokens[: len(fake.kv[again.index])]


def test_a_second_turn_reuses_the_first_ones_kv() -> None:
    loop = make_loop(4)
    first = run(loop, Request((1, 2, 3, 4), max_tokens=10))
    second = run(loop, Request((*first.tokens, 5, 6), max_tokens=5))
    assert second.stats.reused_tokens == first.computed
    assert second.tokens == run(make_loop(4), Request((*first.tokens, 5, 6), max_tokens=5, draft="off")).tokens


def test_every_end_token_ends_and_is_not_shown() -> None:
    loop = make_loop(1)
    bias = Sampling(logit_bias=((VOCABULARY - 1, 100.0),))
    chunks = list(loop.stream(Request((1, 2), sampling=bias)))
    assert [chunk.finish for chunk in chunks] == ["stop"]
    assert chunks[0].text == ""
    assert run(loop, Request((1, 2), sampling=bias, ignore_end=True, max_tokens=9)).finish == "length"


def test_stop_string_across_tokens_ends_the_stream_before_it() -> None:
    plain = "".join(
        chunk.text for chunk in make_loop(3).stream(Request((1,), max_tokens=30, ignore_end=True, draft="off"))
    )
    stop = plain[6:9]
    text = "".join(
        chunk.text for chunk in make_loop(3, 5).stream(Request((1,), max_tokens=30, ignore_end=True, stop=(stop,)))
    )
    assert text == plain.split(stop)[0]


def test_a_draft_that_runs_past_a_stop_string_emits_no_more_than_plain_decoding() -> None:
    plain = "".join(
        chunk.text for chunk in make_loop(3).stream(Request((1,), max_tokens=30, ignore_end=True, draft="off"))
    )
    request = Request((1,), max_tokens=30, ignore_end=True, stop=(plain[6:9],))
    expected = run(make_loop(3), replace(request, draft="off")).tokens
    assert len(expected) < 31
    for guess in range(30):
        assert run(make_loop(3, guess), request).tokens == expected


def test_context_exhaustion_has_its_own_name() -> None:
    loop = make_loop(2, context_length=20)
    slot = run(loop, Request((1, 2, 3), max_tokens=200, ignore_end=True))
    assert slot.finish == "context"
    assert len(slot.tokens) == 21
    assert (
        slot.tokens
        == run(make_loop(2, context_length=20), Request((1, 2, 3), max_tokens=200, ignore_end=True, draft="off")).tokens
    )


def test_bad_requests_are_refused_before_anything_runs() -> None:
    loop = make_loop(context_length=20)
    with pytest.raises(ContextOverflow, match="21 tokens"):
        loop.submit(Request((1,) * 21))
    with pytest.raises(UnknownName, match="did you mean 'guess'"):
        loop.submit(Request((1,), draft=("gues",)))
    for _ in range(3):
        loop.submit(Request((1,)))
    with pytest.raises(RequestError, match="slots are busy"):
        loop.submit(Request((1,)))


def test_a_target_that_cannot_go_back_gets_no_drafts() -> None:
    loop = make_loop(5, capabilities=Capabilities(rewind="none"))
    slot = run(loop, Request((1, 2, 3), max_tokens=12))
    assert slot.stats.draft_rounds == 0
    assert slot.tokens == run(make_loop(5), Request((1, 2, 3), max_tokens=12, draft="off")).tokens


def test_drafters_hear_of_every_emitted_token_once() -> None:
    loop = make_loop(6, 2)
    slot = run(loop, Request((1, 2), max_tokens=25))
    drafter = loop.drafters["guess"]
    assert isinstance(drafter, GuessingDrafter)
    assert drafter.committed[slot.index] == slot.tokens[2:]


def test_published_lengths_count_the_bonus_token() -> None:
    loop = make_loop(6, 2)
    slot = run(loop, Request((1, 2), max_tokens=25))
    stats = slot.stats
    assert stats.tokens == slot.generated
    assert stats.tokens_per_round == stats.tokens / stats.rounds
    assert stats.accepted == stats.sources["guess"].accepted
    assert stats.tokens == stats.rounds + stats.accepted
    assert 0 < stats.accepted <= stats.drafted
    assert stats.target_ms == pytest.approx(stats.decode_ms)


def test_streams_driven_in_turn_lose_nothing_of_each_other() -> None:
    loop = make_loop(7, 3)
    requests = [Request((1, 2), max_tokens=20), Request((3, 4, 5), max_tokens=9)]
    alone = [run(make_loop(7), replace(request, draft="off")).tokens for request in requests]
    streams = [loop.drive(loop.submit(request)) for request in requests]
    tokens: list[list[int]] = [[], []]
    while any(streams):
        for stream, found in zip(streams, tokens, strict=True):
            chunk = next(stream, None)
            if chunk:
                found.extend(chunk.tokens)
        if not loop.active:
            for stream, found in zip(streams, tokens, strict=True):
                found.extend(token for chunk in stream for token in chunk.tokens)
            break
    assert [list(request.prompt) + found for request, found in zip(requests, tokens, strict=True)] == alone
