"""`slipstream bench quality`: answers marked, texts measured, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from slipstream.cli import main as cli
from tests.cli.conftest import Refuses


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("The river rises in the hills above the town, and by the time it reaches the mill it is wide. " * 4)
    return path


def shown(run: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """A stored run, as JSON."""
    assert cli.main(["bench", "show", run, "--json"]) == 0
    value: dict[str, Any] = json.loads(capsys.readouterr().out)
    return value


def test_answers_by_class(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "quality", "-s", "unit_tests", "--each", "1", "-n", "12", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["by_class"]) == ["edit", "code"] and found["all"]["n"] == 2
    assert found["all"]["truncated"] == 2 and found["all"]["share"] == 0
    assert [answer["prompt"] for answer in found["answers"]] == ["edit/0", "code/0"]
    assert cli.main(["bench", "quality", "-s", "exact", "--each", "1", "-n", "4"]) == 0
    out = capsys.readouterr().out
    assert "math" in out and "cut off at its limit of 4 tokens" in out
    assert not list((root / "tmp").iterdir())
    stored = shown(found["run"], capsys)
    assert (stored["kind"], stored["state"]) == ("quality", "complete")
    assert [(cell["prompt"], cell["status"], cell["figures"]["score"]) for cell in stored["cells"]] == [
        ("edit/0", "ok", 0.0), ("code/0", "ok", 0.0)
    ]  # fmt: skip
    assert all(cell["figures"]["outcome"] == "truncated" and cell["tokens"] == 12 for cell in stored["cells"])
    assert stored["plan"]["scorer"] == "unit_tests" and stored["attestation"]["models"]


def test_perplexity_and_divergence_of_a_text(
    root: Path, text: Path, smollm2_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["bench", "quality", "-w", str(text), "--window", "32"]
    assert cli.main([*arguments, "-s", "perplexity", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert 1 < found["value"] < 60 and found["error"] > 0 and found["tokens"] % 15 == 0
    stored = shown(found["run"], capsys)
    (cell,) = stored["cells"]
    assert cell["prompt"] == "text.txt" and cell["figures"]["perplexity"] == found["value"]
    assert cell["figures"]["scored"] == found["tokens"] and len(stored["plan"]["sha256"]) == 64
    assert cli.main([*arguments, "-s", "perplexity"]) == 0
    assert f"perplexity {found['value']:.4g} ± " in capsys.readouterr().out
    assert cli.main([*arguments, "-s", "divergence", "--against", str(smollm2_path)]) == 0
    out = capsys.readouterr().out
    assert (
        "stored as " in out and "KL divergence 0 ± 0 nats a token" in out and "the same likeliest token 100.0 %" in out
    )


def test_what_it_refuses(refuses: Refuses, text: Path, tmp_path: Path) -> None:
    command = ("bench", "quality", "--scorer")
    refuses(2, "unknown scorer 'exat'.*\n.*did you mean 'exact'", *command, "exat")
    refuses(2, "perplexity needs a text", *command, "perplexity")
    refuses(2, "divergence measures one model against another", *command, "divergence", "-w", text)
    refuses(2, "exact measures one model alone", *command, "exact", "--against", text)
    refuses(2, "--each is 0", *command, "exact", "--each", 0)
    refuses(2, "no prompt of task 'poems'", *command, "exact", "--task", "poems")
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"task": "chat", "prompt": "Hello?"}\n')
    refuses(2, "no prompt is one that exact can mark", *command, "exact", "-w", prompts)
