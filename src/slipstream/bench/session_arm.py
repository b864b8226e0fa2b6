"""An arm on an opened model: what it is told, and how a cell of it is measured on our own clock (requirement R1)."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from slipstream.bench.cell import Cell
from slipstream.bench.schedule import Block
from slipstream.bench.workload import Prompt
from slipstream.control.fixed import FixedPolicy
from slipstream.core.errors import RequestError, UnknownName
from slipstream.core.request import Request, Sampling
from slipstream.core.stats import Stats

NOTHING_TO_COPY = "reference"
"""A source that copies a text it is given: without one it stays silent, while everything around it works as ever."""
COPY_WITHIN = frozenset({"cascade"})
"""Sources that cost model passes and copy from the context besides."""


class Load(Protocol):
    """CPU time of other processes over an interval (host.load.Sentinel is one)."""

    def begin(self) -> object: ...
    def end(self) -> Any: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """How an arm generates. `draft_length` replaces the policy by a fixed length of the first source in `draft` that
    has a draft (0: the policy decides); `control` forbids to copy from prompt, memory or reference: what is left are
    sources that run a model, or none. `warm` keeps what earlier prompts left in caches, and says so."""

    draft: Literal["auto", "off"] | tuple[str, ...] = "auto"
    draft_length: int = 0
    control: bool = False
    warm: bool = False
    max_tokens: int = 128
    sampling: Sampling = field(default_factory=Sampling)

    def __post_init__(self) -> None:
        if self.max_tokens < 1 or self.draft_length < 0:
            name = "max_tokens" if self.max_tokens < 1 else "draft_length"
            raise RequestError(f"{name} is {getattr(self, name)}", hint="give a positive number")
        if self.draft_length and self.draft == "off":
            raise RequestError(
                f"draft_length {self.draft_length} without a drafter", hint="say who drafts: draft=prompt_lookup"
            )


@dataclass(slots=True)
class Stage:
    """An opened session on which arms take turns. `clock` is the one of its loop, in seconds; `now` the wall clock.

    Every repetition starts from the shipped priors, and an arm's rounds teach that arm alone.
    """

    session: Any
    clock: Callable[[], float] = time.perf_counter
    now: Callable[[], float] = time.time
    load: Load | None = None
    repetition: int | None = None
    seen: set[str] = field(default_factory=set)

    def warm_up(self) -> None:
        """A few tokens that nobody counts: weights are read and threads run before the first cell."""
        self.session.generate("Hello!", max_tokens=4, draft="off", remember=False)
        self.cool()

    def cool(self) -> None:
        """Forget every earlier prompt: KV, draft models, and that they were measured."""
        self.session.cool()
        self.session.target.rewind(0, 0)
        self.seen.clear()

    def turn(self, repetition: int) -> None:
        """A cell of this repetition follows."""
        if repetition != self.repetition:
            self.session.forget()
            self.repetition = repetition


class SessionArm:
    """One way to generate on a stage. UnknownName if it names a drafter that isn't open there."""

    def __init__(self, name: str, stage: Stage, generation: Generation) -> None:
        self.name, self.stage, self.generation = name, stage, generation
        loop = stage.session.loop
        draft = generation.draft
        named = loop.automatic if draft == "auto" else () if draft == "off" else draft
        for source in named:
            if source not in loop.sources:
                raise UnknownName("drafter of this model", source, loop.sources)
        if generation.control:
            named = tuple(source for source in named if source in loop.paid and source not in COPY_WITHIN)
            named = draft = named or (NOTHING_TO_COPY,)
        self.draft = draft
        self.policy = FixedPolicy(tuple(named), generation.draft_length) if generation.draft_length else None

    def start(self, block: Block) -> None:
        """The stage stands already."""

    def stop(self) -> None:
        """It stays for the other arms."""

    def request(self, prompt: Prompt) -> Request:
        """What the session is asked."""
        request: Request = self.stage.session.request(
            prompt.text,
            max_tokens=self.generation.max_tokens,
            workload=f"{self.name}: {prompt.task}",
            remember=False,
            draft=self.draft,
            sampling=self.generation.sampling,
        )
        return request

    def measure(self, prompt: Prompt, repetition: int) -> Cell:
        """Generate, from a cold start unless the arm is a warm one."""
        stage, session, generation = self.stage, self.stage.session, self.generation
        stage.turn(repetition)
        if not generation.warm:
            stage.cool()
        uncooled = prompt.id in stage.seen
        stage.seen.add(prompt.id)
        request = self.request(prompt)
        adaptive, session.loop.policy = session.loop.policy, self.policy or session.loop.policy
        if stage.load:
            stage.load.begin()
        started, begin = stage.now(), stage.clock()
        try:
            completion = session.generate(request)
        finally:
            session.loop.policy = adaptive
        elapsed, wall = stage.clock() - begin, stage.now() - started
        stats: Stats = completion.stats
        busy = stage.load.end().figures if stage.load else {}
        return Cell(
            arm=self.name,
            prompt=prompt.id,
            task=prompt.task,
            repetition=repetition,
            tokens=len(completion.tokens),
            # What the loop does beside its rounds, such as reading the prompt for something to copy, is the arm's too.
            seconds=max(0.0, elapsed - stats.prefill_ms / 1000),
            prefill_tokens=stats.prompt_tokens - stats.reused_tokens,
            prefill_seconds=stats.prefill_ms / 1000,
            engine_rate=stats.tokens_per_second,
            warm=generation.warm,
            started=started,
            answer=completion.text,
            token_ids=tuple(completion.tokens),
            figures={
                **_figures(stats),
                **busy,
                "max_tokens": generation.max_tokens,
                "finish": completion.finish,
                "uncooled": uncooled,
                "elapsed_seconds": elapsed,
                "wall_seconds": wall,
            },
        )


def _figures(stats: Stats) -> Mapping[str, Any]:
    return {
        "prompt_tokens": stats.prompt_tokens,
        "rounds": stats.rounds,
        "tokens_per_round": stats.tokens_per_round,
        "accepted_length": stats.accepted_length,
        "drafted": stats.drafted,
        "accepted": stats.accepted,
        "sources": {
            name: {"drafted": source.drafted, "accepted": source.accepted}
            for name, source in sorted(stats.sources.items())
        },
        "target_ms": stats.target_ms,
        "draft_ms": stats.draft_ms,
        "paid_ms": stats.paid_ms,
        "plan_ms": stats.plan_ms,
    }
