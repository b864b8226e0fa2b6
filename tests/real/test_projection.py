"""A comparison on the embedded model, stored and replayed: the projection of this machine against its measurement."""

import json
from pathlib import Path
from typing import Any

import pytest

from slipstream.bench.projection import GOOD
from slipstream.cli import main as cli

pytestmark = pytest.mark.real


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capsys.readouterr()
    assert cli.main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_stored_comparison_is_predicted(own_world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fast = ("--each", "2", "-n", "64", "--pairs", "2", "--no-control", "--no-canary", "--others", "1")
    compared = run(capsys, "bench", "compare", "--task", "edit", *fast)
    found = run(capsys, "project")
    assert found["sources"] == [compared["run"]]
    whole = [check for check in found["checks"] if check["task"] == "all"] or found["checks"]
    assert whole, "the stored stack could not be replayed"
    for check in whole:
        assert abs(check["error"]) <= GOOD, check
