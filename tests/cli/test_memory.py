"""`slipstream memory`: list, export and wipe what is remembered."""

import json
from pathlib import Path

import pytest

from slipstream.cli import main as cli
from slipstream.config import load
from slipstream.storage.token_log import TokenLog


@pytest.fixture
def remembered(own_world: Path) -> Path:
    root = load().data_root
    for name, outputs in (("aaaa", [[1, 2, 3], [4]]), ("bbbb", [[5, 6]])):
        with TokenLog(root.memory_file(name), name) as log:
            for tokens in outputs:
                log.append(tokens)
    return root.memory


def test_nothing_yet(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["list"], ["wipe"]):
        assert cli.main(["memory", *arguments]) == 0
        assert capsys.readouterr().out == "nothing is remembered\n"


def test_list(remembered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["memory", "list"]) == 0
    assert "aaaa  2 outputs, 4 tokens," in capsys.readouterr().out
    assert cli.main(["memory", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["tokenizer"], row["outputs"], row["tokens"]) for row in rows] == [("aaaa", 2, 4), ("bbbb", 1, 2)]


def test_list_says_which_is_in_use(remembered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with TokenLog(remembered / "aaaa.tokens", "aaaa"):
        assert cli.main(["memory", "list"]) == 0
    assert "in use by process" in capsys.readouterr().out


def test_export(remembered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["memory", "export", "--tokenizer", "aaaa"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [{"tokenizer": "aaaa", "tokens": [1, 2, 3]}, {"tokenizer": "aaaa", "tokens": [4]}]
    assert cli.main(["memory", "export", "-o", str(tmp_path / "out.jsonl")]) == 0
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 3


def test_wipe(remembered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (remembered / "aaaa.tokens.damaged-1").write_bytes(b"part")
    assert cli.main(["memory", "wipe", "--tokenizer", "aaaa", "--yes"]) == 0
    assert sorted(path.name for path in remembered.iterdir() if path.suffix != ".lock") == ["bbbb.tokens"]
    assert cli.main(["memory", "wipe"]) == 2
    assert "add --yes" in capsys.readouterr().err


def test_unknown_tokenizer(remembered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["memory", "wipe", "--tokenizer", "aaab", "--yes"]) == 2
    assert "did you mean 'aaaa'?" in capsys.readouterr().err
