"""What arms of peers have in common."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.bench.cell import Cell
from slipstream.bench.peers.arm import Refused, Watched, answered
from slipstream.bench.schedule import Block
from slipstream.bench.workload import Prompt
from slipstream.core.errors import EngineError

BLOCK = Block(0, "peer", 0, ("one",))
PROMPT = Prompt("one", "edit", "text")
ENDS = frozenset({2, 9})


class Saying:
    """An arm that says these tokens."""

    def __init__(self, *tokens: int) -> None:
        self.tokens = tokens
        self.log: list[str] = []

    def start(self, block: Block) -> None:
        self.log.append("start")

    def stop(self) -> None:
        self.log.append("stop")

    def measure(self, prompt: Prompt, repetition: int) -> Cell:
        return Cell(arm="", prompt=prompt.id, task=prompt.task, repetition=repetition, token_ids=self.tokens)


class Half:
    """Others take half of the machine."""

    figures = {"others_cpu": 0.5}  # noqa: RUF012

    def begin(self) -> None: ...

    def end(self) -> "Half":
        return self


@given(st.lists(st.integers(0, 10)), st.integers(0, 12))
def test_an_answer_counts_up_to_its_end(tokens: list[int], most: int) -> None:
    found = answered(tokens, ENDS, most)
    assert not set(found) & ENDS and len(found) <= most
    assert list(found) == tokens[: len(found)]
    assert len(found) in (most, len(tokens)) or tokens[len(found)] in ENDS


def test_a_watched_arm_tells_more() -> None:
    inner, ticks = Saying(4, 5, 2, 6), iter([1.0, 3.5])
    arm = Watched(inner, lambda tokens: "".join(map(str, tokens)), ENDS, 8, Half(), lambda: next(ticks), lambda: 7.0)
    arm.start(BLOCK)
    cell = arm.measure(PROMPT, 4)
    arm.stop()
    assert (cell.answer, cell.token_ids, cell.repetition) == ("45", (4, 5, 2, 6), 4)
    assert cell.figures == {"others_cpu": 0.5, "elapsed_seconds": 2.5, "wall_seconds": 0.0, "finish": "stop"}
    assert inner.log == ["start", "stop"]


def test_an_answer_as_long_as_it_may_be_was_cut() -> None:
    assert Watched(Saying(4, 5, 6), str, ENDS, 3).measure(PROMPT, 0).figures["finish"] == "length"


def test_an_arm_that_can_not_run_says_why(tmp_path: Path) -> None:
    arm = Refused("this llama-server has no --spec-type")
    for call in (lambda: arm.start(BLOCK), lambda: arm.measure(PROMPT, 0)):
        with pytest.raises(EngineError, match="has no --spec-type"):
            call()
    arm.stop()
