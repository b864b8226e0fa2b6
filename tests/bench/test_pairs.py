"""Which cells make a pair, and what is left out."""

import pytest

from slipstream.bench.pairs import pairs_of
from tests.bench.paired import cell


def test_a_pair_is_of_one_prompt_and_one_repetition() -> None:
    cells = [
        cell("a", "x1", 0, 10), cell("b", "x1", 0, 20),
        cell("b", "x1", 1, 15), cell("a", "x1", 1, 10),
        cell("a", "x2", 0, 10), cell("b", "x2", 7, 90),
        cell("a", "x3", 0, 10), cell("b", "x3", 0, 5),
    ]  # fmt: skip
    pairs = pairs_of(cells, "b", "a", ["x1", "x2"])
    assert list(pairs.ratios) == ["x1"] and list(pairs.ratios["x1"]) == pytest.approx([2, 1.5])
    assert (pairs.count, pairs.repetitions, pairs.share_left_out, pairs.losses) == (2, 2, 0, "")


def test_cells_that_do_not_count_are_counted() -> None:
    cells = [
        cell("a", "x1", 0), cell("b", "x1", 0, status="tainted"),
        cell("a", "x1", 1, status="garbage"), cell("b", "x1", 1),
        cell("a", "x1", 2), cell("b", "x1", 2, tokens=0),
        cell("a", "x1", 3), cell("b", "x1", 3),
    ]  # fmt: skip
    pairs = pairs_of(cells, "b", "a", ["x1"])
    assert pairs.count == 1
    assert pairs.left_out == {"tainted": 1, "garbage": 1, "failed": 1}
    assert pairs.share_left_out == 0.75
    assert pairs.losses == "3 of 4 pairs left out: 1 failed, 1 garbage, 1 tainted"


def test_the_last_attempt_counts_with_the_baseline_beside_it() -> None:
    cells = [
        cell("a", "x1", 0, 10, started=1.0), cell("b", "x1", 0, status="failed", started=2.0),
        cell("a", "x1", 0, 40, started=9001.0), cell("b", "x1", 0, 60, started=9002.0),
    ]  # fmt: skip
    pairs = pairs_of(cells, "b", "a", ["x1"])
    assert list(pairs.ratios) == ["x1"] and list(pairs.ratios["x1"]) == pytest.approx([1.5])
    assert not pairs.left_out


def test_an_arm_that_was_done_before_keeps_its_partner() -> None:
    cells = [
        cell("a", "x1", 0, 10, started=1.0), cell("b", "x1", 0, 20, started=2.0),
        cell("a", "x1", 0, 40, started=9001.0), cell("c", "x1", 0, 40, started=9002.0),
    ]  # fmt: skip
    assert list(pairs_of(cells, "b", "a", ["x1"]).ratios["x1"]) == pytest.approx([2])
    assert list(pairs_of(cells, "c", "a", ["x1"]).ratios["x1"]) == pytest.approx([1])


def test_without_cells_there_are_no_pairs() -> None:
    pairs = pairs_of([cell("a", "x1")], "b", "a", ["x1"])
    assert (pairs.count, pairs.share_left_out, pairs.ratios) == (0, 0.0, {})
