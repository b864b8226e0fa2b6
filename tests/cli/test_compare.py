"""`slipstream compare`: pairs on given prompts, and what parts."""

import json
from pathlib import Path

import pytest

from slipstream.cli import main as cli
from tests.cli.conftest import Refuses, slipstream

PROMPTS = [
    {"id": "one", "task": "copy", "prompt": "Repeat: apples, pears, plums, cherries, apricots, peaches, quinces."},
    {"id": "two", "task": "copy", "prompt": "Repeat: red, green, blue, white, black, yellow, brown, pink."},
    {"id": "three", "task": "chat", "turns": ["Why do bicycles stay upright?"]},
]


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    file = tmp_path / "prompts.jsonl"
    file.write_text("".join(json.dumps(prompt) + "\n" for prompt in PROMPTS))
    return file


def test_as_json(root: Path, prompts: Path) -> None:
    answer = slipstream("compare", prompts, "--each", 1, "-n", 16, "-r", 2, "--json")
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout)
    assert [row["task"] for row in found["rows"]] == ["copy", "chat", "all"]
    assert found["rows"][-1]["prompts"] == 2 and found["rows"][-1]["pairs"] == 4
    assert all(row["interval"][0] <= row["speed_up"] <= row["interval"][1] for row in found["rows"])
    samples = [(s["prompt"], s["arm"], s["repetition"]) for s in found["samples"]]
    assert sorted(set(samples)) == sorted(samples) and len(samples) == 8
    # In turn: the arms swap places from prompt to prompt and from repetition to repetition.
    assert [arm for _, arm, _ in samples] == ["plain", "stack", "stack", "plain", "stack", "plain", "plain", "stack"]
    assert all(divergence["logit_gap"] < 0.5 for divergence in found["divergences"])
    # Nothing is remembered of a comparison.
    assert {path.name for path in (root / "state").iterdir()} == {"curves"}


def test_table(root: Path, prompts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compare", str(prompts), "--task", "copy", "-n", "12", "-r", "1"]) == 0
    out = capsys.readouterr().out
    assert "speed-up" in out and "copy" in out and "chat" not in out
    assert "ame output on " in out


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"prompt": "x"}\n{"prompt": ', "line 2: not JSON"),
        (b'{"text": "x"}\n', "line 1: no prompt"),
        (b'{"id": 1, "prompt": "x"}\n{"id": 1, "prompt": "y"}\n', "id '1' occurs twice"),
        (b"\xff\xfe", "not UTF-8 at byte 0"),
        (b"\n", "holds no prompt"),
    ],
)
def test_bad_prompt_files(refuses: Refuses, tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "bad.jsonl").write_bytes(content)
    refuses(2, says, "compare", tmp_path / "bad.jsonl")


def test_bad_arguments(refuses: Refuses, tmp_path: Path) -> None:
    refuses(2, "can't read .*nowhere.jsonl", "compare", tmp_path / "nowhere.jsonl")
    refuses(2, "no prompt of task 'edits'", "compare", "--task", "edits")
    for option in ("--each", "--repetitions", "--max-tokens"):
        refuses(2, f"{option} is 0", "compare", option, 0)
    refuses(2, "unknown drafter 'sufix'.*\n.*did you mean 'suffix'", "compare", "--draft", "sufix")
