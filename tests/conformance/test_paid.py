"""Every paid source of the catalogue: it never changes the output (invariant I1), however wrong, short-sighted or
forgetful its model is.

A new line in the catalogue needs a builder here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipstream.control.calibration import Calibration
from slipstream.control.curve import VerifyCost
from slipstream.control.policy import AdaptivePolicy
from slipstream.core.ports import Capabilities, Drafter, PaidDrafter, Policy
from slipstream.core.request import Request
from slipstream.decode.loop import Loop
from slipstream.decode.slot import Slot
from slipstream.drafters import catalog
from slipstream.drafters.bridge import Bridge, Identity
from slipstream.drafters.cascade import Cascade, CascadeConfig
from slipstream.drafters.mapped_vocabulary import MappedVocabulary
from slipstream.drafters.native_head import NativeHead
from slipstream.drafters.suffix import Suffix
from slipstream.drafters.translation import Translation
from slipstream.engine.fake import FakeClock, FakeTarget, LogitTable, random_table, scripted_table
from tests.conformance.test_drafters import END, PHRASE, SAMPLINGS, VOCABULARY, Reasoned, plain, run
from tests.paid import (
    DRAFT_CURVE,
    TARGET_CURVE,
    CheckedModel,
    FakeHead,
    WordTokenizer,
    cost_of,
    partly,
    price,
    rolled,
    spelled,
)
from tests.support import EagerPolicy

LETTERS = WordTokenizer(END)
PAIRS = WordTokenizer(END, pairs=True)
UNMAPPED = 5
"""A letter that the mapped vocabulary has no counterpart for."""
FULL = Capabilities()
RECURRENT = Capabilities("checkpoint", reason="recurrent")
BOUNDED = Capabilities("bounded", rollback=3)
KINDS = (FULL, RECURRENT, BOUNDED)
SLOTS = 3


@dataclass
class World:
    """What a source is built on: `table` is what its model knows of the target's words. `models` are those built."""

    target: FakeTarget
    table: LogitTable
    context_length: int = 256
    capabilities: Capabilities = FULL
    window: int = 0
    models: list[CheckedModel] = field(default_factory=list)

    def model(self, name: str, table: LogitTable, size: int, bridge: Callable[[], Bridge] = Identity) -> CheckedModel:
        fake = FakeTarget(
            table, size, self.context_length, SLOTS, 32, cost_of(DRAFT_CURVE), self.target.clock, self.capabilities
        )
        ends = frozenset({size - 1})
        self.models.append(CheckedModel(fake, self.target.clock, name, bridge, ends, window=self.window))
        return self.models[-1]


def head(world: World) -> NativeHead:
    return NativeHead(None, FakeHead(world.target, world.table, world.target.clock), world.target.clock)


def same_words(world: World) -> CheckedModel:
    return world.model("draft_model", world.table, VOCABULARY)


def mapped(world: World) -> CheckedModel:
    to_draft = [-1 if token == UNMAPPED else token for token in range(END)] + [PAIRS.end]
    to_target = [-1] * PAIRS.vocabulary_size
    for token, other in enumerate(to_draft):
        if other >= 0:
            to_target[other] = token
    table = spelled(world.table, LETTERS, PAIRS, 1)
    bridge = lambda: MappedVocabulary(LETTERS, PAIRS, to_draft, to_target)  # noqa: E731
    return world.model("draft_model", table, PAIRS.vocabulary_size, bridge)


def translated(world: World) -> CheckedModel:
    table = spelled(world.table, LETTERS, PAIRS, 2)
    return world.model("draft_model", table, PAIRS.vocabulary_size, lambda: Translation(LETTERS, PAIRS))


def self_draft(world: World) -> CheckedModel:
    return world.model("self_draft", world.table, VOCABULARY)


def cascade(world: World) -> Cascade:
    levels = [
        world.model("good", world.table, VOCABULARY),
        world.model("poor", partly(world.table, 3), VOCABULARY),
    ]
    costs = VerifyCost({64: dict(TARGET_CURVE)}).costs(0)
    config = CascadeConfig(("good", "poor"), (0.8, 0.5))
    return Cascade(config, levels, [0.1, 0.03], costs, Suffix(), world.target.clock)


BUILDERS: Mapping[str, tuple[str, Callable[[World], PaidDrafter]]] = {
    "native head": ("native_head", head),
    "draft model": ("draft_model", same_words),
    "draft model of a mapped vocabulary": ("draft_model", mapped),
    "draft model of another vocabulary": ("draft_model", translated),
    "self-draft": ("self_draft", self_draft),
    "cascade": ("cascade", cascade),
}
every_source = pytest.mark.parametrize("kind", BUILDERS)


def adaptive(name: str) -> Policy:
    prices = {name: price()}
    return Reasoned(AdaptivePolicy(VerifyCost({64: dict(TARGET_CURVE)}), Calibration(), prices=prices))


POLICIES: Mapping[str, Callable[[str], Policy]] = {"eager": lambda name: EagerPolicy(), "adaptive": adaptive}
every_policy = pytest.mark.parametrize("policy", POLICIES)


@dataclass(frozen=True)
class Circumstances:
    """`mind` makes the drafting model's table from the target's; `context_length` and `window` are the model's."""

    table: LogitTable
    mind: Callable[[LogitTable], LogitTable] = lambda table: table
    context_length: int = 256
    target: Capabilities = FULL
    model: Capabilities = FULL
    window: int = 0
    suffix: bool = True


def make_loop(kind: str, policy: str, given: Circumstances) -> tuple[Loop, World]:
    clock = FakeClock()
    target = FakeTarget(given.table, VOCABULARY, 256, SLOTS, 512, cost_of(TARGET_CURVE), clock, given.target)
    world = World(target, given.mind(given.table), given.context_length, given.model, given.window)
    name, build = BUILDERS[kind]
    free: dict[str, Drafter] = {"suffix": Suffix()} if given.suffix else {}
    loop = Loop(target, LETTERS, free, POLICIES[policy](name), clock, paid={name: build(world)})
    return loop, world


tokens = st.integers(0, END - 1)
prompts = st.lists(st.integers(0, END), min_size=1, max_size=20).map(tuple)
tables = st.builds(random_table, st.integers(0, 40), st.just(VOCABULARY), st.integers(1, 3))
minds: st.SearchStrategy[Callable[[LogitTable], LogitTable]] = st.one_of(
    st.just(lambda table: table),
    st.just(rolled),
    st.integers(1, 4).map(lambda share: lambda table: partly(table, share)),
    tables.map(lambda other: lambda table: other),
)
circumstances = st.builds(
    Circumstances,
    tables,
    minds,
    st.sampled_from([256, 256, 24, 8, 2]),
    st.sampled_from(KINDS),
    st.sampled_from(KINDS),
    st.sampled_from([0, 0, 256, 5, 1]),
    st.booleans(),
)
requests = st.builds(
    Request,
    prompts,
    max_tokens=st.integers(1, 40),
    sampling=st.sampled_from(SAMPLINGS),
    remember=st.booleans(),
    ignore_end=st.booleans(),
)


@pytest.mark.parametrize("name", catalog.names(free=False))
def test_every_paid_source_has_a_builder(name: str) -> None:
    made = [build for source, build in BUILDERS.values() if source == name]
    assert made, f"give {name} a builder in BUILDERS"
    for build in made:
        drafter = build(World(FakeTarget(random_table(0, VOCABULARY), VOCABULARY), random_table(0, VOCABULARY)))
        assert drafter.name == name
        assert isinstance(drafter, catalog.entry(name).load(catalog.entry(name).path))


@every_policy
@every_source
@settings(max_examples=60)
@given(circumstances, requests)
def test_the_output_is_the_plain_one(kind: str, policy: str, given: Circumstances, request: Request) -> None:
    expected = plain(given.table, request)
    loop, _ = make_loop(kind, policy, given)
    for _ in range(2):  # the second time with what was left in KV and learnt from the first
        slot = run(loop, request)
        assert slot.tokens == expected.tokens
        assert slot.finish == expected.finish


@every_policy
@every_source
@settings(max_examples=25)
@given(circumstances, st.lists(st.tuples(requests, st.booleans()), min_size=3, max_size=6))
def test_slots_that_share_passes_do_not_mix(
    kind: str, policy: str, given: Circumstances, mix: list[tuple[Request, bool]]
) -> None:
    loop, _ = make_loop(kind, policy, given)
    queue = [replace(request, draft="off") if off else request for request, off in mix]
    slots: list[Slot] = []
    while len(slots) < len(queue) or loop.active:
        while len(slots) < len(queue) and len(loop.active) < SLOTS:
            slots.append(loop.submit(queue[len(slots)]))
        loop.step()
    assert [slot.tokens for slot in slots] == [plain(given.table, request).tokens for request in queue]
    assert all(slot.stats.drafted == 0 for slot, request in zip(slots, queue, strict=True) if request.draft == "off")


@every_policy
@every_source
@settings(max_examples=25)
@given(circumstances, requests, requests, st.integers(0, 8))
def test_a_cancelled_request_leaves_the_slot_clean(
    kind: str, policy: str, given: Circumstances, first: Request, second: Request, chunks: int
) -> None:
    loop, _ = make_loop(kind, policy, given)
    stream = loop.stream(first)
    for _ in range(chunks):
        next(stream, None)
    stream.close()
    assert not loop.active
    for request in (second, first):
        slot = run(loop, request)
        assert slot.index == 0
        assert slot.tokens == plain(given.table, request).tokens
        fake = loop.target
        assert isinstance(fake, FakeTarget)
        assert fake.kv[0] == slot.tokens[: slot.computed]


TEXT = tuple((index * index + index // 7) % END for index in range(60))
"""Words that hardly repeat, so that a free source has little to say."""


@every_policy
@every_source
@pytest.mark.parametrize("recurrent", [False, True])
def test_a_source_that_knows_the_text_gets_it_right(kind: str, policy: str, recurrent: bool) -> None:
    """Non-vacuity of the tests above."""
    given = Circumstances(
        scripted_table(TEXT, 4, VOCABULARY), model=RECURRENT if recurrent else FULL, target=BOUNDED, suffix=False
    )
    loop, world = make_loop(kind, policy, given)
    slot = run(loop, Request((1, 2, 3, 4), max_tokens=len(TEXT)))
    assert tuple(slot.tokens[4:]) == TEXT
    assert slot.stats.sources[BUILDERS[kind][0]].accepted > len(TEXT) // 3
    assert slot.stats.rounds < len(TEXT) // 2
    assert slot.stats.paid_ms > 0
    assert all(model.checks for model in world.models[:1])


@every_source
def test_a_free_source_continues_a_paid_draft(kind: str) -> None:
    script = PHRASE * 4
    loop, _ = make_loop(kind, "eager", Circumstances(scripted_table(script, len(PHRASE) * 2, VOCABULARY)))
    slot = run(loop, Request(PHRASE * 2, max_tokens=len(script)))
    assert tuple(slot.tokens) == PHRASE * 6
    # Of the first eight tokens the paid source has made the draft, of what follows the free one.
    assert slot.stats.sources["suffix"].accepted > 8
    assert slot.stats.sources[BUILDERS[kind][0]].accepted > 0


@every_source
def test_a_model_that_cannot_go_back_is_left_out(kind: str) -> None:
    stuck = Circumstances(random_table(1, VOCABULARY), model=Capabilities("none", reason="it can't"))
    loop, world = make_loop(kind, "eager", stuck)
    request = Request((1, 2, 3), max_tokens=30)
    slot = run(loop, request)
    assert slot.tokens == plain(stuck.table, request).tokens
    assert (slot.stats.paid_ms == 0) == bool(world.models)
    assert all(not model.checks for model in world.models)


@every_source
def test_requests_that_do_not_ask_for_it_cost_no_pass_of_it(kind: str) -> None:
    loop, world = make_loop(kind, "eager", Circumstances(random_table(2, VOCABULARY)))
    assert run(loop, Request((1, 2, 3), max_tokens=20, draft=("suffix",))).stats.paid_ms == 0
    fakes = [model.model for model in world.models]
    assert all(isinstance(fake, FakeTarget) and not fake.passes for fake in fakes)


def milliseconds(kind: str, mind: Callable[[LogitTable], LogitTable], prompt: int, free: bool, draft: bool) -> float:
    """A generation of 400 tokens under the adaptive policy, prefill apart."""
    table = scripted_table(TEXT * 7, prompt, VOCABULARY)
    loop, _ = make_loop(kind, "adaptive", Circumstances(table, mind, context_length=2048, suffix=free))
    assert isinstance(loop.target, FakeTarget)
    loop.target.context_length = loop.context_length = 2048
    request = Request((*TEXT[::-1] * 20,)[:prompt], max_tokens=400, draft="auto" if draft else "off")
    slot = run(loop, request)
    assert slot.stats.tokens == 400
    return slot.stats.decode_ms


@every_source
@pytest.mark.parametrize("prompt", [4, 1000])
@pytest.mark.parametrize("free", [False, True])
def test_a_source_that_is_never_right_makes_it_hardly_slower(kind: str, prompt: int, free: bool) -> None:
    plainly = milliseconds(kind, rolled, prompt, free, False)
    assert milliseconds(kind, rolled, prompt, free, True) < 1.05 * plainly


@every_source
@pytest.mark.parametrize("prompt", [4, 200])
def test_a_source_that_is_always_right_makes_it_faster(kind: str, prompt: int) -> None:
    plainly = milliseconds(kind, lambda table: table, prompt, False, False)
    assert milliseconds(kind, lambda table: table, prompt, False, True) < 0.6 * plainly
