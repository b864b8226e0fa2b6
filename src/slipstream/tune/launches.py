"""Measures a configuration in one launch: opened afresh, every prompt once, closed again."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from slipstream.bench.cell import Cell
from slipstream.bench.doubts import Limits, judged
from slipstream.bench.runner import Measures
from slipstream.bench.schedule import Block
from slipstream.bench.workload import Prompt
from slipstream.core.errors import SlipstreamError
from slipstream.tune.configuration import Configuration
from slipstream.tune.race import Launch, Measure

Arms = Callable[[Configuration], Measures]
"""What opens a configuration: an arm whose every start is a fresh one."""


def launches(arms: Arms, limits: Limits, clock: Callable[[], float] = time.monotonic) -> Measure:
    """A `Measure` over arms. What fails becomes a failed cell with the reason; the prompts behind it fail with it."""
    count = 0

    def launch(configuration: Configuration, prompts: Sequence[Prompt]) -> Launch:
        nonlocal count
        count += 1
        begin = clock()
        opened = begin
        cells: list[Cell] = []
        arm = arms(configuration)
        try:
            arm.start(Block(count, configuration.name, 0, tuple(prompt.id for prompt in prompts)))
            opened = clock()
            for prompt in prompts:
                cell = replace(arm.measure(prompt, 0), arm=configuration.name, block=count)
                cells.append(judged(cell, limits))
        except SlipstreamError as error:
            for prompt in prompts[len(cells) :]:
                failed = Cell(arm=configuration.name, prompt=prompt.id, task=prompt.task, repetition=0, block=count)
                cells.append(replace(failed, status="failed", reason=error.message))
        finally:
            arm.stop()
        return Launch(tuple(cells), clock() - begin, opened - begin)

    return launch
