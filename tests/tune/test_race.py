"""Candidates beside anchors: drift is noticed, thrown away, and paid for."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from slipstream.bench.workload import Prompt
from slipstream.tune.configuration import DEFAULT, Configuration
from slipstream.tune.objective import DegenerateObjective
from slipstream.tune.race import PAUSE, Launch
from tests.tune.simulated import Machine, configuration, race, tasks

FAST = configuration("fast")
EXACT = Machine({("fast",): 1.25}, noise=1e-6, unrest=1e-6)
PARTED = tasks(2)
PROMPTS = [prompt for task in PARTED for prompt in task.chosen]


def exact(**changes: object) -> Machine:
    return replace(EXACT, launches=[], **changes)  # type: ignore[arg-type]


def test_the_first_launch_is_no_measurement() -> None:
    machine = exact(drift=lambda launch: 1.0 if launch == 1 else 0.0)
    found = race(machine, PARTED)
    found.measure_noise(PROMPTS, 4)
    assert len(machine.launches) == 5 and len(found.noise.logs) == 3
    assert max(map(abs, found.noise.logs)) < 1e-3


def test_anchors_stand_on_both_sides_and_serve_two_groups() -> None:
    machine = exact()
    found = race(machine, PARTED)
    found.measure_noise(PROMPTS, 2)
    machine.launches.clear()
    done = found.run([configuration(name) for name in "abcd"], PROMPTS, math.inf)
    names = [name.split(" ")[0] for name, _ in machine.launches]
    # The last launch of the noise floor is the first anchor.
    assert names == ["a", "b", "c", "default", "d", "default"]
    assert [one.name for one in done] == ["a True", "b True", "c True", "d True"]


def test_an_even_drift_between_anchors_cancels_out() -> None:
    found = race(exact(drift=lambda launch: -0.02 * launch), PARTED)
    found.measure_noise(PROMPTS, 2)
    found.run([FAST, configuration("same"), configuration("other")], PROMPTS, math.inf)
    assert math.exp(found.score(FAST)) == pytest.approx(1.25, rel=1e-3)
    assert math.exp(found.score(configuration("same"))) == pytest.approx(1, rel=1e-3)


def test_work_between_anchors_that_part_is_thrown_away_and_repeated_after_a_pause() -> None:
    pauses: list[float] = []
    machine = exact(drift=lambda launch: -0.3 if launch == 5 else 0.0)
    found = race(machine, PARTED)
    found.pause = pauses.append
    found.measure_noise(PROMPTS, 2)
    spent = found.spent
    found.run([FAST], PROMPTS, math.inf)
    # 4 is the candidate, 5 the disturbed anchor; then anchor, candidate and anchor again.
    assert len(machine.launches) == 8 and pauses == [PAUSE]
    assert found.thrown_away == 1 and found.entry(FAST).launches == 1
    assert found.spent > spent + PAUSE
    assert math.exp(found.score(FAST)) == pytest.approx(1.25, rel=1e-3)


def test_a_machine_that_never_rests_measures_nothing() -> None:
    machine = exact(drift=lambda launch: -0.1 * max(0, launch - 3))
    found = race(machine, PARTED)
    found.measure_noise(PROMPTS, 2)
    found.run([FAST], PROMPTS, math.inf)
    assert "unsteady" in found.entry(FAST).reason
    assert found.score(FAST) == -math.inf and found.score(DEFAULT) == 0


def test_what_would_not_end_in_time_is_left_alone() -> None:
    found = race(exact(), PARTED)
    found.measure_noise(PROMPTS, 2)
    assert found.run([FAST], PROMPTS, found.spent + 1) == []
    assert found.run([FAST], PROMPTS, found.spent + found.cost([FAST, DEFAULT], len(PROMPTS))) == [FAST]


def test_of_a_group_as_many_are_measured_as_time_allows() -> None:
    found = race(exact(), PARTED)
    found.measure_noise(PROMPTS, 2)
    group = [FAST, configuration("same"), configuration("other")]
    assert found.run(group, PROMPTS, found.spent + 1.2 * found.cost(group[:2], len(PROMPTS))) == group[:2]


def test_opening_anew_is_expected_to_take_as_long_as_the_slowest_did() -> None:
    """A verify-cost curve is measured when settings are first seen."""
    machine = exact()
    known: set[str] = set()

    def curves(one: Configuration, prompts: Sequence[Prompt]) -> Launch:
        made = machine(one, prompts)
        first = 20.0 if one.key not in known else 0.0
        known.add(one.key)
        return replace(made, seconds=made.seconds + first, opening=made.opening + first)

    found = race(curves, PARTED)
    found.measure_noise(PROMPTS, 2)
    again = found.cost([DEFAULT], 2, anchors=0)
    assert found.cost([FAST], 2, anchors=0) == pytest.approx(again + 20)
    found.run([FAST], PROMPTS, math.inf)
    found.run([FAST], PROMPTS, math.inf)
    assert found.cost([FAST], 2, anchors=0) == pytest.approx(again, rel=0.2)


def test_a_group_is_not_measured_again_past_the_end() -> None:
    found = race(exact(drift=lambda launch: -0.3 * launch), PARTED)
    found.measure_noise(PROMPTS, 2)
    found.noise.logs.clear()
    found.noise.logs.append(0.01)
    begun = found.spent
    found.run([FAST], PROMPTS, begun + found.cost([FAST, DEFAULT], len(PROMPTS)) + 1)
    assert found.thrown_away == 1 and "unsteady" in found.entry(FAST).reason


def test_what_a_launch_takes_is_known_by_prompt() -> None:
    """A rung on fewer prompts than the last one costs less: it must not be left out as too long."""
    found = race(exact(), PARTED)
    found.measure_noise(PROMPTS, 2)
    group = [FAST, configuration("same")]
    on_two = found.cost(group, 2)
    opening = 3 * found.entry(DEFAULT).opening
    assert found.cost(group, 4) - opening == pytest.approx(2 * (on_two - opening))
    found.run(group, PROMPTS * 4, math.inf)
    assert found.cost(group, 2) < on_two
    spent = found.spent
    assert found.run(group, PROMPTS, spent + 30) == group
    assert found.spent - spent < 30


def test_garbage_on_a_prompt_that_the_default_answers_well_ends_it() -> None:
    machine = exact()

    def garbled(bad: Configuration) -> object:
        def launch(one: Configuration, prompts: Sequence[Prompt]) -> Launch:
            made = machine(one, prompts)
            cells = [
                replace(cell, status="garbage", reason="a loop") if one.key == bad.key and not number else cell
                for number, cell in enumerate(made.cells)
            ]
            return Launch(tuple(cells), made.seconds)

        return launch

    found = race(garbled(FAST), PARTED)  # type: ignore[arg-type]
    found.measure_noise(PROMPTS, 2)
    found.run([FAST], PROMPTS, math.inf)
    assert found.entry(FAST).reason == "a loop (edit/0)"
    # Where the default settings give garbage themselves, the prompt says nothing about anybody.
    found = race(garbled(DEFAULT), PARTED)  # type: ignore[arg-type]
    found.measure_noise(PROMPTS, 2)
    found.run([FAST], PROMPTS, math.inf)
    assert found.entry(FAST).reason == "" and list(found.entry(FAST).ratios) == ["chat/0"]


def test_a_busy_machine_is_said_to_be_one() -> None:
    machine = exact()

    def busy(one: Configuration, prompts: Sequence[Prompt]) -> Launch:
        made = machine(one, prompts)
        return replace(made, cells=tuple(replace(cell, status="tainted", reason="others") for cell in made.cells))

    with pytest.raises(DegenerateObjective, match="no two launches of the default settings can be compared"):
        race(busy, PARTED).measure_noise(PROMPTS, 2)


def test_a_mock_is_refused() -> None:
    machine = exact(noise=0.0, unrest=0.0)

    def constant(one: Configuration, prompts: Sequence[Prompt]) -> Launch:
        made = machine(one, prompts)
        return Launch(tuple(replace(cell, seconds=1.0) for cell in made.cells), 1.0)

    with pytest.raises(DegenerateObjective, match=r"exactly 96\.000 tokens a second"):
        race(constant, tasks(2, "a", "b", "c")).measure_noise(
            [prompt for task in tasks(2, "a", "b", "c") for prompt in task.chosen], 2
        )


def test_cells_are_kept_with_their_repetition() -> None:
    found = race(exact(), PARTED)
    found.measure_noise(PROMPTS, 2)
    found.run([FAST], PROMPTS, math.inf)
    places = [(cell.arm, cell.prompt, cell.repetition) for cell in found.cells]
    assert len(set(places)) == len(places) == 2 * 5
    assert [cell.repetition for cell in found.cells if cell.arm == "default"] == [0, 0, 1, 1, 2, 2, 3, 3]
