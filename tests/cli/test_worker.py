"""`slipstream worker`: a job file in, a JSON line for every cell out."""

import json
from pathlib import Path

import pytest

from slipstream.cli import main as cli
from tests.cli.conftest import Refuses, slipstream


def write(folder: Path, **changes: object) -> Path:
    prompts = [
        {"id": "one", "task": "copy", "text": "Repeat: apples, pears, plums."},
        {"id": "long", "task": "copy", "text": "word " * 3000},
        {"id": "two", "task": "copy", "text": "Repeat: red, green, blue."},
    ]
    job = {"arm": "stack", "settings": {"max_tokens": 6}, "repetition": 3, "prompts": prompts} | changes
    file = folder / "job.json"
    file.write_text(json.dumps(job))
    return file


def test_a_job_is_measured_line_by_line(root: Path, tmp_path: Path) -> None:
    answer = slipstream("worker", write(tmp_path))
    assert answer.returncode == 0, answer.stderr
    ready, *cells = [json.loads(line) for line in answer.stdout.splitlines()]
    assert "SmolLM2" in ready["ready"]["model"] and ready["ready"]["curve"]["64"]["1"] == 10
    one, long, two = (line["cell"] for line in cells)
    assert (one["arm"], one["prompt"], one["repetition"], one["status"], one["tokens"]) == ("stack", "one", 3, "ok", 6)
    assert one["seconds"] > 0 and one["figures"]["others_cpu"] >= 0 and not one["warm"]
    assert long["status"] == "failed" and "the context holds" in long["reason"]
    assert two["status"] == "ok" and two["prefill_tokens"] > 6, "from a cold start"


def test_bad_jobs(refuses: Refuses, tiny: Path, tmp_path: Path) -> None:
    refuses(2, "nowhere is no job", "worker", tmp_path / "nowhere")
    (tmp_path / "torn").write_text('{"arm": ')
    refuses(2, "torn is no job", "worker", tmp_path / "torn")
    refuses(2, "unknown setting 'thread'", "worker", write(tmp_path, settings={"thread": 2}))
    refuses(2, "is no job", "worker", write(tmp_path, prompts=[{"id": "one"}]))


def test_help_does_not_list_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    assert "worker" not in capsys.readouterr().out
    assert cli.main(["worker", "--help"]) == 0
    assert "{job}" in capsys.readouterr().out
