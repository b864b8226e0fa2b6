"""`slipstream bench`: the commands around the measurements; the measurements themselves have their own tests."""

import json
from pathlib import Path

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


def test_first_light_without_data(refuses: Refuses, tmp_path: Path) -> None:
    refuses(2, "holds 0 files", "bench", "first-light", "--data", tmp_path)


def test_bad_arguments(refuses: Refuses, tmp_path: Path, smollm2_path: Path) -> None:
    refuses(6, "can't read .*nowhere.jsonl", "bench", "replay", tmp_path / "nowhere.jsonl", "-m", smollm2_path)
    assert cli.main(["bench"]) == 2
