"""The runner: what is measured and in which order, what survives failures and Ctrl-C, and what is gone on with."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from slipstream.bench.cell import Arm, Cell
from slipstream.bench.doubts import Limits
from slipstream.bench.runner import Outcome, Plan, Progress, measure
from slipstream.core.errors import ChildError, EngineError
from tests.bench.paired import AGAIN, ARMS, BASE, OTHER, MemoryStore, Scripted, cell, prompts, run_of

What = Callable[[str, int], float | BaseException]
TWO = prompts("edit1", "edit2")


@dataclass
class Work:
    """A runner's surroundings."""

    whats: dict[str, What] = field(default_factory=dict)
    store: MemoryStore = field(default_factory=MemoryStore)
    events: list[Any] = field(default_factory=list)
    reports: list[Progress] = field(default_factory=list)
    limits: Limits = field(default_factory=Limits)
    canary: Any = None
    seconds: float = 0.0

    def measure(self, plan: Plan, *arms: Arm) -> Outcome:
        self.events.clear()
        run = run_of(*arms)
        made = {
            arm.name: Scripted(arm.name, self.events, self.whats.get(arm.name, lambda prompt, repetition: 10.0))
            for arm in run.arms
            if arm.role != "repeat"
        }

        def clock() -> float:
            self.seconds += 1
            return self.seconds

        found = measure(
            run, plan, made, self.store, self.limits,
            canary=self.canary, history=(3.0, 4.0), report=self.reports.append, clock=clock, now=lambda: 5.0,
        )  # fmt: skip
        assert not any(arm.running for arm in made.values())
        return found

    @property
    def cells(self) -> list[tuple[str, str, int]]:
        return [(one.arm, one.prompt, one.repetition) for one in self.store.held]


def fails(*places: tuple[str, int]) -> What:
    return lambda prompt, repetition: EngineError("no luck") if (prompt, repetition) in places else 20.0


def test_identical_arms_come_first_then_candidates() -> None:
    work = Work({OTHER: lambda prompt, repetition: 20.0})
    found = work.measure(Plan(prompts=TWO, pairs=4, checks=3))
    firsts, seconds = work.cells[:12], work.cells[12:]
    assert Counter(arm for arm, _, _ in firsts) == {BASE: 6, AGAIN: 6}
    assert Counter(arm for arm, _, _ in seconds) == {BASE: 8, OTHER: 8}
    assert {repetition for _, _, repetition in firsts} == {0, 1, 2}
    assert {repetition for _, _, repetition in seconds} == {3, 4, 5, 6}
    assert len(set(work.cells)) == len(work.cells)
    assert [one.block for one in work.store.held] == list(range(28))
    assert found.state == "complete" and work.store.ends == [("complete", "")]
    assert {claim.arm for claim in found.claims} == {AGAIN, OTHER}
    assert list(found.claims) == work.store.claimed
    assert next(claim for claim in found.claims if claim.arm == OTHER).verdict == "faster"


def test_what_knows_the_answer_runs_with_the_candidates_and_wins_nothing() -> None:
    arms = (*ARMS, Arm(name="oracle", role="bound"))
    work = Work({"oracle": lambda prompt, repetition: 90.0, OTHER: lambda prompt, repetition: 20.0})
    found = work.measure(Plan(prompts=TWO, pairs=6, checks=5, held=("edit2",)), *arms)
    assert Counter(one.arm for one in work.store.held if one.prompt == "edit1") == {
        BASE: 11,
        AGAIN: 5,
        OTHER: 6,
        "oracle": 6,
    }
    assert {one.arm for one in work.store.held if one.prompt == "edit2" and one.repetition >= 5} == {BASE, OTHER}
    assert {claim.standing for claim in found.claims if claim.arm == "oracle"} == {"baseline"}


def test_a_block_of_several_prompts_is_one_start() -> None:
    work = Work()
    work.measure(Plan(prompts=TWO, pairs=1, size=2), *ARMS[::2])
    assert [event for event in work.events if event[0] == "start"] == [
        ("start", BASE, 0, ("edit1", "edit2")),
        ("start", OTHER, 0, ("edit1", "edit2")),
    ]


def test_progress_tells_the_time_left() -> None:
    work = Work()
    work.measure(Plan(prompts=TWO, pairs=2), *ARMS[::2])
    assert [(one.done, one.total) for one in work.reports] == [(number, 8) for number in range(1, 9)]
    assert work.reports[0].what == "edit1, plain"
    assert [one.left for one in work.reports] == [7, 6, 5, 4, 3, 2, 1, 0]  # a tick of the clock a cell


def test_a_failed_cell_is_a_row_and_its_arm_starts_anew() -> None:
    work = Work({OTHER: fails(("edit1", 0))})
    found = work.measure(Plan(prompts=TWO, pairs=1, size=2), *ARMS[::2])
    starts = [event[3] for event in work.events if event[:2] == ("start", OTHER)]
    assert starts == [("edit1", "edit2"), ("edit2",)]
    failed = [one for one in work.store.held if one.status == "failed"]
    assert [(one.arm, one.prompt, one.reason, one.tokens) for one in failed] == [(OTHER, "edit1", "no luck", 0)]
    assert found.state == "complete"


def test_an_arm_that_keeps_failing_is_given_up_and_the_others_go_on() -> None:
    work = Work({OTHER: lambda prompt, repetition: EngineError("no model")})
    found = work.measure(Plan(prompts=TWO, pairs=4), *ARMS[::2])
    ours = [one for one in work.store.held if one.arm == OTHER]
    assert [one.reason for one in ours] == ["no model"] * 3 + ["not tried after 3 failures in a row"] * 5
    assert sum(event[0] == OTHER for event in work.events) == 3
    assert sum(one.arm == BASE and one.status == "ok" for one in work.store.held) == 8
    assert found.claims[0].verdict == "tainted"


def test_without_a_baseline_the_run_fails_and_what_was_measured_stays() -> None:
    work = Work({BASE: lambda prompt, repetition: EngineError("no model")})
    with pytest.raises(Exception, match="the baseline 'plain' failed 3 times in a row: no model"):
        work.measure(Plan(prompts=TWO, pairs=4), *ARMS[::2])
    assert work.store.ends == [("failed", "")]
    assert work.store.held


def test_ctrl_c_keeps_everything_and_the_run_is_gone_on_with() -> None:
    plan = Plan(prompts=TWO, pairs=2, checks=1)
    whole = Work()
    whole.measure(plan)
    for stop in range(12):
        work = Work()
        count = 0

        def interrupts(prompt: str, repetition: int, at: int = stop) -> float | BaseException:
            nonlocal count
            count += 1
            return KeyboardInterrupt() if count == at + 1 else 10.0

        work.whats = {arm.name: interrupts for arm in ARMS}
        found = work.measure(plan)
        assert found.state == "interrupted" and work.store.ends == [("interrupted", "")]
        assert len(work.store.held) == stop and work.store.claimed == []
        held = list(work.store.held)
        assert work.measure(plan).state == "complete"
        assert work.store.held[:stop] == held
        assert set(work.cells) == set(whole.cells)
        extra = len(work.cells) - len(whole.cells)
        assert extra <= 1, "at most one cell of the pair that was cut in two"


def test_a_failed_cell_is_retried_once_with_its_baseline() -> None:
    plan = Plan(prompts=TWO, pairs=1)
    work = Work({OTHER: fails(("edit1", 0))})
    work.store.ends.append(("interrupted", ""))
    work.measure(plan, *ARMS[::2])
    before = len(work.cells)
    work.measure(plan, *ARMS[::2])
    assert work.cells[before:] == [(BASE, "edit1", 0), (OTHER, "edit1", 0)]
    work.measure(plan, *ARMS[::2])
    assert len(work.cells) == before + 2, "twice is enough"


def test_a_failed_baseline_is_retried_with_all_arms() -> None:
    plan = Plan(prompts=TWO, pairs=1)
    work = Work({BASE: fails(("edit2", 0))})
    work.measure(plan, *ARMS[::2])
    before = len(work.cells)
    work.whats = {}
    work.measure(plan, *ARMS[::2])
    assert sorted(work.cells[before:]) == [(BASE, "edit2", 0), (OTHER, "edit2", 0)]


def test_a_full_disk_ends_the_run_and_loses_nothing_that_was_stored() -> None:
    work = Work(store=MemoryStore(fails_at=3))
    with pytest.raises(EngineError, match="disk is full"):
        work.measure(Plan(prompts=TWO, pairs=4))
    assert len(work.store.held) == 3
    assert work.store.ends == [("failed", "")]


def test_a_bug_is_not_swallowed() -> None:
    work = Work({OTHER: lambda prompt, repetition: ZeroDivisionError()})
    with pytest.raises(ZeroDivisionError):
        work.measure(Plan(prompts=TWO, pairs=1))
    assert work.store.ends == [("failed", "")]


def test_cells_are_judged_before_they_are_stored() -> None:
    work = Work(limits=Limits(garbage=lambda text, tokens, limit, finish: "nonsense"))
    work.measure(Plan(prompts=TWO, pairs=1), *ARMS[::2])
    assert {(one.status, one.reason) for one in work.store.held} == {("garbage", "nonsense")}


@dataclass
class Bird:
    """A canary that doubts."""

    says: str

    def before(self) -> Cell:
        return cell("canary", "canary", 0)

    def after(self) -> Cell:
        return cell("canary", "canary", 1)

    def doubt(self, before: Cell, after: Cell, history: Sequence[float]) -> str:
        assert history == (3.0, 4.0)
        assert (before.repetition, after.repetition) == (0, 1)
        return self.says


@pytest.mark.parametrize("says", ["", "too slow"])
def test_the_canary_is_stored_around_the_run_and_may_make_it_suspect(says: str) -> None:
    work = Work(canary=Bird(says))
    found = work.measure(Plan(prompts=TWO, pairs=2))
    assert found.suspect == says and work.store.ends == [("complete", says)]
    assert [one.arm == "canary" for one in work.store.held] == [True, *[False] * 8, True]


def test_what_a_failed_child_said_is_kept_with_its_cell() -> None:
    work = Work({OTHER: lambda prompt, repetition: ChildError("it hung", hint="wait", said="so far\nso good")})
    work.measure(Plan(prompts=TWO, pairs=1), *ARMS[::2])
    failed = [one for one in work.store.held if one.status == "failed"]
    assert [(one.reason, one.figures) for one in failed] == [("it hung. wait", {"said": "so far\nso good"})] * 2


def test_a_winner_is_measured_again_on_what_was_held_out() -> None:
    names = prompts("edit1", "edit2", "edit3", "edit4")
    plan = Plan(prompts=names, pairs=4, checks=3, held=("edit2", "edit4"))
    arms = (*ARMS, Arm(name="slow"))
    work = Work({OTHER: lambda prompt, repetition: 20.0, "slow": lambda prompt, repetition: 8.0})
    found = work.measure(plan, *arms)
    measured = {arm: {prompt for one, prompt, _ in work.cells if one == arm} for arm in (AGAIN, OTHER, "slow")}
    everything = {prompt.id for prompt in names}
    assert measured == {AGAIN: everything, OTHER: everything, "slow": {"edit1", "edit3"}}
    optimum = [claim for claim in found.claims if claim.standing == "optimum"]
    assert {claim.id for claim in optimum} == {"run/stack/edit/held-out", "run/stack/all/held-out"}
    assert work.reports[-1].done == work.reports[-1].total


def test_without_a_winner_nothing_is_measured_again() -> None:
    plan = Plan(prompts=prompts("edit1", "edit2"), pairs=5, checks=5, held=("edit2",))
    work = Work()
    found = work.measure(plan)
    assert {prompt for arm, prompt, _ in work.cells if arm == OTHER} == {"edit1"}
    assert {claim.standing for claim in found.claims if claim.arm == OTHER} == {"candidate"}
