"""Verdicts on the engine itself: 20 comparisons of an arm with itself under another name, 10 with one a tenth slower.
About 9 minutes on 2 cores. Every verdict is written, as soon as there is one, to verdicts.json in the folder that
SLIPSTREAM_RESULTS names, else in the test's own."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from tests.bench.paired import ARMS, BASE, OTHER, MemoryStore, run_of

from slipstream.assembly import Options, open_session
from slipstream.bench.cell import Arm, Cell
from slipstream.bench.doubts import Limits
from slipstream.bench.runner import Plan, measure
from slipstream.bench.schedule import default_checks, default_pairs
from slipstream.bench.session_arm import Generation, SessionArm, Stage
from slipstream.bench.workload import Prompt, built_in, pick
from slipstream.engine.build import engine_build
from slipstream.host import attest
from slipstream.host.load import Sentinel
from slipstream.storage.files import write_atomic

pytestmark = pytest.mark.real

RESULTS = os.environ.get("SLIPSTREAM_RESULTS")
SAME, SLOW = 20, 10
GENERATION = Generation(draft="off", max_tokens=32)
SLEEP = 1 / 0.9 - 1
"""Of a pass's time: the speed is then nine tenths."""
OVERSLEPT = 2e-4
"""Seconds by which the system may wake us too late; the rest is spent waiting awake, so that the slowdown is exact."""
MOST_TAINTED = 3
"""Comparisons that other load may spoil before nothing can be said about the rest."""


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
        end = time.perf_counter() + SLEEP * (time.perf_counter() - begin)
        time.sleep(max(0.0, end - time.perf_counter() - OVERSLEPT))
        while time.perf_counter() < end:
            pass


@contextmanager
def stage() -> Iterator[Stage]:
    with open_session(Options(memory=False, learn=False, profile=False, context_length=2048)) as session:
        found = Stage(session, load=Sentinel())
        found.warm_up()
        yield found


def compared(on: Stage, other: type[SessionArm], number: int) -> dict[str, Any]:
    """One whole comparison with the default number of pairs, on one prompt, judged as every run is."""
    chats = pick(built_in(), ("chat",))
    prompts = (chats[number % len(chats)],)
    pairs = default_pairs(len(prompts))
    arms = {BASE: SessionArm(BASE, on, GENERATION), OTHER: other(OTHER, on, GENERATION)}
    run = run_of(*ARMS[:2], Arm(name=OTHER, role="candidate"))
    plan = Plan(prompts=prompts, pairs=pairs, checks=default_checks(pairs))
    begin = time.monotonic()
    found = measure(run, plan, arms, MemoryStore(), Limits())
    claim = next(claim for claim in found.claims if claim.arm == OTHER and claim.task == "all")
    told = {name: None if value != value else value for name, value in asdict(claim).items()}
    return {
        "planted": "a tenth slower" if other is Sleepy else "nothing",
        "prompt": prompts[0].id,
        **{name: told[name] for name in ("verdict", "value", "low", "high", "pairs", "floor", "detectable", "reason")},
        "cells": dict(Counter(cell.status for cell in found.cells)),
        "seconds": round(time.monotonic() - begin, 1),
    }


def test_identical_arms_and_one_that_is_a_tenth_slower(
    tmp_path: Path, own_world: object, capsys: pytest.CaptureFixture[str]
) -> None:
    file = Path(RESULTS or tmp_path) / "verdicts.json"
    build = engine_build()
    host = attest.read(engine=build.build_id, system_info=build.system_info).to_json()
    found: list[dict[str, Any]] = []
    with stage() as on:
        for number in range(SAME + SLOW):
            # Two of one kind and one of the other: whatever the machine does meanwhile, it does to both.
            other = Sleepy if number % 3 == 2 else SessionArm
            one = compared(on, other, number)
            found.append(one)
            write_atomic(file, json.dumps({"host": host, "comparisons": found}, indent=1) + "\n")
            with capsys.disabled():
                figures = f"{one['value'] or 0:.3f} ({one['low'] or 0:.3f} to {one['high'] or 0:.3f})"
                print(f"\n{number + 1}/{SAME + SLOW} {one['planted']}: {one['verdict']} {figures}", end="", flush=True)
    same = Counter(one["verdict"] for one in found if one["planted"] == "nothing")
    slow = Counter(one["verdict"] for one in found if one["planted"] != "nothing")
    assert (same.total(), slow.total()) == (SAME, SLOW)
    assert same["tainted"] + slow["tainted"] <= MOST_TAINTED, f"the machine is too busy to tell: {file}"
    assert same["faster"] + same["slower"] <= 1, same
    assert slow["slower"] >= 9, slow
