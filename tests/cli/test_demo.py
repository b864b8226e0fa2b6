"""`slipstream demo`, shortened: every part of the tour, with fewer and shorter answers."""

from pathlib import Path
from typing import Any

import pytest

from slipstream.bench import workload
from slipstream.cli import compare, demo
from slipstream.cli import main as cli
from slipstream.cli import options as shared


def test_tour(
    root: Path, smollm2_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "_model", lambda: smollm2_path)
    pick, run, open_session = workload.pick, compare.run, shared.open_session

    def short_session(**options: Any) -> Any:
        session = open_session(**options)
        stream = session.stream
        session.stream = lambda prompt, max_tokens: stream(prompt, max_tokens=16)
        return session

    monkeypatch.setattr(workload, "pick", lambda prompts, tasks: pick(prompts, tasks, 1))
    monkeypatch.setattr(compare, "run", lambda session, prompts, tokens, repetitions: run(session, prompts, 8, 1))
    monkeypatch.setattr(shared, "open_session", short_session)
    assert cli.main(["demo"]) == 0
    out = capsys.readouterr().out
    assert [out.index(part) for part in ("1. ", "2. ", "3. ", "Next: ")] == sorted(
        out.index(part) for part in ("1. ", "2. ", "3. ", "Next: ")
    )
    assert "16 tokens at " in out and "cost of a target pass" in out
    assert all(task in out for task in ("edit", "copy", "chat")) and "ame output on " in out


def test_the_copy_is_made_once(
    root: Path, smollm2_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from slipstream.engine import requantize
    from slipstream.models import embedded

    made = []

    def copy(source: Path, destination: Path, kind: str) -> Path:
        made.append((source, kind))
        destination.write_bytes(b"made")
        return destination

    monkeypatch.setattr(embedded, "embedded_model", lambda: smollm2_path)
    monkeypatch.setattr(requantize, "requantize", copy)
    assert demo._model() == demo._model() == root / "models" / "SmolLM2-135M-Instruct.Q8_0.gguf"
    assert made == [(smollm2_path, "Q8_0")]
    assert "making a Q8_0 copy" in capsys.readouterr().err
