"""Verdicts on the engine itself: the same arm under two names, and one that sleeps a tenth of its time."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from tests.bench.paired import ARMS, BASE, OTHER, MemoryStore, run_of

from slipstream.assembly import Options, open_session
from slipstream.bench.cell import Arm, Cell
from slipstream.bench.doubts import Limits
from slipstream.bench.runner import Plan, measure
from slipstream.bench.schedule import default_pairs
from slipstream.bench.session_arm import Generation, SessionArm, Stage
from slipstream.bench.workload import Prompt, built_in, pick

pytestmark = pytest.mark.real

GENERATION = Generation(draft="off", max_tokens=24)
SLEEP = 0.11
"""Of a pass's time: a tenth of the speed."""


class Sleepy(SessionArm):
    """Sleeps behind every pass of the target."""

    def measure(self, prompt: Prompt, repetition: int) -> Cell:
        loop = self.stage.session.loop
        awake = loop.target
        loop.target = _Sleeping(awake)
        try:
            return super().measure(prompt, repetition)
        finally:
            loop.target = awake


class _Sleeping:
    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def decode(self, feeds: Sequence[Any]) -> None:
        begin = time.perf_counter()
        self._target.decode(feeds)
        time.sleep(SLEEP * (time.perf_counter() - begin))


@contextmanager
def stage() -> Iterator[Stage]:
    with open_session(Options(memory=False, learn=False, profile=False, context_length=2048)) as session:
        found = Stage(session)
        found.warm_up()
        yield found


def verdict(on: Stage, other: type[SessionArm], number: int) -> str:
    """Of one whole comparison with the default number of pairs, on one prompt."""
    chats = pick(built_in(), ("chat",))
    prompts = (chats[number % len(chats)],)
    pairs = default_pairs(len(prompts))
    arms = {BASE: SessionArm(BASE, on, GENERATION), OTHER: other(OTHER, on, GENERATION)}
    run = run_of(*ARMS[:2], Arm(name=OTHER, role="candidate"))
    plan = Plan(prompts=prompts, pairs=pairs, checks=pairs // 2)
    found = measure(run, plan, arms, MemoryStore(), Limits())
    return next(claim.verdict for claim in found.claims if claim.arm == OTHER and claim.task == "all")


def test_identical_arms_and_one_that_is_a_tenth_slower(own_world: object) -> None:
    with stage() as on:
        same = [verdict(on, SessionArm, number) for number in range(20)]
        slow = [verdict(on, Sleepy, number) for number in range(10)]
    assert len(same) - same.count("no difference seen") <= 1, same
    assert slow.count("slower") >= 9, slow
