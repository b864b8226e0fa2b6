"""The winner on held-out prompts: adopted if it is faster there, whole interval and all."""

import re

import pytest

from slipstream.bench.statistics import Ratio
from slipstream.tune.winner import LEAST_PAIRS, MOST_PAIRS, SLACK, check, judge
from tests.tune.simulated import Machine, configuration, race, tasks

PARTED = tasks()
CHOSEN = [prompt for task in PARTED for prompt in task.chosen]
HELD = [prompt for task in PARTED for prompt in task.held]
FAST = configuration("fast")


def ratio(value: float, low: float, high: float) -> Ratio:
    return Ratio(value, low, high, 4, 20)


@pytest.mark.parametrize(
    ("objective", "other", "adopted", "says"),
    [
        (ratio(1.2, 1.1, 1.3), ratio(1.1, 1.0, 1.2), True, "faster on prompts"),
        (ratio(1.2, 0.9, 1.5), ratio(1.1, 1.0, 1.2), False, "the interval holds 1"),
        (ratio(1.02, 1.01, 1.03), ratio(1.0, 1.0, 1.0), False, r"may differ by 5\.0 %"),
        (ratio(0.8, 0.7, 0.9), ratio(1.0, 1.0, 1.0), False, "slower on prompts"),
        (ratio(1.2, 1.1, 1.3), ratio(0.9, 0.8, 1.0), False, "not the objective becomes slower: 0.90x"),
        (ratio(1.2, 1.1, 1.3), ratio(0.97, 0.9, 1.0), True, "faster on prompts"),
        (Ratio(1.2, 1.1, 1.3, 2, 4), ratio(1.1, 1.0, 1.2), False, "4 pairs are too few"),
    ],
)
def test_judgement(objective: Ratio, other: Ratio, adopted: bool, says: str) -> None:
    found, why = judge(objective, other, 1.05)
    assert found is adopted
    assert re.search(says, why)


def test_a_real_gain_holds() -> None:
    machine = Machine({("fast",): 1.2}, 1)
    running = race(machine, PARTED)
    running.measure_noise(CHOSEN, 4)
    machine.launches.clear()
    found = check(running, FAST, HELD, running.spent + 240)
    assert found.adopted and 1.1 < found.ratio.low < found.ratio.value < 1.3
    assert LEAST_PAIRS <= found.launches <= MOST_PAIRS
    assert found.ratio.pairs == found.launches * len(HELD)
    # The two take turns at being first.
    names = [name.split(" ")[0] for name, _ in machine.launches]
    assert names[:6] == ["default", "fast", "fast", "default", "default", "fast"]


def test_ten_pairs_at_most_and_none_past_the_end() -> None:
    for until, launches in ((0.0, 0), (1e9, MOST_PAIRS)):
        running = race(Machine({("fast",): 1.2}, seed=2), PARTED)
        running.measure_noise(CHOSEN, 4)
        found = check(running, FAST, HELD, until)
        assert found.launches == launches and found.adopted == bool(launches)
    running = race(Machine({("fast",): 1.2}, seed=2), PARTED)
    running.measure_noise(CHOSEN, 4)
    assert "time was too short" in check(running, FAST, HELD, running.spent + 1).reason


def test_where_time_is_short_it_is_checked_on_fewer_prompts() -> None:
    running = race(Machine({("fast",): 1.2}, seed=2), PARTED)
    running.measure_noise(CHOSEN, 4)
    until = running.spent + SLACK * LEAST_PAIRS * running.cost([FAST], 3)
    found = check(running, FAST, HELD, until, least=2)
    assert found.launches >= LEAST_PAIRS and len(found.ratios) == 3 and running.spent <= until


def test_reading_prompts_faster_is_no_gain_if_decoding_gets_slower() -> None:
    machine = Machine({("fast",): 0.8}, 1, reading=lambda one: 0.1 if one.choices else 5.0)
    running = race(machine, PARTED, "request")
    running.measure_noise(CHOSEN, 4)
    found = check(running, FAST, HELD, 1e9)
    assert found.ratio.value > 1.2 and not found.adopted
    assert "becomes slower: 0.8" in found.reason


def test_a_winner_that_fails_there_is_not_adopted() -> None:
    machine = Machine({("fast",): 1.2}, 1, broken={"fast": "out of memory"})
    running = race(machine, PARTED)
    running.measure_noise(CHOSEN, 4)
    found = check(running, FAST, HELD, 1e9)
    assert not found.adopted and found.launches == 1 and found.reason.startswith("out of memory")
