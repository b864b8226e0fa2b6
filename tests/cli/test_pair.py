"""`slipstream pair` on tiny models of random weights, and on bad pairs."""

import json
from pathlib import Path
from typing import Any

import pytest

from slipstream.cli import main as cli
from slipstream.cli import pair as module
from slipstream.host import memory
from slipstream.models import pair as pair_room
from slipstream.models.gguf import read_header
from tests.cli.conftest import Refuses
from tests.engine import tiny_gguf
from tests.models.made import METADATA, TENSORS, made, write

CONTEXT = 1024


@pytest.fixture
def twin(tiny: Path) -> Path:
    """A model with the same weights as `tiny` in another file: it predicts all that `tiny` says."""
    return tiny_gguf.dense(tiny.with_name("twin.gguf"), context=CONTEXT)


def test_json(tiny: Path, twin: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["pair", str(tiny), str(twin), "--json", "--tokens", "64"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert (value["verdict"], value["differing_count"], value["shared_tokens"]) == ("same", 0, len(tiny_gguf.TOKENS))
    # Passes of other widths round otherwise, so a near-tie may fall the other way.
    assert value["acceptance"] > 0.9
    assert value["acceptance_interval"][0] <= value["acceptance"] <= value["acceptance_interval"][1]
    assert value["tokens"] <= 64 and value["threads"] == 1
    assert sum(count for _, count in value["by_task"].values()) == value["tokens"]
    assert value["plain_ms"] > 0 and value["draft_ms"] > 0
    assert value["verify_ms"]["1"] == pytest.approx(value["plain_ms"])
    assert value["speed_up"] == max(1.0, value["speed_up_fixed"], value["speed_up_adaptive"])
    assert value["speed_up_interval"][0] <= value["speed_up_interval"][1]


def test_text(tiny: Path, twin: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["pair", str(tiny), str(twin), "-n", "64"]) == 0
    out = capsys.readouterr().out
    for said in (
        "verdict    same:",
        "acceptance ",
        "% of ",
        "95 % interval",
        "ms a token",
        "plain passes",
        "predicted ",
    ):
        assert said in out
    assert "--draft-model" in out or "plain decoding is as fast" in out


def test_headers_only_loads_nothing(
    tiny: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "run", None)
    path = tiny.with_name("padded.gguf")
    monkeypatch.setattr(tiny_gguf, "TOKENS", [*tiny_gguf.TOKENS[:-1], *(f"<unused{number}>" for number in range(1))])
    tiny_gguf.dense(path)
    assert cli.main(["pair", str(tiny), str(path), "--headers-only"]) == 0
    out = capsys.readouterr().out
    assert "verdict    partial:" in out and "268: 'r' in the target, '<unused0>' in the draft" in out
    assert f"slipstream run --model {tiny} --draft-model {path}" in out


def test_a_foreign_draft(tiny: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # Two bytes' worth of another alphabet would hardly differ: the border is moved instead.
    monkeypatch.setattr(tiny_gguf, "TOKENS", [*tiny_gguf.TOKENS[:-10], *"ABCDEFGHIJ"])
    path = tiny.with_name("foreign.gguf")
    tiny_gguf.dense(path)
    monkeypatch.setattr(pair_room, "LEAST_COVERED", 0.99)
    assert cli.main(["pair", str(tiny), str(path), "-n", "64", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["verdict"] == "foreign" and value["tokens"] > 0
    assert 0.0 <= value["acceptance"] <= 1.0 and value["draft_ms"] > 0


def test_a_translated_draft(tiny: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    letters = list(tiny_gguf.TOKENS)
    letters[-1], letters[-2] = letters[-2], letters[-1]
    monkeypatch.setattr(tiny_gguf, "TOKENS", letters)
    path = tiny_gguf.dense(tiny.with_name("moved.gguf"))
    assert cli.main(["pair", str(tiny), str(path), "-n", "64", "--json"]) == 0
    value: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (value["verdict"], value["differing_count"]) == ("partial", 2)


def test_recommendations() -> None:
    def said(gain: float, low: float, **more: object) -> str:
        value = {"speed_up": gain, "speed_up_interval": [low, 2.0], "best_round": {}} | more
        return module._recommendation(Path("t.gguf"), Path("d.gguf"), value)

    use = "Use it: slipstream run --model t.gguf --draft-model d.gguf is predicted to be 1.50x"
    assert said(1.5, 1.3).startswith(use) and "--tokens" not in said(1.5, 1.3)
    assert said(1.5, 1.0).startswith(use) and said(1.5, 1.0).endswith("try more --tokens.")
    assert said(1.0, 1.0).endswith("(1.00x predicted, 1.00 to 2.00).")
    best = module._best_round(0.5, 10.0, [0.0, 20.0, 34.0, 32.0])
    assert best == {"drafted": 2, "tokens": 0.75, "plain_passes": pytest.approx(1.6)}
    assert said(1.0, 1.0, best_round=best).endswith(
        "2 drafted tokens a round would bring 0.75 tokens for 1.60 plain passes."
    )
    assert module._best_round(0.5, 10.0, [0.0, 20.0]) == {}


def test_bad_pairs(tiny: Path, twin: Path, refuses: Refuses) -> None:
    refuses(2, "are the same model", "pair", tiny, tiny)
    copy = tiny.with_name("copy.gguf")
    copy.write_bytes(tiny.read_bytes())
    refuses(2, "are the same model", "pair", tiny, copy)
    refuses(3, "no model file at", "pair", tiny, tiny.with_name("none.gguf"))
    refuses(2, "--tokens is 3", "pair", tiny, twin, "-n", 3)
    small = write(tiny.with_name("small.gguf"), made(dict(METADATA) | {"llama.context_length": 512}, TENSORS))
    refuses(2, "is larger than its target", "pair", small, tiny)
    short = write(tiny.with_name("short.gguf"), made())
    refuses(5, "trained for 128 tokens, but the target is opened for 512", "pair", tiny, short)
    metadata = {key: value for key, value in METADATA.items() if "tokens" not in key}
    broken = write(tiny.with_name("broken.gguf"), made(metadata | {"llama.context_length": 512}))
    refuses(3, "broken.gguf can't take part: it has no list of tokens", "pair", tiny, broken)


def test_too_large_a_pair_is_refused_before_loading(
    tiny: Path, twin: Path, refuses: Refuses, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = read_header(tiny).file_size
    real = memory.read()
    monkeypatch.setattr(memory, "read", lambda: type("Memory", (), {"available": one, "total": real.total})())
    monkeypatch.setattr(module, "run", None)
    said = refuses(4, "the pair needs about 0.[0-9] GB", "pair", tiny, twin)
    assert "tiny.gguf" in said and "twin.gguf" in said


def test_the_embedded_model_with_itself(root: Path, smollm2_path: Path, refuses: Refuses) -> None:
    refuses(2, "are the same model", "pair", smollm2_path, smollm2_path)
