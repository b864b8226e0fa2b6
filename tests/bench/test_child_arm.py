"""Arms in real child processes; the children only pretend to measure."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slipstream.bench.child_arm import ChildArm
from slipstream.bench.doubts import Limits
from slipstream.bench.runner import Plan, measure
from slipstream.bench.schedule import Block
from slipstream.core.errors import ChildError
from tests.bench.paired import ARMS, BASE, OTHER, MemoryStore, prompts, run_of

CHILD = """
import json, sys, time
job = json.load(open(sys.argv[1]))
{before}
print(json.dumps({{"ready": 1}}), flush=True)
for prompt in job["prompts"]:
    {each}
    print(json.dumps({{"cell": {{
        "arm": "x", "prompt": prompt, "task": "edit", "repetition": job["repetition"], "tokens": 10, "seconds": 2.0,
        "token_ids": [1, 2], "figures": {{"n": 1}}
    }}}}), flush=True)
{after}
"""
TWO = prompts("edit1", "edit2")
BLOCK = Block(4, OTHER, 7, ("edit1", "edit2"))


def arm(folder: Path, before: str = "", each: str = "pass", after: str = "", **limits: float) -> ChildArm:
    code = CHILD.format(before=before, each=each, after=after)
    argv = [sys.executable, "-I", "-S", "-c", code]
    return ChildArm(
        argv,
        {"PATH": os.environ["PATH"]},
        lambda block: {"prompts": block.prompts, "repetition": block.repetition},
        folder,
        **limits,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where job files are written; none is left behind."""
    yield tmp_path
    assert not list(tmp_path.glob("job*"))


def test_a_block_is_one_child_whose_cells_come_one_by_one(folder: Path) -> None:
    measured = arm(folder)
    measured.start(BLOCK)
    first = measured.measure(TWO[0], 7)
    assert (first.prompt, first.repetition, first.rate, first.token_ids) == ("edit1", 7, 5.0, (1, 2))
    assert measured.measure(TWO[1], 7).prompt == "edit2"
    measured.stop()
    measured.stop()


@pytest.mark.parametrize(
    ("before", "says"),
    [
        ("sys.exit('error: no such model')", "ended with code 1 and no ready.*no such model"),
        ("time.sleep(60)", "took over 0.5 s"),
        ("print('hello')", "wrote 'hello' in place of a ready"),
    ],
)
def test_a_child_that_can_not_start_is_an_error_with_its_last_words(folder: Path, before: str, says: str) -> None:
    measured = arm(folder, before, opening=0.5 if "sleep" in before else 20)
    with pytest.raises(ChildError, match=says):
        measured.start(BLOCK)
    measured.stop()


HANGS = "if prompt == 'edit1' and job['repetition'] == 1: print('{\"cell\": half', end='', flush=True); time.sleep(60)"


def test_a_hanging_cell_costs_its_limit_and_nothing_else(folder: Path) -> None:
    hangs = arm(folder, each=HANGS, cell=0.5)
    store = MemoryStore()
    run = run_of(*ARMS[::2])
    plan = Plan(prompts=TWO, pairs=2, size=2)
    measure(run, plan, {BASE: arm(folder), OTHER: hangs}, store, Limits())
    ours = {(one.prompt, one.repetition): one for one in store.held if one.arm == OTHER}
    assert {place: one.status for place, one in ours.items()} == {
        ("edit1", 0): "ok", ("edit2", 0): "ok", ("edit1", 1): "failed", ("edit2", 1): "ok",
    }  # fmt: skip
    hung = ours["edit1", 1]
    assert "the child that measures 'stack' was ended: it took over 0.5 s" in hung.reason
    assert hung.figures == {"said": '{"cell": half'}


def test_a_child_that_measures_something_else_is_an_error(folder: Path) -> None:
    measured = arm(folder)
    measured.start(BLOCK)
    with pytest.raises(ChildError, match="measured edit1 where edit2 was its turn"):
        measured.measure(TWO[1], 7)
    measured.stop()


def test_a_child_is_told_its_job_in_a_file(folder: Path) -> None:
    measured = arm(folder, before="assert sys.stdin.read() == ''")
    measured.start(BLOCK)
    (file,) = folder.glob("job*")
    assert json.loads(file.read_text()) == {"prompts": ["edit1", "edit2"], "repetition": 7}
    measured.stop()
