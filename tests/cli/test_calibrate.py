"""`slipstream calibrate`: measured once, shown as often as one likes."""

import json
from pathlib import Path
from typing import Any

import pytest

from slipstream import assembly
from slipstream.cli import main as cli
from slipstream.cli.calibrate import ranges
from slipstream.control.curve import VerifyCost
from tests.cli.conftest import slipstream


def test_measures_once_then_shows(tiny: Path) -> None:
    first = slipstream("calibrate", "--json")
    assert first.returncode == 0 and first.stderr.startswith("measuring (")
    value = json.loads(first.stdout)
    assert set(value) == {"model", "curve", "parity", "acceptance"}
    assert all(ms > 0 for row in value["curve"]["table"].values() for ms in row.values())
    again = slipstream("calibrate", "--json")
    assert (again.returncode, again.stderr) == (0, "")
    assert json.loads(again.stdout) == value


def test_table(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["calibrate"]) == 0
    out = capsys.readouterr().out
    assert "r[n]" in out and "ms at depth 64" in out
    # The made-up curve: 64 tokens in 1.32 plain passes.
    assert "48.48x" in out and "A draft of 63 right tokens gives 48.48x" in out


def test_force_measures_again(tiny: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.main(["calibrate", "--json"]) == 0
    measured = []

    def measure(*arguments: Any, **options: Any) -> VerifyCost:
        measured.append(1)
        return VerifyCost({1: {1: 7.0}})

    monkeypatch.setattr(assembly, "measure_cost", measure)
    assert cli.main(["calibrate", "--json"]) == 0 and measured == []
    capsys.readouterr()
    assert cli.main(["calibrate", "--json", "--force"]) == 0 and measured == [1]
    assert json.loads(capsys.readouterr().out)["curve"]["table"] == {"1": {"1": 7.0}}


def test_ranges() -> None:
    assert ranges([3, 1, 2, 8]) == "1-3, 8"
    assert ranges([5]) == "5"
