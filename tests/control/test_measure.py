"""Measuring the verify-cost curve of a target whose prices are known."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipstream.control.measure import DEEP, DEEP_WIDTHS, SHALLOW, WIDTHS, Progress, fill, measure_cost
from slipstream.engine.fake import FakeTarget, random_table

TEXT = list(range(7)) * 40
TABLE = random_table(0, 8, order=1)


def price(width: int, depth: int) -> float:
    """Jagged: steps at groups of four, a dip at eight; slightly dearer with depth."""
    return (20 + 3 * width + 11 * (-width % 4) + (60 if width in (5, 6) else 0)) * (1 + depth / 4000)


@dataclass
class Disturbed:
    """Prices with one pass, counted from the start (or all up to the `last`), that takes `factor` as long."""

    at: int
    factor: float = 10.0
    last: int = 0
    count: int = -1

    def __call__(self, width: int, depth: int) -> float:
        self.count += 1
        return price(width, depth) * (self.factor if self.at <= self.count <= max(self.at, self.last) else 1)


def make(cost: Callable[[int, int], float] = price, context_length: int = 4096, batch_size: int = 512) -> FakeTarget:
    return FakeTarget(TABLE, 8, slots=2, context_length=context_length, batch_size=batch_size, cost=cost)


def test_the_curve_is_the_price_list() -> None:
    target = make()
    curve = measure_cost(target, TEXT, target.clock)
    assert set(curve.table) == {SHALLOW, DEEP}
    for depth, widths in ((SHALLOW, WIDTHS), (DEEP, DEEP_WIDTHS)):
        assert curve.table[depth] == pytest.approx({width: price(width, depth) for width in widths})
    assert curve.max_width == WIDTHS[-1]
    assert curve.costs(SHALLOW)[8] < curve.costs(SHALLOW)[6], "a real step stays"


def test_kv_is_empty_afterwards_and_other_slots_are_left_alone() -> None:
    target = make()
    target.kv[0], target.kv[1] = [3, 1, 4], [1, 2, 3]
    measure_cost(target, TEXT, target.clock)
    assert target.kv == [[], [1, 2, 3]]


def test_what_a_slot_held_does_not_matter() -> None:
    target = make()
    target.kv[0] = [*TEXT[:50], 3]
    curve = measure_cost(target, TEXT, target.clock)
    assert curve.table[SHALLOW][1] == pytest.approx(price(1, SHALLOW))


def test_progress_counts_up_to_the_total() -> None:
    target, seen = make(), list[Progress]()
    measure_cost(target, TEXT, target.clock, report=seen.append)
    total = len(WIDTHS) + len(DEEP_WIDTHS)
    assert [progress.done for progress in seen] == list(range(total))
    assert {progress.total for progress in seen} == {total}
    assert "64 tokens at depth 64" in {progress.what for progress in seen}


def test_takes_no_more_time_than_given_for_second_looks() -> None:
    short, long = make(), make()
    measure_cost(short, TEXT, short.clock, seconds=0)
    measure_cost(long, TEXT, long.clock, seconds=12)
    once = sum(price(width, SHALLOW) for width in WIDTHS) + sum(price(width, DEEP) for width in DEEP_WIDTHS)
    assert short.clock.now < 4 * once / 1000
    assert 2.4 < long.clock.now - short.clock.now < 3.6, "an eighth of it at each of two depths"


@settings(max_examples=40)
@given(st.integers(2, 300), st.sampled_from([4, 16, 512]))
def test_small_contexts_and_batches_are_measured_as_far_as_they_reach(context_length: int, batch_size: int) -> None:
    target = make(context_length=context_length, batch_size=batch_size)
    curve = measure_cost(target, TEXT, target.clock)
    for depth, row in curve.table.items():
        assert row == pytest.approx({width: price(width, depth) for width in row})
        assert depth + max(row) <= context_length
    assert curve.max_width <= batch_size
    assert target.kv[0] == []


@pytest.mark.parametrize("seconds", [0, 2])
@pytest.mark.parametrize("at", range(60))
def test_one_disturbed_pass_does_not_bend_the_curve(at: int, seconds: float) -> None:
    """But for the widest cell of a depth: nothing wider tells that it is too dear, and too dear is the safe side."""
    target = make(Disturbed(at))
    curve = measure_cost(target, TEXT, target.clock, seconds)
    assert isinstance(target.cost, Disturbed)
    assert target.cost.count >= at, "the disturbance must have been in it"
    for depth, row in curve.table.items():
        right = {width: price(width, depth) for width in row}
        wrong = {width for width in row if row[width] != pytest.approx(right[width])}
        assert wrong <= {max(row)}
        assert all(row[width] > right[width] for width in wrong)


@pytest.mark.parametrize("last", [24, 30, 36])
def test_a_machine_that_is_busy_for_a_while_is_measured_again(last: int) -> None:
    target = make(Disturbed(1, factor=3.0, last=last))
    curve = measure_cost(target, TEXT, target.clock, seconds=0)
    for depth, row in curve.table.items():
        assert row == pytest.approx({width: price(width, depth) for width in row})


def test_fill_keeps_what_is_already_right() -> None:
    target = make(batch_size=16)
    fill(target, TEXT, 40)
    assert target.kv[0] == TEXT[:40]
    passes = len(target.passes)
    assert passes == 3
    fill(target, TEXT, 30)
    assert target.kv[0] == TEXT[:30]
    assert len(target.passes) == passes
    fill(target, [*TEXT[:10], 6, 6, 6, 6], 12)
    assert target.kv[0] == [*TEXT[:10], 6, 6]
