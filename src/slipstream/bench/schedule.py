"""Who is measured when: in an order under which a machine that drifts favours no arm."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from slipstream.bench.verdict import LEAST_PAIRS

LEAST_IN_ALL = 20
"""Pairs in all below which a 10 % effect is easily missed where single cells vary by 4 %."""


@dataclass(frozen=True, slots=True)
class Block:
    """What is measured in one go: prompts of one repetition through one arm. An arm that needs a fresh process starts
    one for each block."""

    number: int
    arm: str
    repetition: int
    prompts: tuple[str, ...]


def schedule(
    arms: Sequence[str], prompts: Sequence[str], repetitions: int, *, size: int = 1, first: int = 0, number: int = 0
) -> list[Block]:
    """Every arm on every prompt in each repetition, exactly once; repetitions and blocks count from `first`, `number`.

    Arms take turns on `size` prompts at a time, so the two cells of a pair lie less than a turn of all arms apart. A
    turn's order is a rotation of the arms, and the next turn's, over prompts and over repetitions alike, is its
    reverse: A B, B A, B A, A B for two arms. Each turn with its reverse gives all arms the same mean place, so a
    steady drift cancels out exactly if the number of turns of a repetition or that of repetitions is even; otherwise
    one turn is left over.
    """
    turns = [tuple(prompts[at : at + size]) for at in range(0, len(prompts), size)]
    blocks: list[Block] = []
    for repetition in range(repetitions):
        for index, chosen in enumerate(turns):
            for arm in _order(arms, repetition, index):
                blocks.append(Block(number + len(blocks), arm, first + repetition, chosen))
    return blocks


def _order(arms: Sequence[str], repetition: int, index: int) -> list[str]:
    turn = (repetition // 2 + index // 2) % len(arms)
    order = [*arms[turn:], *arms[:turn]]
    return order[::-1] if (repetition + index) % 2 else order


def default_pairs(prompts: int) -> int:
    """Pairs per prompt when nobody says otherwise: an even number, and enough of them in all."""
    pairs = max(2, math.ceil(LEAST_IN_ALL / prompts))
    return pairs + pairs % 2


def default_checks(pairs: int) -> int:
    """Pairs per prompt of the baseline with its repetition: half as many, but enough to tell the noise floor."""
    return min(pairs, max(LEAST_PAIRS, math.ceil(pairs / 2)))


def hold_out(prompts: Sequence[tuple[str, str]]) -> tuple[list[str], list[str]]:
    """Splits prompts, given as (id, task), into those to choose a winner on and those to measure it again on.

    Every other prompt of a task is held out, so that both halves hold every task; that of a single prompt is only
    chosen on.
    """
    chosen: list[str] = []
    held: list[str] = []
    seen: dict[str, int] = {}
    for name, task in prompts:
        number = seen[task] = seen.get(task, -1) + 1
        (held if number % 2 else chosen).append(name)
    return chosen, held
