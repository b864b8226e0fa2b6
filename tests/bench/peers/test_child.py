"""The program that a Python peer runs in, and the arm that starts it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from slipstream.bench.cell import Cell
from slipstream.bench.child_arm import ChildArm
from slipstream.bench.peers import child
from slipstream.bench.peers.arm import child_arm
from slipstream.bench.schedule import Block
from slipstream.core.errors import ChildError
from tests.bench.peers.made import PROMPTS, TOKENS, job
from tests.engine import tiny_gguf

BLOCK = Block(3, "an arm", 1, tuple(TOKENS))


def told(folder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """What the child is told of the block."""
    return dict(child_arm("fake", options, job(folder)).job(BLOCK))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(child.ENGINES, "fake", "tests.bench.peers.fake_engine:open_engine")
    monkeypatch.setattr(child, "PAUSE", 0.0)


@pytest.mark.usefixtures("fake")
def test_a_cell_for_every_prompt(tmp_path: Path) -> None:
    said: list[Mapping[str, Any]] = []
    child.serve(json.loads(json.dumps(told(tmp_path, {}))), said.append)
    assert said[0] == {"ready": True}
    cells = [Cell(**one["cell"]) for one in json.loads(json.dumps(said[1:]))]
    assert [(cell.prompt, cell.task, cell.repetition) for cell in cells] == [("one", "edit", 1), ("two", "chat", 1)]
    first = cells[0]
    assert (list(first.token_ids), first.tokens, first.prefill_tokens) == ([5, 6, 7], 1, 3)
    assert (first.engine_rate, first.figures) == (50.0, {"answered": 3, "drafted": 4})
    # Two tokens that came at once.
    assert cells[1].status == "failed"


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(("fails", "says"), [("open", "no such"), ("answer", "out of memory")])
def test_what_an_engine_raises_is_the_reason(tmp_path: Path, fails: str, says: str) -> None:
    with pytest.raises(Exception, match=says):
        child.serve(told(tmp_path, {"fails": fails}), lambda value: None)


def measured(arm: ChildArm) -> list[Cell]:
    try:
        arm.start(BLOCK)
        return [arm.measure(prompt, BLOCK.repetition) for prompt in PROMPTS]
    finally:
        arm.stop()


def test_a_real_child_on_a_real_model(tmp_path: Path) -> None:
    model = tiny_gguf.dense(tmp_path / "tiny.gguf")
    cells = measured(child_arm("llama-cpp-python", {"match": 2, "length": 4}, job(tmp_path, model=model, context=64)))
    assert [(cell.status, cell.prompt, len(cell.token_ids)) for cell in cells] == [("ok", "one", 16), ("ok", "two", 16)]
    assert list(tmp_path.iterdir()) == [model]


def test_a_child_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(ChildError, match=r"no ready.*Model path does not exist"):
        measured(child_arm("llama-cpp-python", {}, job(tmp_path)))
