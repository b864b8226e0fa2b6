"""`slipstream bench`: the commands around the measurements; the measurements themselves have their own tests."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from slipstream.bench import first_light
from slipstream.cli import main as cli
from tests.cli.conftest import Refuses, slipstream


def test_replay(smollm2_path: Path, tmp_path: Path) -> None:
    row = {
        "prompt": "Say it twice.",
        "response": "one two three four five six seven, one two three four five six seven.",
    }
    (tmp_path / "answers.jsonl").write_text(json.dumps(row) + "\n")
    answer = slipstream("bench", "replay", tmp_path / "answers.jsonl", "-m", smollm2_path, "--json")
    assert answer.returncode == 0, answer.stderr
    rows = json.loads(answer.stdout)
    assert {row["drafter"] for row in rows} >= {"suffix", "prompt_lookup"}
    assert all(row["tokens_per_round"] > 1 for row in rows if row["drafter"] == "suffix")


def test_first_light_is_stored_and_goes_on_where_it_stopped(
    root: Path,
    smollm2_path: Path,
    made_up_curve: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = first_light.suites(None)
    monkeypatch.setattr(first_light, "suites", lambda data: [replace(suite, max_tokens=6) for suite in whole])
    line = ["bench", "first-light", "-m", str(smollm2_path), "--short", "1", "-r", "1"]
    assert cli.main(line) == 0
    printed = capsys.readouterr().out
    assert "first light" in printed and "share of the oracle" in printed
    (folder,) = (root / "results").iterdir()
    assert f"stored in {folder}" in printed
    samples = (folder / "samples.jsonl").read_text()
    assert [json.loads(sample)["arm"] for sample in samples.splitlines()] == [
        "plain",
        "stack",
        "oracle",
        "plain",
        "stack",
    ]
    conditions = json.loads((folder / "conditions.json").read_text())
    assert {"engine", "cpu", "models", "clock", "load"} <= set(conditions)
    report = (folder / "report.json").read_text()
    assert cli.main([*line, "--resume", str(folder)]) == 0
    assert (folder / "samples.jsonl").read_text() == samples
    before, after = (json.loads(text)["figures"][0] for text in (report, (folder / "report.json").read_text()))
    before.pop("curve"), after.pop("curve")  # the first run's rounds refined theirs
    assert before == after


def test_bad_arguments(refuses: Refuses, tmp_path: Path, smollm2_path: Path) -> None:
    refuses(2, "there is no folder", "bench", "first-light", "--data", tmp_path / "nowhere")
    refuses(2, "--repetitions is 0", "bench", "first-light", "-r", 0)
    refuses(2, "--short is 0", "bench", "first-light", "--short", 0)
    refuses(2, "holds 0 files", "bench", "first-light", "--data", tmp_path)
    refuses(6, "nowhere holds no run", "bench", "first-light", "-m", smollm2_path, "--resume", tmp_path / "nowhere")
    refuses(6, "can't read .*nowhere.jsonl", "bench", "replay", tmp_path / "nowhere.jsonl", "-m", smollm2_path)
    assert cli.main(["bench"]) == 2
