"""Every drafter of the catalogue: it never changes the output (invariant I1), and its four verbs keep their promises.

A new line in the catalogue is tested here without a line of test.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipstream.control.calibration import Calibration
from slipstream.control.curve import VerifyCost
from slipstream.control.policy import AdaptivePolicy
from slipstream.core.draft import Draft
from slipstream.core.plan import Plan, Snapshot, Wish
from slipstream.core.ports import Drafter, Policy
from slipstream.core.request import Request, Sampling
from slipstream.core.stats import RoundRecord
from slipstream.decode.loop import Loop
from slipstream.decode.slot import Slot
from slipstream.drafters import catalog
from slipstream.engine.fake import FakeTarget, LogitTable, random_table, scripted_table
from tests.support import EagerPolicy, LetterTokenizer

VOCABULARY = 8
END = VOCABULARY - 1
SAMPLINGS = [
    Sampling(),
    Sampling(repeat_penalty=1.2, repeat_last_n=16),
    Sampling(temperature=0.7, seed=7),
    Sampling(temperature=1.2, top_k=4, top_p=0.9, min_p=0.05, seed=11),
    Sampling(temperature=1.0, seed=3, frequency_penalty=0.2, presence_penalty=0.3, logit_bias=((2, 1.5), (5, -3.0))),
]
CURVE = {1: 98.0, 2: 122.0, 4: 139.0, 6: 176.0, 8: 190.0, 12: 220.0, 16: 295.0, 24: 360.0, 32: 424.0, 64: 675.0}

every_drafter = pytest.mark.parametrize("name", catalog.names(free=True))

Tokens = tuple[int, ...]


@dataclass
class Reasoned:
    """The adaptive policy, its plans checked and kept."""

    inner: AdaptivePolicy
    plans: list[Plan] = field(default_factory=list)

    def begin(self, slot: int, request: Request) -> None:
        self.inner.begin(slot, request)

    def wishes(self, snapshot: Snapshot) -> Sequence[Wish]:
        return self.inner.wishes(snapshot)

    def plan(self, snapshot: Snapshot) -> Plan:
        plan = self.inner.plan(snapshot)
        assert plan.reason
        assert [choice.slot for choice in plan.choices] == [view.slot for view in snapshot.slots]
        for choice, view in zip(plan.choices, snapshot.slots, strict=True):
            assert len(choice.draft) <= view.room
            assert not choice.draft or any(one.cut(len(choice.draft)) == choice.draft for one in view.drafts)
        self.plans.append(plan)
        return plan

    def observe(self, record: RoundRecord) -> None:
        self.inner.observe(record)

    def end(self, slot: int) -> None:
        self.inner.end(slot)


def adaptive() -> Reasoned:
    return Reasoned(AdaptivePolicy(VerifyCost({64: dict(CURVE)}), Calibration()))


POLICIES: dict[str, Callable[[], Policy]] = {"eager": EagerPolicy, "adaptive": adaptive}

every_policy = pytest.mark.parametrize("policy", POLICIES)


def make_loop(name: str, table: LogitTable, policy: Policy) -> Loop:
    costs = VerifyCost({64: dict(CURVE)}).costs(0)
    fake = FakeTarget(
        table, VOCABULARY, slots=3, context_length=256, cost=lambda width, depth: costs[min(width, len(costs) - 1)]
    )
    tokenizer = LetterTokenizer(frozenset({END}))
    return Loop(fake, tokenizer, {name: catalog.create(name)}, policy, fake.clock)


def run(loop: Loop, request: Request) -> Slot:
    slot = loop.submit(request)
    while slot.finish is None:
        loop.step()
    return slot


def plain(table: LogitTable, request: Request) -> Slot:
    """What the target says alone."""
    request = replace(request, draft="off")
    fake = FakeTarget(table, VOCABULARY, slots=3, context_length=256)
    return run(Loop(fake, LetterTokenizer(frozenset({END})), {}, EagerPolicy(), fake.clock), request)


def edited(text: Sequence[int], places: Sequence[tuple[int, int]]) -> Tokens:
    """`text` with some tokens replaced, left out or inserted."""
    tokens = list(text)
    for place, token in places:
        at = place % (len(tokens) + 1)
        if place % 3 == 0:
            tokens[at : at + 1] = [token]
        elif place % 3 == 1:
            del tokens[at : at + 2]
        else:
            tokens.insert(at, token)
    return tuple(tokens)


tokens = st.integers(0, END - 1)
prompts = st.lists(tokens, min_size=1, max_size=20).map(tuple)
edits = st.lists(st.tuples(st.integers(0, 40), tokens), min_size=1, max_size=5)
references = st.one_of(st.just("none"), st.just("true"), edits, prompts)
tables = st.builds(random_table, st.integers(0, 40), st.just(VOCABULARY), st.integers(1, 3))
requests = st.builds(
    Request,
    prompts,
    max_tokens=st.integers(1, 48),
    sampling=st.sampled_from(SAMPLINGS),
    remember=st.booleans(),
    ignore_end=st.booleans(),
)


def with_reference(table: LogitTable, request: Request, kind: object) -> Request:
    """The request with no reference, its true continuation, an edited one, or any tokens."""
    if kind == "none":
        return request
    assert isinstance(kind, tuple | list) or kind == "true"
    if isinstance(kind, tuple):
        return replace(request, reference=kind)
    truth = plain(table, request).tokens[len(request.prompt) :]
    return replace(request, reference=tuple(truth) if kind == "true" else edited(truth, kind))  # type: ignore[arg-type]


@every_policy
@every_drafter
@given(tables, requests, references)
def test_the_output_is_the_plain_one(
    name: str, policy: str, table: LogitTable, request: Request, reference: object
) -> None:
    request = with_reference(table, request, reference)
    expected = plain(table, request)
    loop = make_loop(name, table, POLICIES[policy]())
    for _ in range(2):  # the second time with what was remembered and learnt from the first
        slot = run(loop, request)
        assert slot.tokens == expected.tokens
        assert slot.finish == expected.finish


@every_policy
@every_drafter
@settings(max_examples=30)
@given(tables, st.lists(st.tuples(requests, references, st.booleans()), min_size=2, max_size=6))
def test_slots_that_share_passes_do_not_mix(
    name: str, policy: str, table: LogitTable, mix: list[tuple[Request, object, bool]]
) -> None:
    queue = [
        replace(with_reference(table, request, kind), draft=(name,) if drafted else "off")
        for request, kind, drafted in mix
    ]
    loop = make_loop(name, table, POLICIES[policy]())
    slots: list[Slot] = []
    while len(slots) < len(queue) or loop.active:
        while len(slots) < len(queue) and len(loop.active) < loop.target.slots:
            slots.append(loop.submit(queue[len(slots)]))
        loop.step()
    assert [slot.tokens for slot in slots] == [plain(table, request).tokens for request in queue]
    assert all(slot.stats.drafted == 0 for slot, request in zip(slots, queue, strict=True) if request.draft == "off")


@every_policy
@every_drafter
@settings(max_examples=30)
@given(tables, requests, requests, references, st.integers(0, 8))
def test_a_cancelled_request_leaves_the_slot_clean(
    name: str, policy: str, table: LogitTable, first: Request, second: Request, reference: object, chunks: int
) -> None:
    loop = make_loop(name, table, POLICIES[policy]())
    stream = loop.stream(with_reference(table, first, reference))
    for _ in range(chunks):
        next(stream, None)
    stream.close()
    assert not loop.active
    for request in (second, first):
        slot = run(loop, request)
        assert slot.index == 0
        assert slot.tokens == plain(table, request).tokens
        fake = loop.target
        assert isinstance(fake, FakeTarget)
        assert fake.kv[0] == slot.tokens[: slot.computed]


PHRASE = (1, 2, 3, 4, 5, 6, 1, 3, 5, 2, 4, 6)


@every_policy
@every_drafter
def test_scripted_text_is_drafted_and_stays_as_scripted(name: str, policy: str) -> None:
    """Non-vacuity of the tests above: on text that repeats the prompt, every drafter gets tokens right."""
    script = PHRASE * 4
    table = scripted_table(script, len(PHRASE) * 2, VOCABULARY)
    loop = make_loop(name, table, POLICIES[policy]())
    slot = run(loop, Request(PHRASE * 2, max_tokens=len(script), reference=script))
    assert tuple(slot.tokens) == PHRASE * 6
    assert slot.stats.sources[name].accepted > len(script) // 2
    assert slot.stats.rounds < len(script) // 2


# The four verbs.

commits = st.lists(st.lists(tokens, min_size=1, max_size=6), max_size=8)
limits = st.integers(0, 40)


def begun(name: str, prompt: Tokens, reference: Tokens, *, remember: bool = False) -> Drafter:
    """A drafter on a request that gives every source something to draft from."""
    drafter = catalog.create(name)
    assert drafter.begin(0, Request(prompt, reference=reference, remember=remember))
    return drafter


def drafts(drafter: Drafter, slot: int, rounds: Sequence[Sequence[int]], limit: int = 12) -> list[Draft]:
    """The drafts before each round, and after the last."""
    found = [drafter.propose(slot, limit)]
    for emitted in rounds:
        drafter.commit(slot, emitted)
        found.append(drafter.propose(slot, limit))
    return found


@every_drafter
@given(prompts, prompts, commits, limits)
def test_a_draft_is_no_longer_than_asked_and_its_probabilities_are_some(
    name: str, prompt: Tokens, reference: Tokens, rounds: list[list[int]], limit: int
) -> None:
    drafter = begun(name, prompt, reference)
    for draft in drafts(drafter, 0, rounds, limit):
        assert draft.source == name
        assert len(draft) <= limit
        assert all(0 < probability <= 1 for probability in draft.probabilities)
        assert all(0 <= token < VOCABULARY for token in draft.tokens)
        assert draft.match_length >= 0
        assert draft.support >= 0
        assert drafter.propose(0, 0).tokens == ()


@every_drafter
@given(tokens, commits, st.sampled_from([(), (1,), (1, 2, 3)]))
def test_a_prompt_of_one_token_is_enough(name: str, token: int, rounds: list[list[int]], reference: Tokens) -> None:
    drafter = catalog.create(name)
    if drafter.begin(0, Request((token,), reference=reference)):
        assert len(drafts(drafter, 0, rounds)) == len(rounds) + 1
    drafter.end(0)


@every_drafter
@given(prompts, prompts, commits)
def test_a_source_that_says_so_goes_by_a_match_that_grows_with_the_text(
    name: str, prompt: Tokens, reference: Tokens, rounds: list[list[int]]
) -> None:
    drafter = begun(name, prompt, reference)
    if drafter.by_match:
        found = drafts(drafter, 0, rounds)
        for before, emitted, after in zip(found, rounds, found[1:], strict=False):
            # A match of one token may be too short to be told.
            assert after.match_length <= max(1, before.match_length) + len(emitted)


@every_drafter
@given(prompts, prompts, commits, st.lists(limits, max_size=3))
def test_proposing_changes_nothing_and_equal_input_gives_equal_drafts(
    name: str, prompt: Tokens, reference: Tokens, rounds: list[list[int]], others: list[int]
) -> None:
    once, often = begun(name, prompt, reference), begun(name, prompt, reference)
    for emitted in [*rounds, []]:
        first = once.propose(0, 12)
        for limit in others:
            often.propose(0, limit)
        assert often.propose(0, 12) == first
        assert often.propose(0, 12) == first
        if emitted:
            once.commit(0, emitted)
            often.commit(0, emitted)


@every_drafter
@given(prompts, prompts, commits, commits, st.integers(0, 8))
def test_ending_in_mid_request_leaves_nothing_behind(
    name: str, prompt: Tokens, reference: Tokens, lost: list[list[int]], rounds: list[list[int]], after: int
) -> None:
    drafter = begun(name, (*prompt, *reference), prompt)
    drafts(drafter, 0, lost[:after])
    drafter.end(0)
    drafter.end(0)
    drafter.begin(0, Request(prompt, reference=reference, remember=False))
    assert drafts(drafter, 0, rounds) == drafts(begun(name, prompt, reference), 0, rounds)


@every_drafter
@given(prompts, prompts, commits, commits)
def test_ending_twice_is_ending_once(
    name: str, prompt: Tokens, reference: Tokens, first: list[list[int]], rounds: list[list[int]]
) -> None:
    once, twice = (begun(name, prompt, reference, remember=True) for _ in range(2))
    for drafter, ends in ((once, 1), (twice, 3)):
        drafts(drafter, 0, first)
        for _ in range(ends):
            drafter.end(0)
        drafter.begin(0, Request(prompt, reference=reference))
    assert drafts(twice, 0, rounds) == drafts(once, 0, rounds)


@every_drafter
@given(prompts, prompts, commits, commits, st.booleans())
def test_interleaved_slots_do_not_mix(
    name: str, prompt: Tokens, other: Tokens, rounds: list[list[int]], others: list[list[int]], remember: bool
) -> None:
    drafter = begun(name, prompt, other, remember=remember)
    drafter.begin(1, Request(other, reference=prompt, remember=remember))
    found: tuple[list[Draft], list[Draft]] = ([drafter.propose(0, 12)], [drafter.propose(1, 12)])
    for index in range(max(len(rounds), len(others))):
        for slot, texts in ((0, rounds), (1, others)):
            if index < len(texts):
                drafter.commit(slot, texts[index])
                found[slot].append(drafter.propose(slot, 12))
    assert found[0] == drafts(begun(name, prompt, other), 0, rounds)
    assert found[1] == drafts(begun(name, other, prompt), 0, others)
