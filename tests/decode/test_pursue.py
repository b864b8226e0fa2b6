"""Paid drafts on their way: shared passes, what the policy is told after each token, and free continuations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from slipstream.core.draft import Draft
from slipstream.core.plan import SlotView, Snapshot, Wish
from slipstream.core.ports import Ask, Drafted, Drafter
from slipstream.core.request import Request, Sampling
from slipstream.core.stats import Paid
from slipstream.decode.pursue import pursue
from slipstream.decode.slot import Slot
from slipstream.decode.text import TextStream
from slipstream.engine.fake import FakeTarget, random_table
from tests.support import LetterTokenizer


@dataclass
class Counting:
    """A paid source that says 1, 2, 3 and so on; None where `foreign`. Keeps what it was asked."""

    name: str = "counting"
    foreign: bool = False
    silent: frozenset[int] = frozenset()
    calls: list[list[Ask]] = field(default_factory=list)

    def begin(self, slot: int, request: Request) -> bool:
        return True

    def behind(self, slot: int) -> int:
        return 0

    def draft(self, asks: Sequence[Ask]) -> Drafted:
        self.calls.append(list(asks))
        drafts = []
        for ask in asks:
            length = 0
            while length < ask.limit and ask.slot not in self.silent:
                length += 1
                if not ask.go_on(None if self.foreign else length, 0.9):
                    break
            drafts.append(Draft(self.name, tuple(range(1, length + 1)), (0.9,) * length))
        return Drafted(tuple(drafts), 4, 8.0, 3, 1.5)

    def commit(self, slot: int, tokens: Sequence[int]) -> None: ...

    def end(self, slot: int) -> None: ...

    def forget(self) -> None: ...


@dataclass
class Free:
    """A free source that knows what follows some words."""

    name: str
    known: dict[tuple[int, ...], tuple[int, ...]]
    probability: float = 0.8
    by_match: bool = True

    def begin(self, slot: int, request: Request) -> bool:
        return True

    def propose(self, slot: int, limit: int, after: Sequence[int] = ()) -> Draft:
        found = self.known.get(tuple(after), ())[:limit]
        return Draft(self.name, found, (self.probability,) * len(found), 3, 1)

    def commit(self, slot: int, tokens: Sequence[int]) -> None: ...

    def end(self, slot: int) -> None: ...


def make_slots(*drafters: Drafter, count: int = 2) -> dict[int, Slot]:
    request, target = Request((1,)), FakeTarget(random_table(0, 8), 8)
    sampler = target.sampler(0, Sampling(), (1,))
    return {
        index: Slot(index, request, LetterTokenizer(), sampler, drafters, (), TextStream(()), [1])
        for index in range(count)
    }


def snapshot(*rooms: int) -> Snapshot:
    return Snapshot(tuple(SlotView(slot, 1, room) for slot, room in enumerate(rooms)))


def until(length: int, told: list[tuple[float, Draft]] | None = None) -> Callable[[float, Draft], bool]:
    """A rule that wants so many tokens, and what it was told."""
    told = [] if told is None else told

    def going(probability: float, follow: Draft) -> bool:
        told.append((probability, follow))
        return len(told) < length

    return going


def test_wishes_of_several_slots_to_one_source_are_one_call() -> None:
    one, other = Counting("one"), Counting("other")
    wishes = [Wish(0, "one", 5, until(2)), Wish(1, "other", 5, until(1)), Wish(1, "one", 3, until(9))]
    drafts, paid = pursue(wishes, snapshot(9, 9), make_slots(), {"one": one, "other": other})
    assert [[ask.slot for ask in call] for call in one.calls] == [[0, 1]]
    assert [ask.limit for ask in one.calls[0]] == [5, 3]
    assert [[ask.slot for ask in call] for call in other.calls] == [[1]]
    assert [draft.tokens for draft in drafts[0]] == [(1, 2)]
    assert {draft.source: draft.tokens for draft in drafts[1]} == {"one": (1, 2, 3), "other": (1,)}
    assert paid == (Paid("one", (0, 1), 4, 8.0, 3, 1.5), Paid("other", (1,), 4, 8.0, 3, 1.5))


def test_a_source_with_nothing_to_say_is_paid_all_the_same() -> None:
    drafts, paid = pursue(
        [Wish(0, "counting", 5, until(2)), Wish(1, "counting", 5, until(2))],
        snapshot(9, 9),
        make_slots(),
        {"counting": Counting(silent=frozenset({0}))},
    )
    assert set(drafts) == {1}
    assert paid[0].slots == (0, 1)


def test_the_free_source_that_expects_most_continues() -> None:
    short, long = Free("short", {(1, 2): (7, 7)}, 0.9), Free("long", {(1, 2): (5, 5, 5, 5), (1,): (4,)})
    for order in ((short, long), (long, short)):
        drafts, _ = pursue(
            [Wish(0, "counting", 5, until(2))], snapshot(9), make_slots(*order), {"counting": Counting()}
        )
        assert [draft.tokens for draft in drafts[0]] == [(1, 2, 5, 5, 5, 5)]
        assert [part.source for part in drafts[0][0].segments] == ["counting", "long"]
    unsure = Free("long", {(1, 2): (5, 5, 5, 5)}, 0.3)
    drafts, _ = pursue(
        [Wish(0, "counting", 5, until(2))], snapshot(9), make_slots(short, unsure), {"counting": Counting()}
    )
    assert drafts[0][0].source == "counting+short"


def test_a_continuation_keeps_to_the_room() -> None:
    free = Free("free", {(1, 2): (5,) * 20, (1, 2, 3): (6,) * 20})
    for room, length, tokens in ((4, 2, (1, 2, 5, 5)), (3, 3, (1, 2, 3)), (2, 2, (1, 2))):
        drafts, _ = pursue(
            [Wish(0, "counting", length, until(length))], snapshot(room), make_slots(free), {"counting": Counting()}
        )
        assert drafts[0][0].tokens == tokens


def test_the_policy_is_told_what_would_follow_each_token() -> None:
    told: list[tuple[float, Draft]] = []
    free = Free("free", {(1,): (8,), (1, 2, 3): (9, 9)})
    pursue([Wish(0, "counting", 9, until(3, told))], snapshot(5), make_slots(free), {"counting": Counting()})
    assert [probability for probability, _ in told] == [0.9] * 3
    assert [follow.tokens for _, follow in told] == [(8,), (), (9, 9)]


def test_where_a_token_has_no_place_in_the_vocabulary_nothing_follows() -> None:
    told: list[tuple[float, Draft]] = []
    free = Free("free", {(): (8,), (1,): (8,)})
    source = Counting(foreign=True)
    pursue([Wish(0, "counting", 9, until(2, told))], snapshot(9), make_slots(free), {"counting": source})
    assert [follow.tokens for _, follow in told] == [(), ()]


def test_slots_are_told_apart() -> None:
    """Two slots draft in the same passes; each rule sees its own tokens."""
    told: tuple[list[tuple[float, Draft]], list[tuple[float, Draft]]] = ([], [])
    free = Free("free", {(1,): (8,), (1, 2): (9,)})
    drafts, _ = pursue(
        [Wish(slot, "counting", 9, until(1 + slot, told[slot])) for slot in range(2)],
        snapshot(9, 9),
        make_slots(free),
        {"counting": Counting()},
    )
    assert [follow.tokens for _, follow in told[0]] == [(8,)]
    assert [follow.tokens for _, follow in told[1]] == [(8,), (9,)]
    assert (drafts[0][0].tokens, drafts[1][0].tokens) == ((1, 8), (1, 2, 9))
