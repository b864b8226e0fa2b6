"""`slipstream tracks` on a tiny model."""

import json
from pathlib import Path

import pytest

from slipstream.cli import main as cli
from slipstream.cli import tracks as module
from tests.engine import tiny_gguf


def rows(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    value = json.loads(capsys.readouterr().out)
    return {track["name"]: track for track in value["tracks"]}


def test_what_there_is_and_what_it_brings(
    tiny: Path, own_world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "PROMPTS", 2)
    monkeypatch.setattr(module, "TOKENS", 12)
    twin = tiny_gguf.dense(own_world / "twin.gguf", context=1024)
    line = ["tracks", str(tiny), "--draft-model", str(twin), "--json"]
    assert cli.main(line) == 0
    before = rows(capsys)
    assert before["draft model"]["status"] == before["suffix decoding"]["status"] == "ready"
    assert before["draft model"]["outcome"] is None
    assert cli.main([*line, "--measure"]) == 0
    measured = rows(capsys)["draft model"]["outcome"]
    assert isinstance(measured, dict) and measured["predicted"] > 0 and len(measured["measured"]) == 3
    assert cli.main(line) == 0
    assert rows(capsys)["draft model"]["outcome"] == measured, "kept between runs"


def test_text(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["tracks", str(tiny)]) == 0
    out = capsys.readouterr().out
    for said in ("draft model", "EAGLE", "Medusa", "CAS-Spec", "missing", "refused", "tracks --measure"):
        assert said in out
