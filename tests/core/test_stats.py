"""Figures of a request: what each round adds, and which source gets the credit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.core.draft import Draft
from slipstream.core.stats import Paid, RoundRecord, SlotRound, SourceStats, Stats, merge


def draft(source: str, length: int) -> Draft:
    return Draft(source, tuple(range(length)), (0.5,) * length)


def add(stats: Stats, chosen: Draft, accepted: int, paid: tuple[Paid, ...] = ()) -> None:
    share = SlotRound(0, (chosen,), chosen, accepted, tuple(range(accepted + 1)))
    record = RoundRecord((share,), 1 + len(chosen), 10, "", draft_ms=3.0, plan_ms=1.0, target_ms=20.0, paid=paid)
    stats.add(share, record, 25.0)


@pytest.mark.parametrize(
    ("accepted", "model", "copied"),
    [(0, 0, 0), (1, 1, 0), (2, 2, 0), (3, 2, 1), (5, 2, 3)],
)
def test_the_parts_of_a_joined_draft_are_credited_apart(accepted: int, model: int, copied: int) -> None:
    stats = Stats()
    add(stats, draft("draft_model", 2).joined(draft("suffix", 3)), accepted)
    assert stats.sources == {"draft_model": SourceStats(1, 2, model), "suffix": SourceStats(1, 3, copied)}
    assert (stats.drafted, stats.accepted) == (5, accepted)
    assert (stats.tokens, stats.rounds, stats.draft_rounds) == (accepted + 1, 1, 1)


def test_a_source_that_has_two_parts_gets_both() -> None:
    stats = Stats()
    add(stats, draft("cascade", 2).joined(draft("suffix", 1)).joined(draft("suffix", 2)), 4)
    assert stats.sources["suffix"] == SourceStats(2, 3, 2)


@given(st.lists(st.tuples(st.lists(st.integers(1, 4), max_size=3), st.integers(0, 12)), max_size=8))
def test_whatever_stood_is_credited_once(rounds: list[tuple[list[int], int]]) -> None:
    stats, drafted, accepted = Stats(), 0, 0
    for lengths, stood in rounds:
        whole = Draft("plain")
        for index, length in enumerate(lengths):
            whole = whole.joined(draft(f"source {index}", length))
        stood = min(stood, len(whole))
        add(stats, whole, stood)
        drafted, accepted = drafted + len(whole), accepted + stood
    assert (stats.drafted, stats.accepted) == (drafted, accepted)
    assert stats.tokens == accepted + len(rounds)
    assert stats.draft_rounds == sum(bool(lengths) for lengths, _ in rounds)


def test_milliseconds_of_paid_sources_are_summed() -> None:
    stats = Stats()
    paid = (Paid("draft_model", (0,), 2, 4.0, 9, 1.5), Paid("other", (0,), 1, 2.0, 0, 0.0))
    add(stats, draft("draft_model", 2), 1, paid)
    add(stats, Draft("plain"), 0)
    assert stats.paid_ms == 7.5
    assert (stats.decode_ms, stats.target_ms, stats.draft_ms, stats.plan_ms) == (50.0, 40.0, 6.0, 2.0)


def test_merging_adds_everything_up() -> None:
    one, other = Stats(prompt_tokens=3), Stats(reused_tokens=2)
    add(one, draft("draft_model", 2).joined(draft("suffix", 3)), 3, (Paid("draft_model", (0,), 2, 4.0, 0, 0.0),))
    add(other, draft("suffix", 4), 4)
    total = merge([one, other])
    assert total.sources == {"draft_model": SourceStats(1, 2, 2), "suffix": SourceStats(2, 7, 5)}
    assert (total.prompt_tokens, total.reused_tokens, total.tokens, total.paid_ms) == (3, 2, 9, 4.0)
    assert one.sources["suffix"].drafted == 3
