"""Models whose answers are known behave like models that give them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.bench.known import NONE, Known, KnownDraft
from slipstream.control.curve import VerifyCost
from slipstream.core.ports import Ask
from slipstream.core.request import Request
from slipstream.engine.fake import FakeClock

CURVE = VerifyCost({64: {1: 10.0, 2: 11.0, 300: 300.0}})
PROMPT, ANSWER = (1, 2, 3), (4, 5, 6, 7, 8, 9)


def drafting(agree: tuple[bool, ...], window: int = 256) -> tuple[KnownDraft, FakeClock]:
    clock = FakeClock()
    known = Known("k", "chat", PROMPT, ANSWER, agree, tuple(0.5 + place / 100 for place in range(len(agree))))
    drafter = KnownDraft({PROMPT: known}, CURVE, clock, window)
    assert drafter.begin(0, Request(PROMPT)) is bool(agree)
    return drafter, clock


def ask(limit: int, stop: int = 99) -> Ask:
    seen: list[float] = []

    def go_on(token: int | None, probability: float) -> bool:
        seen.append(probability)
        return len(seen) < stop

    return Ask(0, limit, go_on)


def test_right_tokens_until_the_first_wrong_one_and_never_after() -> None:
    drafter, _ = drafting((True, True, False, True, True, True))
    (draft,) = drafter.draft([ask(5)]).drafts
    assert draft.tokens == (4, 5, NONE, NONE, NONE)
    assert draft.probabilities == pytest.approx((0.5, 0.51, 0.52, 0.53, 0.54))


def test_a_draft_starts_anew_where_the_answer_stands() -> None:
    drafter, _ = drafting((True, True, False, True, True, True))
    drafter.draft([ask(2)])
    drafter.commit(0, ANSWER[:3])
    assert drafter.draft([ask(9)]).drafts[0].tokens == (7, 8, 9)


def test_passes_cost_what_the_curve_says() -> None:
    drafter, clock = drafting((True,) * 6)
    made = drafter.draft([ask(4, stop=3)])
    # Two prompt tokens ride along with the first of three passes.
    assert (made.steps, made.caught_up) == (3, 0)
    assert made.step_ms == pytest.approx(CURVE.costs(3)[3] + 2 * 10.0)
    assert clock.now == pytest.approx(made.step_ms / 1000)


def test_what_was_missed_is_taken_in_first() -> None:
    drafter, _ = drafting((True,) * 6)
    assert drafter.behind(0) == 2
    drafter.draft([ask(2)])
    assert drafter.behind(0) == 0
    drafter.commit(0, ANSWER)
    # Prompt, last token and the first drafted one are there; the newest token is the next pass's own.
    assert drafter.behind(0) == 4
    drafter, _ = drafting((True,) * 6, window=1)
    assert drafter.behind(0) == 1


def test_more_than_a_few_missed_tokens_are_a_pass_of_their_own() -> None:
    drafter, _ = drafting((True,) * 6)
    drafter.commit(0, ANSWER[:4])
    made = drafter.draft([ask(1)])
    assert (made.caught_up, made.steps) == (6, 1)
    assert made.catch_up_ms == pytest.approx(CURVE.costs(7)[6])
    assert made.step_ms == pytest.approx(10.0)


@given(st.lists(st.booleans(), min_size=6, max_size=6), st.lists(st.integers(1, 4), max_size=6))
def test_a_draft_is_right_exactly_as_far_as_the_record_says(agree: list[bool], limits: list[int]) -> None:
    drafter, _ = drafting(tuple(agree))
    at = 0
    for limit in limits:
        if at >= len(ANSWER):
            break
        (draft,) = drafter.draft([ask(limit)]).drafts
        assert len(draft) == min(limit, len(ANSWER) - at)
        run = next((n for n, right in enumerate(agree[at:]) if not right), len(ANSWER) - at)
        stood = min(run, len(draft))
        assert draft.tokens[:stood] == ANSWER[at : at + stood]
        assert set(draft.tokens[stood:]) <= {NONE}
        emitted = min(stood + 1, len(ANSWER) - at)
        drafter.commit(0, ANSWER[at : at + emitted])
        at += emitted


def test_without_a_record_it_doesn_t_begin() -> None:
    drafting(())
