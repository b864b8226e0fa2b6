"""A number of experts as an arm of a run: a model loaded for it and nothing else, its speed and its quality."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from slipstream.bench.cell import Cell
from slipstream.bench.probe import plain_answer
from slipstream.bench.schedule import Block
from slipstream.bench.workload import Prompt
from slipstream.control.measure import fill
from slipstream.core.errors import EngineError
from slipstream.core.ports import Clock, Target

Figures = Mapping[str, float]


class Loaded(Protocol):
    """A loaded model, and how many experts its graph was seen to use."""

    @property
    def target(self) -> Any: ...
    @property
    def experts(self) -> int: ...
    def close(self) -> None: ...


class Load(Protocol):
    """CPU time of other processes over an interval (host.load.Sentinel is one)."""

    def begin(self) -> object: ...
    def end(self) -> Any: ...


@dataclass(slots=True)
class Loads:
    """Models loaded by number of experts: llama.cpp reads it at load and never again, so each number gets a load of its
    own (requirement R20). At most `room` are open at once; `first` is the last to go. `loaded` lists every load."""

    open: Callable[[int], Loaded]
    first: int
    room: int
    held: dict[int, Loaded] = field(default_factory=dict)
    loaded: list[int] = field(default_factory=list)

    def get(self, count: int) -> Loaded:
        """The model with `count` experts. EngineError if the number that it really uses is another one."""
        if count in self.held:
            return self.held[count]
        for other in sorted(self.held, key=lambda held: held == self.first):
            if len(self.held) >= self.room:
                self.held.pop(other).close()
        model = self.open(count)
        self.loaded.append(count)
        if model.experts != count:
            used = model.experts
            model.close()
            raise EngineError(
                f"the model was loaded for {count} experts and uses {used or 'none'}",
                hint="its file does not take the override: run it as it is",
            )
        self.held[count] = model
        return model

    def close(self) -> None:
        """Close all."""
        while self.held:
            self.held.popitem()[1].close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What every arm is asked alike. `prompts` are in tokens, by id. Answers end at one of `ends` or after
    `max_tokens`; `text` reads them. `quality` measures a target, given the one with the default number of experts too,
    where there is room for both; `score` marks an answer from 0 to 1, None where it can't."""

    prompts: Mapping[str, Sequence[int]]
    ends: Collection[int]
    max_tokens: int
    text: Callable[[Sequence[int]], str]
    quality: Callable[[Target, Target | None], Figures] = lambda target, full: {}
    score: Callable[[Prompt, str], float | None] = lambda prompt, answer: None
    clock: Clock = time.perf_counter
    now: Clock = time.time
    load: Load | None = None


class ExpertArm:
    """Plain greedy decoding with `count` experts; the first cell also carries the quality. `measured`: what an earlier
    part of the run has of that."""

    def __init__(self, count: int, loads: Loads, asking: Asking, measured: bool = False) -> None:
        self.count, self.loads, self.asking = count, loads, asking
        self._quality: Figures | None = {} if measured else None

    def start(self, block: Block) -> None:
        """Load, and measure the quality the first time."""
        loads = self.loads
        beside = loads.room > 1 or self.count == loads.first
        # The whole model first: loading it may close another one, but nothing closes it.
        full = loads.get(loads.first).target if self._quality is None and beside else None
        target = loads.get(self.count).target
        if self._quality is None:
            self._quality = self.asking.quality(target, full)
        # The first pass after a load touches pages that later ones find warm.
        fill(target, next(iter(self.asking.prompts.values())), 1)

    def measure(self, prompt: Prompt, repetition: int) -> Cell:
        """One answer, from an empty KV."""
        asking, target = self.asking, self.loads.get(self.count).target
        tokens = asking.prompts[prompt.id]
        target.rewind(0, 0)
        if asking.load:
            asking.load.begin()
        started, begin = asking.now(), asking.clock()
        fill(target, tokens, len(tokens) - 1)
        prefilled = asking.clock() - begin
        answer, times = plain_answer(target, tokens, asking.max_tokens, frozenset(asking.ends), asking.clock)
        elapsed, wall = asking.clock() - begin, asking.now() - started
        busy = asking.load.end().figures if asking.load else {}
        text = asking.text(answer)
        quality, self._quality = self._quality or {}, {}
        score = asking.score(prompt, text)
        return Cell(
            arm="",
            prompt=prompt.id,
            task=prompt.task,
            repetition=repetition,
            tokens=len(answer),
            seconds=sum(times) / 1000,
            prefill_tokens=len(tokens) - 1,
            prefill_seconds=prefilled,
            started=started,
            answer=text,
            token_ids=tuple(answer),
            figures={
                **quality,
                **busy,
                **({} if score is None else {"score": score}),
                "experts": self.count,
                "max_tokens": asking.max_tokens,
                "finish": "stop" if answer[-1] in asking.ends else "length",
                "elapsed_seconds": elapsed,
                "wall_seconds": wall,
            },
        )

    def stop(self) -> None:
        """Others may need the memory: with room for one load, it goes when the next is asked for."""
