"""`slipstream selfdraft` on SmolLM2: a search of seconds, a file that drafts, and nothing lost on Ctrl-C."""

import json
from pathlib import Path
from typing import Any

import pytest

from slipstream.cli import main as cli
from slipstream.cli.selfdraft_table import show
from slipstream.core.skip import SkipSet
from slipstream.engine.options import ModelOptions
from slipstream.engine.target import LlamaTarget
from slipstream.models.gguf import read_header
from slipstream.models.pruned import pruned_from
from slipstream.selfdraft.found import Found
from slipstream.selfdraft.matchness import Matchness
from tests.cli.conftest import Refuses, files
from tests.engine import tiny_gguf


@pytest.fixture
def quick(root: Path) -> list[str]:
    """One short prompt of task "count", sixteen tokens of answer."""
    prompts = root.parent / "prompts.jsonl"
    prompts.write_text('{"task": "count", "prompt": "Count from one to twenty in words."}\n')
    return ["selfdraft", "--prompts", str(prompts), "--task", "count", "--max-tokens", "16", "--json"]


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert cli.main(list(arguments)) == 0
    return json.loads(capsys.readouterr().out)


def test_finds_writes_and_lists(
    root: Path, quick: list[str], smollm2_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    value = ran(capsys, *quick, "--ratio", "0.1", "--method", "clasp")
    (found,) = value["found"]
    assert value["model"] == smollm2_path.name and found["method"] == "clasp" and found["task"] == "count"
    # floor(2 * 28 * 0.1) = 5 sub-layers: two whole blocks, and neither end.
    assert found["skip"]["attention"] == found["skip"]["feed_forward"] and len(found["skip"]["attention"]) == 2
    assert not {0, 29} & set(found["skip"]["attention"])
    assert 0 < found["held_out"] <= 1 and 0 < found["cost"] < 1

    path = Path(found["file"])
    assert path.parent == root / "models"
    header = read_header(path)
    assert header.block_count == 28
    pruned = pruned_from(header)
    assert pruned and pruned.skip == SkipSet.of_blocks(tuple(found["skip"]["attention"]))
    assert pruned.method == "clasp" and pruned.notes["task"] == "count"
    LlamaTarget.open(ModelOptions(path, threads=1, context_length=64)).close()

    assert ran(capsys, "selfdraft", "--list", "--json")["found"] == [found]
    assert cli.main(["selfdraft", "--list"]) == 0
    assert str(path) in capsys.readouterr().out.replace("\n", "")
    before = files(root / "models")
    again = ran(capsys, *quick, "--ratio", "0.1")["found"][0]
    assert again["skip"] == found["skip"] and again["file"] == found["file"] and files(root / "models") == before


def test_ctrl_c_keeps_the_search(
    root: Path, quick: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [*quick, "--ratio", "0.1", "--method", "blocks", "--no-file"]
    calls: list[SkipSet] = []

    def made_up(matchness: Any, skip: SkipSet) -> float:
        calls.append(skip)
        if len(calls) == 6:  # after two of the self-test and three candidates
            raise KeyboardInterrupt
        return 0.5 if len(skip) else 1.0

    monkeypatch.setattr(Matchness, "agreement", made_up)
    assert cli.main([*command, "--candidates", "5"]) == 130
    printed = capsys.readouterr()
    assert "interrupted: what was tried is kept" in printed.err and printed.out == ""
    (found,) = ran(capsys, *command, "--candidates", "5")["found"]
    assert found["candidates"] == 5 and found["file"] == ""
    tried = json.loads(next((root / "state" / "selfdraft").rglob("*.search.json")).read_text())["state"]["tried"]
    assert [SkipSet(tuple(a), tuple(f)) for a, f, _ in tried[:3]] == calls[2:5]


def test_self_test(root: Path, quick: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    value = ran(capsys, *quick, "--self-test")
    assert value["nothing"] == 1 > value["everything"]
    assert list(value["blocks"]) == [str(block) for block in range(1, 29)]
    assert not (root / "models").exists() or not files(root / "models")


def test_own_prompts_of_a_base_model(tiny: Path, own_world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = tiny_gguf.dense(own_world / "base.gguf")
    prompts = own_world / "mine.jsonl"
    prompts.write_text('{"prompt": "one two"}\n{"prompt": "three four"}\n')
    arguments = ["selfdraft", str(base), "--prompts", str(prompts), "--ratio", "0.5", "--method"]
    output = own_world / "out.gguf"
    value = ran(capsys, *arguments, "swift", "--candidates", "4", "--output", str(output), "--json")
    assert value["found"][0]["task"] == "mine" and output.exists()
    assert cli.main([*arguments, "knapsack", "--no-file"]) == 0
    out = capsys.readouterr().out
    assert "knapsack" in out and "agreement" in out


def test_refusals_come_before_the_model_is_loaded(tiny: Path, own_world: Path, refuses: Refuses) -> None:
    recurrent = tiny_gguf.recurrent(own_world / "r.gguf")
    (own_world / "there.gguf").write_bytes(b"")
    refuses(2, "unknown method 'swfit'.*\n.*did you mean 'swift'", "selfdraft", "--method", "swfit")
    refuses(2, "--ratio is 1.5", "selfdraft", "--ratio", "1.5")
    refuses(2, "--max-tokens is 4", "selfdraft", "-n", "4")
    refuses(2, "--enough is 2", "selfdraft", "--enough", "2")
    refuses(2, "nothing to try", "selfdraft", "--candidates", "0")
    refuses(2, "no prompt of task 'poetry'", "selfdraft", "--task", "poetry")
    refuses(2, "exists", "selfdraft", "--output", own_world / "there.gguf")
    refuses(2, "running state", "selfdraft", recurrent)
    window = tiny_gguf.dense(own_world / "w.gguf", window=8)
    refuses(2, "can't be left out apart", "selfdraft", window, "--method", "swift")
    refuses(3, "no model file", "selfdraft", own_world / "none.gguf")


def test_nothing_found_yet(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["selfdraft", "--list"]) == 0
    assert "Nothing was found for tiny.gguf yet" in capsys.readouterr().out


def test_table_says_when_it_does_not_pay(capsys: pytest.CaptureFixture[str]) -> None:
    found = Found(SkipSet((1,), ()), "swift", 0.1, 0.5, 0.4, 9.0, 0.9, 1, 0.8, 4, 1.0, "chat")
    show("m.gguf", [found], False)
    assert "None of them is expected to be faster" in capsys.readouterr().out
