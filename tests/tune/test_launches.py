"""A launch: every prompt once, what fails as a cell with its reason, and nothing left running."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from slipstream.bench.cell import Cell
from slipstream.bench.doubts import Limits
from slipstream.bench.schedule import Block
from slipstream.bench.workload import Prompt
from slipstream.core.errors import EngineError, MemoryShortage
from slipstream.tune.configuration import Configuration
from slipstream.tune.launches import launches
from tests.tune.simulated import configuration

PROMPTS = [Prompt(str(number), "edit", "text") for number in range(3)]


@dataclass
class Arm:
    """Answers with so many tokens; `breaks` at a prompt, or at the start."""

    answer: str = "fine"
    breaks: str = ""
    started: list[Block] = field(default_factory=list)
    stopped: int = 0

    def start(self, block: Block) -> None:
        self.started.append(block)
        if self.breaks == "start":
            raise MemoryShortage("it needs 9 GB", hint="buy some")

    def measure(self, prompt: Prompt, repetition: int) -> Cell:
        if prompt.id == self.breaks:
            raise EngineError("the child is gone")
        return Cell(
            arm="", prompt=prompt.id, task=prompt.task, repetition=repetition, tokens=4, seconds=1, answer=self.answer
        )

    def stop(self) -> None:
        self.stopped += 1


def ticking() -> Callable[[], float]:
    times = iter(range(100))
    return lambda: float(next(times))


def run(arm: Arm, one: Configuration) -> tuple[Cell, ...]:
    limits = Limits(garbage=lambda text, tokens, limit, finish: "empty" if not text else "")
    launch = launches(lambda configuration: arm, limits, ticking())(one, PROMPTS)
    # The clock is read when it begins, when it is open (if it gets that far) and when it is over.
    assert (launch.seconds, launch.opening) == ((1, 0) if arm.breaks == "start" else (2, 1)) and arm.stopped == 1
    return launch.cells


def test_every_prompt_is_measured_in_one_start() -> None:
    arm = Arm()
    cells = run(arm, configuration("threads"))
    assert [cell.prompt for cell in cells] == ["0", "1", "2"]
    assert {(cell.arm, cell.block, cell.status) for cell in cells} == {("threads True", 1, "ok")}
    assert [block.prompts for block in arm.started] == [("0", "1", "2")]


def test_answers_are_judged() -> None:
    assert [(cell.status, cell.reason) for cell in run(Arm(answer=""), configuration("x"))] == [
        ("garbage", "empty")
    ] * 3


@pytest.mark.parametrize(
    ("breaks", "good", "reason"), [("start", 0, "it needs 9 GB"), ("1", 1, "the child is gone")]
)  # fmt: skip
def test_what_fails_fails_with_the_rest(breaks: str, good: int, reason: str) -> None:
    cells = run(Arm(breaks=breaks), configuration("x"))
    assert [cell.status for cell in cells] == ["ok"] * good + ["failed"] * (3 - good)
    assert {cell.reason for cell in cells[good:]} == {reason}


def test_an_interruption_passes_and_leaves_nothing_running() -> None:
    arm = Arm()

    def interrupted(prompt: Prompt, repetition: int) -> Cell:
        raise KeyboardInterrupt

    arm.measure = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        launches(lambda one: arm, Limits())(configuration("x"), PROMPTS)
    assert arm.stopped == 1
