"""`slipstream bench peers` as a user runs it, with a stand-in for llama-server, and stand-ins for our own children."""

import json
from collections.abc import Mapping
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
from slipstream.cli import bench_peers
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
        return cell_of(prompt.id, prompt.task, repetition, len(asked), Reply(tokens=tuple(tokens), arrivals=arrivals))


@pytest.fixture
def workload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two prompts; Slipstream's arms are stand-ins, and no other engine is installed."""

    def our_arm(name: str, settings: Mapping[str, Any], job: Job) -> Ours:
        return Ours(job)

    monkeypatch.setattr(bench_peers, "_our_arm", our_arm)
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
