"""`slipstream bench peers` as a user runs it, with a stand-in for llama-server, and stand-ins for our own children."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slipstream.bench.cell import Cell
from slipstream.bench.peers import llama_server, openvino
from slipstream.bench.peers.ports import Job, Reply
from slipstream.bench.peers.timing import cell_of
from slipstream.bench.schedule import Block
from slipstream.bench.store import FILE, ResultStore
from slipstream.bench.workload import Prompt
from slipstream.cli import bench_peers, peers_arms, peers_table
from slipstream.cli import main as cli
from tests.bench.peers.fake_server import token
from tests.bench.peers.made import binary
from tests.cli.conftest import Refuses

WORKLOAD = [
    {"id": "one", "task": "edit", "prompt": "Say the alphabet."},
    {"id": "two", "task": "chat", "prompt": "And now say it backwards, if you can."},
]
TOKENS = 8


class Ours:
    """Says what the stand-in for llama-server says, but for one token of the second prompt."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def start(self, block: Block) -> None: ...

    def stop(self) -> None: ...

    def measure(self, prompt: Prompt, repetition: int) -> Cell:
        asked = self.job.questions[prompt.id].tokens
        tokens = [token(list(asked), place) for place in range(TOKENS)]
        if prompt.id == "two":
            tokens[4] = 260
        arrivals = tuple((0.1 * (count + 1), count + 1) for count in range(TOKENS))
        cell = cell_of(prompt.id, prompt.task, repetition, len(asked), Reply(tokens=tuple(tokens), arrivals=arrivals))
        return replace(cell, answer="The alphabet, as it was asked for.")


@pytest.fixture
def workload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two prompts; Slipstream's arms are stand-ins, and no other engine is installed."""

    def our_arm(name: str, settings: Mapping[str, Any], job: Job) -> Ours:
        return Ours(job)

    monkeypatch.setattr(peers_arms, "our_arm", our_arm)
    monkeypatch.setattr(llama_server, "installed", lambda: None)
    monkeypatch.setattr(openvino, "find_spec", lambda name: None)
    path = tmp_path / "workload.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in WORKLOAD))
    return path


def line(workload: Path, *more: object) -> list[str]:
    common = ("bench", "peers", "--workload", workload, "--pairs", 1, "-n", TOKENS, "--no-canary", "--others", 1)
    return [str(word) for word in (*common, "--length", 8, "--peer", "llama-server", *more)]


def test_peers_are_measured_stored_and_compared(
    tiny: Path, own_world: Path, workload: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(line(workload, "--llama-server", binary(own_world), "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    rows = {row["arm"]: row for row in found["rows"]}
    assert {"slipstream plain", "slipstream stack", "llama-server plain", "llama-server ngram-simple 8"} <= set(rows)
    assert {duel["arm"] for duel in found["duels"]} == {"slipstream stack"} and len(found["duels"]) == 1
    assert rows["slipstream plain"]["output"] == rows["slipstream stack"]["output"] == "same"
    plain = rows["llama-server plain"]
    assert [one["prompt"] for one in plain["parted"]] == ["two"] and plain["parted"][0]["token"] == 4
    assert plain["parted"][0]["logit_gap"] > 0 and plain["prompts"] == 2
    missing = rows["llama-server ngram-map-k 8"]
    assert missing["output"] == "none" and "has no --spec-ngram-map-k-size-n" in missing["lost"][0]["reason"]
    with ResultStore.open(own_world / "root" / "results" / FILE) as store:
        run = store.run(found["run"])
        assert (run.kind, run.state) == ("peers", "complete")
        arms = {arm.name: arm for arm in run.arms}
        assert arms["slipstream plain"].role == "baseline" and arms["slipstream plain, again"].role == "repeat"
        assert "--spec-type" in arms["llama-server ngram-simple"].configuration["argv"]
        assert {cell.status for cell in store.cells(run.id) if cell.arm == missing["arm"]} == {"failed"}


def test_the_table_names_what_is_not_installed(
    tiny: Path, workload: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slipstream.bench.peers.llama_cpp_python.settings", lambda offer: [])
    words = line(workload)
    at = words.index("--peer")
    assert cli.main([*words[:at], *words[at + 2 :]]) == 0
    printed = capsys.readouterr().out
    assert "not installed: pip install 'slipstream-llm[peers]'" in printed and "openvino" in printed
    assert "stored as" in printed


def test_arguments_that_can_not_be_measured(refuses: Refuses, tiny: Path, workload: Path) -> None:
    refuses(2, "the peer llama-server isn't installed", *line(workload))
    refuses(2, "unknown peer 'openvin'.*did you mean 'openvino'|unknown peer", *line(workload, "--peer", "openvin"))
    refuses(2, "--length is 0", *line(workload, "--length", "0"))
    refuses(2, "there is no file", *line(workload, "--draft-model", "nowhere.gguf"))
    refuses(2, "there is no file", *line(workload, "--llama-server", "nowhere"))
    refuses(2, "--max-tokens is 0", *line(workload, "-n", "0"))
    refuses(2, "--screen is 2, of 2 prompts", *line(workload, "--screen", "2"))
    refuses(2, r"tiny\.gguf has no profile here(.|\n)*slipstream tune", *line(workload, "--tuned"))
    refuses(2, "in other weights", *line(workload, "--variant", tiny))


def test_each_engine_s_fastest_setting_of_all_files_goes_into_the_final(
    tiny: Path, own_world: Path, workload: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tiny.with_name("other.gguf")
    other.write_bytes(tiny.read_bytes())
    monkeypatch.setattr(bench_peers, "_variants", lambda path, given: [str(other)])
    monkeypatch.setattr(peers_arms, "tuned_settings", lambda path: {"model": str(other), "draft": "off"})
    words = line(workload, "--llama-server", binary(own_world), "--tuned", "--screen", 1, "--json")
    assert cli.main(words) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert "The final, on the other prompts: slipstream tuned, " in printed.err
    arms = {row["arm"]: row for row in found["rows"]}
    assert {row["peer"] for row in found["rows"]} == {"slipstream", "llama-server"}
    assert len([row for row in found["rows"] if row["peer"] == "llama-server"]) == 1
    assert {"slipstream plain", "slipstream plain, other.gguf", "slipstream tuned"} <= set(arms)
    assert [duel["arm"] for duel in found["duels"]] == ["slipstream tuned"]
    with ResultStore.open(own_world / "root" / "results" / FILE) as store:
        first, last = store.run(found["screened"]), store.run(found["run"])
        assert {cell.prompt for cell in store.cells(first.id)} == {"one"}
        assert {cell.prompt for cell in store.cells(last.id)} == {"two"}
    assert {"llama-server plain", "llama-server plain, other.gguf"} <= {arm.name for arm in first.arms}


def test_who_goes_into_the_final() -> None:
    rows: list[dict[str, Any]] = [
        {"peer": "a", "arm": "a slow", "tokens_per_second": 10.0},
        {"peer": "b", "arm": "b none", "tokens_per_second": None},
        {"peer": "a", "arm": "a other answers", "tokens_per_second": 20.0},
        {"peer": "b", "arm": "b other answers", "tokens_per_second": 9.0},
    ]
    assert peers_table.finalists(rows) == ["a slow", "b other answers"]
