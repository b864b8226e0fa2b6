"""An interrupted search goes on where it stopped, and comes to the same end."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from slipstream.bench.workload import Prompt
from slipstream.core.errors import StateFileError
from slipstream.tune.configuration import Configuration
from slipstream.tune.race import Launch
from slipstream.tune.record import Record, recorded
from slipstream.tune.tuning import Tuned, tune
from tests.tune.simulated import Machine, configuration, race, tasks

OPENING = [configuration(name) for name in ("threads", "flash", "mmap")]
GAINS: dict[tuple[str, ...], float] = {("threads",): 1.3, ("flash",): 0.8}


class Interrupted:
    """A machine on which somebody presses Ctrl-C after so many launches."""

    def __init__(self, machine: Machine, after: int) -> None:
        self.machine, self.after = machine, after

    def __call__(self, one: Configuration, prompts: Sequence[Prompt]) -> Launch:
        if len(self.machine.launches) == self.after:
            raise KeyboardInterrupt
        return self.machine(one, prompts)


def run(path: Path, machine: Machine, after: int = -1) -> Tuned:
    parted = tasks()
    measure = recorded(Interrupted(machine, after), Record(path))
    return tune(race(measure, parted), parted, OPENING, 200)


@pytest.mark.parametrize("after", [0, 1, 7, 15])
def test_the_end_is_that_of_an_uninterrupted_search(tmp_path: Path, after: int) -> None:
    path = tmp_path / "tune" / "search.jsonl"
    whole = run(tmp_path / "other.jsonl", Machine(GAINS, 3))
    machine = Machine(GAINS, 3)
    with pytest.raises(KeyboardInterrupt):
        run(path, machine, after)
    assert Record(path).known == after
    resumed = run(path, machine)
    assert resumed.check == whole.check and resumed.search.rungs == whole.search.rungs
    assert resumed.search.race.spent == whole.search.race.spent
    assert resumed.search.race.cells == whole.search.race.cells
    # Nothing was measured twice.
    assert len(machine.launches) == Record(path).known


def test_another_course_drops_what_follows(tmp_path: Path) -> None:
    record = Record(tmp_path / "record.jsonl")
    assert [record.answer(question, lambda: "old") for question in ("a", "b", "c")] == ["old"] * 3
    again = Record(record.path)
    assert again.answer("a", lambda: "new") == "old"
    assert again.answer("x", lambda: "new") == "new"
    assert again.answer("c", lambda: "new") == "new"
    third = Record(record.path)
    assert [third.answer(question, lambda: "?") for question in ("a", "x", "c")] == ["old", "new", "new"]


def test_a_line_that_was_cut_off_is_measured_again(tmp_path: Path) -> None:
    record = Record(tmp_path / "record.jsonl")
    record.answer("a", lambda: 1)
    record.answer("b", lambda: 2)
    record.path.write_text(record.path.read_text()[:-6])
    again = Record(record.path)
    assert again.known == 1
    assert again.answer("a", lambda: 9) == 1 and again.answer("b", lambda: 9) == 9
    assert Record(record.path).known == 2


def test_it_can_be_forgotten(tmp_path: Path) -> None:
    record = Record(tmp_path / "record.jsonl")
    record.answer("a", lambda: 1)
    record.forget()
    assert record.known == 0 and not record.path.exists()
    record.forget()


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StateFileError, match="can't be read: it is a folder"):
        Record(tmp_path)
