"""The order of blocks: complete, balanced, and pairs side by side."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.bench.schedule import Block, default_checks, default_pairs, hold_out, schedule

counts = st.integers(1, 6)


def made(arms: int, prompts: int, repetitions: int, size: int) -> tuple[list[str], list[Block]]:
    names = [f"arm{number}" for number in range(arms)]
    return names, schedule(names, [f"p{number}" for number in range(prompts)], repetitions, size=size)


@given(counts, counts, counts, counts)
def test_every_cell_is_measured_exactly_once(arms: int, prompts: int, repetitions: int, size: int) -> None:
    _, blocks = made(arms, prompts, repetitions, size)
    cells = Counter((block.arm, prompt, block.repetition) for block in blocks for prompt in block.prompts)
    assert set(cells.values()) == {1}
    assert len(cells) == arms * prompts * repetitions
    assert [block.number for block in blocks] == list(range(len(blocks)))


@given(counts, counts, counts, counts)
def test_the_cells_of_a_pair_lie_in_the_same_turn(arms: int, prompts: int, repetitions: int, size: int) -> None:
    names, blocks = made(arms, prompts, repetitions, size)
    for at in range(0, len(blocks), arms):
        turn = blocks[at : at + arms]
        assert {block.arm for block in turn} == set(names)
        assert len({(block.repetition, block.prompts) for block in turn}) == 1


@given(counts, counts, counts, counts)
def test_a_steady_drift_favours_nobody(arms: int, prompts: int, repetitions: int, size: int) -> None:
    names, blocks = made(arms, prompts, repetitions, size)
    places = {name: sum(block.number for block in blocks if block.arm == name) for name in names}
    apart = max(places.values()) - min(places.values())
    turns = -(-prompts // size)
    assert apart <= (0 if turns % 2 == 0 or repetitions % 2 == 0 else arms - 1)


@given(counts, counts, st.integers(1, 3).map(lambda half: 2 * half), counts)
def test_nor_does_it_on_any_single_prompt(arms: int, prompts: int, repetitions: int, size: int) -> None:
    names, blocks = made(arms, prompts, repetitions, size)
    for prompt in {prompt for block in blocks for prompt in block.prompts}:
        places = {name: 0 for name in names}
        for block in blocks:
            if prompt in block.prompts:
                places[block.arm] += block.number % arms
        assert len(set(places.values())) == 1


def test_two_arms_alternate() -> None:
    def order(prompts: int, repetitions: int) -> str:
        blocks = schedule(["A", "B"], [str(number) for number in range(prompts)], repetitions)
        return "".join(block.arm for block in blocks)

    assert order(4, 1) == "ABBABAAB"
    assert order(1, 4) == "ABBABAAB"
    assert order(2, 2) == "ABBABAAB"


def test_numbers_go_on_from_where_they_are_told() -> None:
    blocks = schedule(["A", "B"], ["p"], 2, first=3, number=10)
    assert [(block.number, block.repetition) for block in blocks] == [(10, 3), (11, 3), (12, 4), (13, 4)]


@pytest.mark.parametrize(("prompts", "pairs"), [(1, 20), (2, 10), (4, 6), (5, 4), (10, 2), (100, 2)])
def test_default_pairs_are_even_and_enough(prompts: int, pairs: int) -> None:
    assert default_pairs(prompts) == pairs
    assert pairs % 2 == 0 and pairs * prompts >= 20


@pytest.mark.parametrize(("pairs", "checks"), [(1, 1), (2, 2), (4, 4), (6, 5), (10, 5), (20, 10)])
def test_checks_are_half_the_pairs_but_enough_to_tell_a_floor(pairs: int, checks: int) -> None:
    assert default_checks(pairs) == checks


@given(st.lists(st.sampled_from(("edit", "chat", "qa")), max_size=12))
def test_a_hold_out_splits_every_task(tasks: list[str]) -> None:
    chosen, held = hold_out([(str(number), task) for number, task in enumerate(tasks)])
    assert sorted(chosen + held, key=int) == [str(number) for number in range(len(tasks))]
    for task in set(tasks):
        ours, theirs = (sum(tasks[int(name)] == task for name in part) for part in (chosen, held))
        assert ours - theirs in (0, 1)
