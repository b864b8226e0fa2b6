"""`slipstream project` on a tiny model with answers made up for it."""

import json
from pathlib import Path
from typing import Any

import pytest

from slipstream.bench.compare import Sample
from slipstream.bench.record import Entry, RunRecord
from slipstream.bench.store import FILE, ResultStore
from slipstream.bench.store_rows import StoredRun, WholeRun
from slipstream.bench.workload import Prompt
from slipstream.cli import main as cli
from slipstream.core.stats import Stats
from tests.cli.conftest import Refuses

PROMPTS = {"a": "red green blue " * 4, "b": "one two three " * 4}


@pytest.fixture
def run(tiny: Path, own_world: Path) -> Path:
    """A stored run: plain decoding at 10 tokens a second, the stack at 20."""
    record = RunRecord(own_world / "run")
    record.begin({})
    for arm, milliseconds in (("plain", 100.0), ("stack", 50.0)):
        for name in PROMPTS:
            tokens = (5, 6, 7, 8) * 10
            stats = Stats(tokens=len(tokens), rounds=len(tokens), decode_ms=milliseconds * len(tokens))
            record.append(Entry("mix", tiny.name, Sample(Prompt(name, "copy", ""), arm, 0, tokens, "", stats), ()))
    (own_world / "prompts.jsonl").write_text(
        "".join(json.dumps({"id": name, "task": "copy", "prompt": text}) + "\n" for name, text in PROMPTS.items())
    )
    return own_world / "run"


def arguments(run: Path, *more: str) -> list[str]:
    return [
        "project", "--from", str(run), "--prompts", str(run.parent / "prompts.jsonl"), "--bandwidth", "40", *more
    ]  # fmt: skip


def test_json(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments(run, "--json", "--host", "epyc-9655", "--host", "epyc-9655-tuned")) == 0
    value: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert value["kind"] == "projection"
    assert [(row["machine"], row["task"], row["prompts"]) for row in value["rows"]] == [
        ("here", "copy", 2), ("epyc-9655", "copy", 2), ("epyc-9655-tuned", "copy", 2)
    ]  # fmt: skip
    assert all(row["kind"] == "projection" and row["speed_up"] > 1.5 for row in value["rows"])
    (check,) = value["checks"]
    assert check["measured"] == pytest.approx(2.0)
    assert check["error"] == pytest.approx(check["predicted"] / 2 - 1)
    assert check["error_low"] <= check["error"] <= check["error_high"]
    assert any("free sources only" in line for line in value["assumptions"])


def test_it_is_stored_as_what_it_is(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments(run, "--json")) == 0
    name = json.loads(capsys.readouterr().out)["run"]
    assert cli.main(["bench", "show", name, "--json"]) == 0
    stored: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (stored["kind"], stored["state"], stored["cells"]) == ("projection", "complete", [])
    assert [claim["arm"] for claim in stored["claims"]] == ["tiny.gguf on here, stack", "tiny.gguf on epyc-9655, stack"]
    for claim in stored["claims"]:
        assert claim["standing"] == "observation" and claim["reason"].startswith("a projection, not measured")
    assert {arm["configuration"]["machine"] for arm in stored["arms"]} == {"here", "epyc-9655"}
    assert stored["plan"]["sources"] == ["run"] and stored["plan"]["assumptions"]


def test_a_trace_is_replayed_with_the_prompt_that_was_asked(
    tiny: Path, run: Path, refuses: Refuses, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = run.parent / "trace.jsonl"
    trace.write_text('{"slots": [{"emitted": [5, 6, 7, 8]}]}\n' * 10)
    given = arguments(trace, "--json")
    refuses(2, "trace.jsonl holds one answer, and there are 2 prompts", *given)
    prompts = run.parent / "prompts.jsonl"
    prompts.write_text(prompts.read_text().splitlines()[0] + "\n")
    assert cli.main(given) == 0
    value = json.loads(capsys.readouterr().out)
    assert [row["prompts"] for row in value["rows"]] == [1, 1] and value["checks"] == []
    assert value["sources"] == ["trace.jsonl"]


def test_a_retracted_run_is_not_replayed(run: Path, own_world: Path, refuses: Refuses) -> None:
    with ResultStore.open(own_world / "root" / "results" / FILE) as store:
        store.add(WholeRun(run=StoredRun(id="r1", kind="compare", started=1.0, state="complete", ended=2.0)))
        store.retract("r1", "the caches were warm")
    refuses(2, "run r1 is retracted: the caches were warm", "project", "--from", "r1", "--bandwidth", "40")


def test_everything_that_is_shown_says_projection(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments(run)) == 0
    out = capsys.readouterr().out
    assert out.count("(projection)") == 3
    assert "nothing here was measured on that machine" in out
    assert "stored as " in out and out.rstrip().endswith("a projection")
    assert "15 % is wanted" in out and "Assumed:" in out and "epyc-9655: layer_ms the same fit" in out


def test_the_latest_stored_run_is_taken(run: Path, own_world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = own_world / "root" / "results"
    results.mkdir(parents=True)
    run.rename(results / "stack-1")
    given = arguments(run, "--json")
    del given[1:3]
    assert cli.main(given) == 0
    assert json.loads(capsys.readouterr().out)["rows"]


def test_mistakes(run: Path, own_world: Path, refuses: Refuses) -> None:
    refuses(2, "did you mean 'epyc-9655'", *arguments(run, "--host", "epyc-965"))
    refuses(2, "--bandwidth is -1", "project", "--bandwidth", "-1")
    refuses(2, "no answers are recorded", "project")
    refuses(2, "unknown run 'nothing'", "project", "--from", "nothing")
    refuses(2, "name their files with --prompts", "project", "--from", run, "--bandwidth", "40")


def test_a_model_that_answered_nothing(run: Path, refuses: Refuses) -> None:
    samples = run / "samples.jsonl"
    samples.write_text(samples.read_text().replace("tiny.gguf", "other.gguf"))
    refuses(2, "no answers of tiny.gguf are recorded", *arguments(run))
