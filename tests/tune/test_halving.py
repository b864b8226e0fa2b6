"""On a simulated machine: the planted optimum is found, and noise is not preferred."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from slipstream.bench.workload import Prompt
from slipstream.tune import halving
from slipstream.tune.configuration import DEFAULT, Configuration
from slipstream.tune.halving import Search
from slipstream.tune.quality_limit import Judgement
from slipstream.tune.race import Launch
from slipstream.tune.tuning import SEARCH, Tuned, tune
from tests.tune.simulated import Machine, configuration, race, tasks

SECONDS = 600.0
KNOBS = ("file", "draft", "threads", "numa", "flash", "repack", "mmap", "batch", "poll", "lock")
OPENING = [*(configuration(knob) for knob in KNOBS), configuration("file", "draft")]

ALONE: Mapping[tuple[str, ...], float] = {("threads",): 1.2, ("flash",): 0.8, ("repack",): 0.7, ("numa",): 0.97}
SUM: Mapping[tuple[str, ...], float] = {**ALONE, ("mmap",): 1.15, ("poll",): 1.12}
JOINT: Mapping[tuple[str, ...], float] = {**ALONE, ("file",): 0.7, ("draft",): 0.9, ("file", "draft"): 2.5}


def tuned(machine: Machine, opening: Sequence[Configuration] = OPENING, seconds: float = SECONDS) -> Tuned:
    parted = tasks()
    return tune(race(machine, parted), parted, opening, seconds)


@pytest.mark.parametrize(
    ("gains", "best"),
    [(ALONE, {"threads"}), (SUM, {"threads", "mmap", "poll"}), (JOINT, {"threads", "file", "draft"})],
    ids=["one change", "three that add up", "two that only pay together"],
)
def test_a_planted_optimum_is_found(gains: Mapping[tuple[str, ...], float], best: set[str]) -> None:
    found = 0
    for seed in range(10):
        machine = Machine(gains, seed)
        result = tuned(machine)
        found += set(result.adopted.options) == best
        assert result.search.race.spent < 1.1 * SECONDS, "it ends in time"
        if result.check and result.check.adopted:
            assert machine.speed(result.adopted) > machine.speed(DEFAULT), "never slower than the default settings"
    assert found >= 9


def test_noise_is_not_preferred() -> None:
    adopted = [tuned(Machine(seed=seed)).adopted.name for seed in range(10)]
    assert adopted.count("default") == 10


def test_a_drifting_machine_favours_nobody() -> None:
    """One percent slower from launch to launch, and half of that again: what is measured late is no slower for it."""
    found = [tuned(Machine(ALONE, seed, drift=lambda launch: -0.01 * launch)).adopted for seed in range(5)]
    assert [set(one.options) for one in found] == [{"threads"}] * 5


def test_time_that_is_too_short_is_used_and_said() -> None:
    machine = Machine(ALONE, 1)
    result = tuned(machine, seconds=150)
    search = result.search
    assert search.untried and search.rungs
    assert {row.configuration.name for row in search.rungs[0].rows}.isdisjoint(one.name for one in search.untried)
    assert search.race.spent <= 150


@pytest.mark.parametrize("seconds", [120, 300, 600, 1800])
def test_every_phase_keeps_to_the_time(seconds: int) -> None:
    """A model of 1.5B on two cores: seconds to open, a curve for everything that is new, slow answers. The simulated
    machine is the clock."""
    machine, known = Machine(JOINT, 3), set[str]()

    def slow(one: Configuration, prompts: Sequence[Prompt]) -> Launch:
        made = machine(one, prompts)
        opening = 5.0 + (0.0 if one.key in known else 12.0)
        known.add(one.key)
        cells = tuple(replace(cell, seconds=3 * cell.seconds) for cell in made.cells)
        return Launch(cells, opening + sum(cell.seconds + cell.prefill_seconds for cell in cells), opening)

    parted = tasks()
    result = tune(race(slow, parted), parted, OPENING, seconds)
    assert result.search.race.spent <= seconds
    if seconds >= 1800:
        assert set(result.adopted.options) >= {"file", "draft"}


def test_time_that_is_left_over_goes_to_what_was_not_tried() -> None:
    """The first rung may take a part of the time only; where nothing it had was worth going on with, there is more."""
    opening = [configuration(knob) for knob in ("flash", "repack", "numa", "batch", "poll", "threads")]
    result = tuned(Machine(ALONE, 1), opening, seconds=180)
    names = [rung.name for rung in result.search.rungs]
    assert "rung 1, the rest" in names and result.search.choice.name == "threads True"
    assert result.search.race.spent <= 180


def test_what_was_not_tried_may_still_join_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(halving, "FIRST_RUNG", 0.15)
    opening = [configuration(knob) for knob in ("threads", "flash", "repack", "numa", "batch", "lock", "mmap")]
    result = tuned(Machine(SUM, 1), opening)
    assert not result.search.untried and set(result.search.choice.options) == {"threads", "mmap"}


def test_without_any_time_the_default_settings_stay() -> None:
    result = tuned(Machine(ALONE, 1), seconds=1)
    assert result.adopted is DEFAULT and result.check is None
    assert len(result.search.untried) == len(OPENING)


def test_a_tie_goes_to_fewer_changes() -> None:
    parted = tasks()
    machine = Machine({("threads",): 1.3}, 3)
    search = Search(race(machine, parted), {task.name: task.chosen for task in parted}, SEARCH * SECONDS)
    choice = search.run([configuration("threads"), configuration("mmap"), configuration("threads", "mmap", "poll")])
    assert set(choice.options) == {"threads"}


def test_what_can_not_be_opened_leaves_the_race_with_its_reason() -> None:
    machine = Machine(ALONE, 2, broken={"numa": "no such node"})
    result = tuned(machine)
    rows = {row.configuration.name: row.fate for row in result.search.rungs[0].rows}
    assert rows["numa True"] == "no such node (edit/0)"
    assert sum(name.startswith("numa") for name, _ in machine.launches) == 1
    assert set(result.adopted.options) == {"threads"}


def test_lossy_changes_join_only_within_the_limit() -> None:
    parted = tasks()
    machine = Machine({("experts",): 2.0, ("cache",): 1.3}, 4)
    opening = [configuration("experts", lossy=True), configuration("cache", lossy=True)]

    def admits(one: Configuration) -> Judgement:
        return Judgement("experts" not in one.options, "perplexity loss 0.3, beyond the limit of 0.02")

    result = tune(race(machine, parted), parted, opening, SECONDS, admits)
    assert set(result.adopted.options) == {"cache"}
    assert result.search.refused == {"experts True": "perplexity loss 0.3, beyond the limit of 0.02"}
    assert not any("experts" in name for name, _ in machine.launches)


def test_rungs_hold_fewer_on_more() -> None:
    rungs = tuned(Machine(SUM, 5), seconds=900).search.rungs
    halving = [rung for rung in rungs if rung.name.startswith("rung")]
    assert len(halving) >= 3
    assert [rung.prompts * rung.launches for rung in halving] == [2**number for number in range(len(halving))]
    assert len(halving[0].rows) > len(halving[-1].rows)
    speeds = [row.speed for row in halving[0].rows]
    assert speeds == sorted(speeds, reverse=True)
