"""A cascade of self-drafts over a free source: who drafts, what is learnt of each, and that it stays one draft."""

from collections.abc import Callable, Sequence

import pytest

from slipstream.core.draft import Draft
from slipstream.core.errors import RequestError
from slipstream.core.ports import Ask
from slipstream.core.request import Request
from slipstream.drafters.cascade import SCREEN, Cascade, CascadeConfig
from slipstream.drafters.draft_model import DraftModel
from slipstream.drafters.suffix import Suffix
from slipstream.engine.fake import FakeClock, FakeTarget, LogitTable, scripted_table
from tests.paid import CheckedModel, rolled

VOCABULARY = 8
PROMPT = (1, 2, 3, 4)
TEXT = tuple((index * index + index // 7) % 7 for index in range(200))
TRUE = scripted_table(TEXT, len(PROMPT), VOCABULARY)
FALSE = rolled(TRUE)
VERIFY = [0.0, *(100.0 + 6.0 * more for more in range(40))]


def always(token: int | None, probability: float) -> bool:
    return True


def make(
    *tables: LogitTable, costs: Sequence[float], acceptance: Sequence[float] = (), vertical: bool = True
) -> Cascade:
    clock = FakeClock()
    levels = [
        CheckedModel(
            FakeTarget(table, VOCABULARY, clock=clock, cost=lambda width, depth, cost=cost: 100 * cost),  # type: ignore[misc]
            clock,
            f"level {index}",
            ends=frozenset({VOCABULARY - 1}),
        )
        for index, (table, cost) in enumerate(zip(tables, costs, strict=True))
    ]
    names = tuple(level.name for level in levels)
    cascade = Cascade(CascadeConfig(names, tuple(acceptance), vertical), levels, costs, VERIFY, Suffix(), clock)
    assert cascade.begin(0, Request(PROMPT))
    return cascade


def draft(cascade: Cascade, limit: int = 6, go_on: Callable[[int | None, float], bool] = always) -> Draft:
    return cascade.draft([Ask(0, limit, go_on)]).drafts[0]


def live(cascade: Cascade, rounds: int, limit: int = 6) -> None:
    """So many rounds of a new request in which the target says the text."""
    done = len(TEXT)
    for _ in range(rounds):
        if done + limit + 1 > len(TEXT):
            cascade.end(0)
            cascade.begin(0, Request(PROMPT))
            done = 0
        found = draft(cascade, limit)
        stood = next((i for i, token in enumerate(found.tokens) if token != TEXT[done + i]), len(found))
        cascade.commit(0, TEXT[done : done + stood + 1])
        done += stood + 1


def asked(level: DraftModel) -> int:
    assert isinstance(level, CheckedModel)
    return level.checks


def test_a_draft_is_one_whoever_made_it() -> None:
    found = draft(make(TRUE, TRUE, costs=(0.3, 0.1)), 10)
    assert found.segments[0].source == "cascade"
    assert found.tokens == TEXT[: len(found)]
    assert len(found) == 10
    assert found.segments[0].support == 0


@pytest.mark.parametrize("limit", [1, 2, 5, 12, 17])
@pytest.mark.parametrize("vertical", [False, True])
def test_no_draft_is_longer_than_asked(limit: int, vertical: bool) -> None:
    cascade = make(TRUE, FALSE, costs=(0.3, 0.1), vertical=vertical)
    assert 0 < len(draft(cascade, limit)) <= limit


def test_it_stops_when_the_policy_has_enough() -> None:
    told: list[float] = []

    def go_on(token: int | None, probability: float) -> bool:
        told.append(probability)
        return len(told) < 3

    found = draft(make(TRUE, TRUE, costs=(0.3, 0.1), vertical=False), 20, go_on)
    assert len(found.segments[0]) == len(told) == 3


def test_the_likelier_level_for_its_cost_is_asked_and_one_that_proves_wrong_no_more() -> None:
    cascade = make(TRUE, FALSE, costs=(0.1, 0.02), acceptance=(0.9, 0.8))
    draft(cascade)
    assert (asked(cascade.levels[0]), asked(cascade.levels[1]) > 0) == (0, True), "the second promises more"
    live(cascade, SCREEN)
    assert cascade.figures[1].acceptance < 0.2
    before = asked(cascade.levels[1])
    live(cascade, 15)
    assert asked(cascade.levels[1]) == before
    assert asked(cascade.levels[0]) > 10
    assert cascade.figures[0].acceptance > 0.9


def test_a_level_that_does_not_pay_is_left_out_in_time_and_said_so() -> None:
    cascade = make(TRUE, FALSE, costs=(0.1, 0.02), acceptance=(0.9, 0.8))
    assert (cascade.kept, cascade.note) == ((0, 1), "every level pays")
    live(cascade, SCREEN)
    assert cascade.kept == (0,)
    assert "level 1 left out" in cascade.note


def test_where_no_level_pays_none_is_asked() -> None:
    cascade = make(FALSE, FALSE, costs=(5.0, 3.0), acceptance=(0.1, 0.1))
    assert cascade.kept == ()
    draft(cascade)
    assert [asked(level) for level in cascade.levels] == [0, 0]
    assert cascade.behind(0) == 0


def test_a_level_that_becomes_slower_costs_more() -> None:
    cascade = make(TRUE, costs=(0.1,))
    live(cascade, 5)
    assert cascade.figures[0].cost == pytest.approx(0.1, rel=0.6)
    before = cascade.figures[0].cost
    model = cascade.levels[0].model
    assert isinstance(model, FakeTarget)
    model.cost = lambda width, depth: 40.0
    live(cascade, 40)
    assert cascade.figures[0].cost > 2 * before


def test_the_free_source_goes_on_where_the_levels_end() -> None:
    cascade = make(TRUE, costs=(0.1,), vertical=False)
    cascade.end(0)
    cascade.begin(0, Request((*TEXT[:30], *PROMPT, *PROMPT)))
    cascade.commit(0, TEXT[:6])
    found = draft(cascade, 14, lambda token, probability: False)
    assert found.source == "cascade+cascade bottom"
    assert len(found.segments[0]) == 1


def test_levels_review_the_free_source_only_if_told_to() -> None:
    assert [make(TRUE, costs=(0.1,), vertical=vertical).levels[0].inner is None for vertical in (True, False)] == [
        False,
        True,
    ]


def test_slots_draft_one_after_the_other() -> None:
    cascade = make(TRUE, costs=(0.1,))
    cascade.begin(1, Request((*PROMPT, TEXT[0])))
    made = cascade.draft([Ask(1, 3, always), Ask(0, 2, always)])
    assert [found.tokens for found in made.drafts] == [TEXT[1:4], TEXT[:2]]
    assert made.steps > 0 and made.step_ms > 0
    cascade.commit(0, [1])
    cascade.end(0)
    cascade.end(0)
    assert draft_of(cascade, 1).tokens == TEXT[1:4]


def draft_of(cascade: Cascade, slot: int) -> Draft:
    return cascade.draft([Ask(slot, 3, always)]).drafts[0]


def test_nothing_is_learnt_without_a_draft_or_from_an_empty_round() -> None:
    cascade = make(TRUE, FALSE, costs=(0.2, 0.1))
    before = list(cascade.figures), cascade.bottom_figures
    cascade.commit(0, TEXT[:3])
    assert (list(cascade.figures), cascade.bottom_figures) == before
    draft(cascade)
    cascade.commit(0, ())
    assert [level.acceptance for level in cascade.figures] == [level.acceptance for level in before[0]]


def test_settings_that_make_no_sense_are_refused() -> None:
    for levels, acceptance in ((("a", "b"), (0.5,)), (("a",), (1.0,)), (("a",), (0.0,))):
        with pytest.raises(RequestError):
            CascadeConfig(levels, acceptance)
