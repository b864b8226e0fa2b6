"""A model's own head: what it is asked, and how its time is shared out between reading and drafting."""

from collections.abc import Callable

import pytest

from slipstream.core.ports import Ask, Feed
from slipstream.core.request import Request
from slipstream.drafters.native_head import RIDES_ALONG, NativeHead, NativeHeadConfig
from slipstream.engine.fake import FakeTarget, random_table
from tests.paid import FakeHead

TABLE = random_table(5, 8)
STEP_MS, READ_MS = 5.0, 2.0


def until(length: int) -> Callable[[int | None, float], bool]:
    told: list[int | None] = []

    def go_on(token: int | None, probability: float) -> bool:
        told.append(token)
        return len(told) < length

    return go_on


def make(prompt: tuple[int, ...], config: NativeHeadConfig | None = None) -> tuple[NativeHead, FakeHead]:
    """The target holds all of the prompt but its last token."""
    target = FakeTarget(TABLE, 8, cost=lambda width, depth: 0.0)
    head = FakeHead(target, TABLE, step_ms=STEP_MS, read_ms=READ_MS)
    drafter = NativeHead(config, head, target.clock)
    assert drafter.begin(0, Request(prompt))
    hold(head, 0, prompt[:-1])
    return drafter, head


def hold(head: FakeHead, slot: int, tokens: tuple[int, ...]) -> None:
    if tokens:
        head.target.decode([Feed(slot, len(head.target.kv[slot]), tokens, 0)])


def test_it_goes_on_from_the_last_token() -> None:
    drafter, head = make((1, 2, 3))
    first = drafter.draft([Ask(0, 4, until(9))]).drafts[0]
    assert (first.source, len(first), first.support) == ("native_head", 4, 0)
    hold(head, 0, (3, *first.tokens[:1]))
    drafter.commit(0, (first.tokens[0], 6))
    drafter.commit(0, ())
    drafter.draft([Ask(0, 4, until(9))])
    assert head.contexts == [[1, 2, 3], [1, 2, 3, first.tokens[0], 6]]


def test_drafts_are_no_longer_than_heads_are_good_for() -> None:
    drafter, _ = make((1, 2, 3), NativeHeadConfig(longest=2))
    assert len(drafter.draft([Ask(0, 9, until(9))]).drafts[0]) == 2
    assert len(drafter.draft([Ask(0, 1, until(9))]).drafts[0]) == 1


def test_it_stops_when_the_policy_has_enough() -> None:
    drafter, _ = make((1, 2, 3))
    made = drafter.draft([Ask(0, 8, until(3))])
    assert len(made.drafts[0]) == made.steps == 3


def test_slots_draft_one_after_the_other() -> None:
    drafter, head = make((1, 2))
    drafter.begin(1, Request((4,)))
    made = drafter.draft([Ask(1, 2, until(9)), Ask(0, 3, until(9))])
    assert [len(draft) for draft in made.drafts] == [2, 3]
    assert made.steps == 5
    assert head.contexts == [[4], [1, 2]]


@pytest.mark.parametrize("behind", [0, 1, RIDES_ALONG])
def test_reading_a_little_is_part_of_drafting(behind: int) -> None:
    drafter, _ = make((1,) * (behind + 1))
    assert drafter.behind(0) == behind
    made = drafter.draft([Ask(0, 4, until(9))])
    assert (made.caught_up, made.catch_up_ms) == (0, 0)
    assert made.step_ms == pytest.approx(4 * STEP_MS + behind * READ_MS)
    assert drafter.behind(0) == 0


def test_reading_much_is_told_apart() -> None:
    drafter, _ = make((1,) * 41)
    made = drafter.draft([Ask(0, 4, until(9))])
    assert made.caught_up == 40
    # Reading and the first token are one call.
    assert made.catch_up_ms == pytest.approx(40 * READ_MS + STEP_MS)
    assert made.steps == 3
    assert made.step_ms == pytest.approx(3 * STEP_MS)


def test_a_full_context_gives_nothing() -> None:
    drafter, head = make((1, 2, 3))
    head.target.context_length = 3
    made = drafter.draft([Ask(0, 4, until(9))])
    assert (len(made.drafts[0]), made.steps) == (0, 0)


def test_a_request_that_is_over_is_forgotten() -> None:
    drafter, head = make((1, 2, 3))
    drafter.end(0)
    drafter.end(0)
    drafter.begin(0, Request((1, 2, 5)))
    drafter.draft([Ask(0, 1, until(9))])
    assert head.contexts[-1][-1] == 5
