"""A machine that is simulated: speeds multiply by what each change brings, with noise by launch and by answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from slipstream.bench.cell import Cell
from slipstream.bench.workload import Prompt
from slipstream.tune.configuration import Choice, Configuration
from slipstream.tune.objective import Figure, Objective
from slipstream.tune.race import Launch, Race
from slipstream.tune.tuning import Task, part

LOADING = 2.0
TOKENS = 96


def choice(knob: str, value: Any = True, *, lossy: bool = False) -> Choice:
    return Choice(knob, f"{knob} {value}", {knob: value}, lossy)


def configuration(*knobs: str, lossy: bool = False) -> Configuration:
    """Of choices that only have a name."""
    return Configuration(tuple(choice(knob, lossy=lossy) for knob in knobs))


@dataclass
class Machine:
    """`gains` by sets of options that must all be turned; `noise` of an answer and `unrest` of a launch are standard
    deviations of logs; `drift` is what a launch adds to the log speed. `broken` fail to open. `reading` is the seconds
    that a prompt takes, by configuration."""

    gains: Mapping[tuple[str, ...], float] = field(default_factory=dict)
    seed: int = 0
    noise: float = 0.03
    unrest: float = 0.015
    drift: Callable[[int], float] = lambda launch: 0.0
    broken: Mapping[str, str] = field(default_factory=dict)
    reading: Callable[[Configuration], float] = lambda configuration: 0.5
    launches: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)

    def speed(self, configuration: Configuration) -> float:
        """Tokens a second without noise."""
        turned = set(configuration.options)
        return 40 * float(np.prod([gain for needs, gain in self.gains.items() if set(needs) <= turned]))

    def __call__(self, configuration: Configuration, prompts: Sequence[Prompt]) -> Launch:
        self.launches.append((configuration.name, len(prompts)))
        at = self.drift(len(self.launches)) + self.random.normal(0, self.unrest)
        status = next((name for name in self.broken if name in configuration.options), "")
        cells = []
        for number, prompt in enumerate(prompts):
            rate = self.speed(configuration) * np.exp(at + self.random.normal(0, self.noise)) * (1 + 0.1 * (number % 3))
            cells.append(
                Cell(
                    arm=configuration.name, prompt=prompt.id, task=prompt.task, repetition=0, tokens=TOKENS,
                    seconds=TOKENS / float(rate), prefill_seconds=self.reading(configuration),
                    status="failed" if status else "ok", reason=self.broken.get(status, ""),
                )
            )  # fmt: skip
        return Launch(tuple(cells), LOADING + sum(cell.seconds + cell.prefill_seconds for cell in cells), LOADING)


def tasks(each: int = 8, *names: str) -> list[Task]:
    """Task classes of equal weight with so many prompts."""
    return [
        part(name, 1.0, [Prompt(f"{name}/{number}", name, f"{name} {number}") for number in range(each)])
        for name in names or ("edit", "chat")
    ]


def race(machine: Callable[..., Launch], parted: Sequence[Task], figure: Figure = "decode") -> Race:
    classes = {prompt.id: task.name for task in parted for prompt in (*task.chosen, *task.held)}
    return Race(machine, Objective({task.name: task.weight for task in parted}, classes, figure))
