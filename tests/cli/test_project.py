"""`slipstream project` on a tiny model with answers made up for it."""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slipstream.bench.cell import Arm, Cell, Role, Run
from slipstream.bench.store import FILE, ResultStore
from slipstream.bench.store_rows import StoredRun, WholeRun
from slipstream.cli import main as cli
from tests.cli.conftest import Refuses

PROMPTS = {"a": "red green blue " * 4, "b": "one two three " * 4}


@pytest.fixture
def run(tiny: Path, own_world: Path) -> str:
    """A stored run: plain decoding at 10 tokens a second, the stack at 20. It holds ids of prompts, not their texts."""
    keep(own_world, "stored-1", tiny.name, {"prompts": list(PROMPTS)})
    (own_world / "prompts.jsonl").write_text(
        "".join(json.dumps({"id": name, "task": "copy", "prompt": text}) + "\n" for name, text in PROMPTS.items())
    )
    return "stored-1"


ARMS: tuple[tuple[str, Role, str, float], ...] = (("plain", "baseline", "off", 10), ("stack", "candidate", "auto", 20))


def keep(own_world: Path, name: str, model: str, plan: dict[str, Any], prompts: Sequence[str] = tuple(PROMPTS)) -> None:
    """Store a run of a model."""
    arms = tuple(
        Arm(name=arm, role=role, configuration={"settings": {"model": model, "draft": draft}})
        for arm, role, draft, _ in ARMS
    )
    with ResultStore.open(own_world / "root" / "results" / FILE) as store:
        store.begin(Run(id=name, kind="stack", started=time.time(), arms=arms, plan=plan))
        for arm, _, _, rate in ARMS:
            for prompt in prompts:
                cell = Cell(arm=arm, prompt=prompt, task="copy", repetition=0, tokens=40, seconds=40 / rate)
                store.append(name, replace(cell, token_ids=(5, 6, 7, 8) * 10))
        store.finish(name, "complete")


def arguments(run: str, own_world: Path, *more: str) -> list[str]:
    return [
        "project", "--from", run, "--prompts", str(own_world / "prompts.jsonl"), "--bandwidth", "40", *more
    ]  # fmt: skip


def test_json(run: str, own_world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments(run, own_world, "--json", "--host", "epyc-9655", "--host", "epyc-9655-tuned")) == 0
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


def test_it_is_stored_as_what_it_is(run: str, own_world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments(run, own_world, "--json")) == 0
    name = json.loads(capsys.readouterr().out)["run"]
    assert cli.main(["bench", "show", name, "--json"]) == 0
    stored: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (stored["kind"], stored["state"], stored["cells"]) == ("projection", "complete", [])
    assert [claim["arm"] for claim in stored["claims"]] == ["tiny.gguf on here, stack", "tiny.gguf on epyc-9655, stack"]
    for claim in stored["claims"]:
        assert claim["standing"] == "observation" and claim["reason"].startswith("a projection, not measured")
    assert {arm["configuration"]["machine"] for arm in stored["arms"]} == {"here", "epyc-9655"}
    assert stored["plan"]["sources"] == [run] and stored["plan"]["assumptions"]


def test_a_trace_is_replayed_with_the_prompt_that_was_asked(
    tiny: Path, run: str, own_world: Path, refuses: Refuses, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = own_world / "trace.jsonl"
    trace.write_text('{"slots": [{"emitted": [5, 6, 7, 8]}]}\n' * 10)
    given = arguments(str(trace), own_world, "--json")
    refuses(2, "trace.jsonl holds one answer, and there are 2 prompts", *given)
    prompts = own_world / "prompts.jsonl"
    prompts.write_text(prompts.read_text().splitlines()[0] + "\n")
    assert cli.main(given) == 0
    value = json.loads(capsys.readouterr().out)
    assert [row["prompts"] for row in value["rows"]] == [1, 1] and value["checks"] == []
    assert value["sources"] == ["trace.jsonl"]


def test_a_retracted_run_is_not_replayed(own_world: Path, refuses: Refuses) -> None:
    with ResultStore.open(own_world / "root" / "results" / FILE) as store:
        store.add(WholeRun(run=StoredRun(id="r1", kind="compare", started=1.0, state="complete", ended=2.0)))
        store.retract("r1", "the caches were warm")
    refuses(2, "run r1 is retracted: the caches were warm", "project", "--from", "r1", "--bandwidth", "40")


def test_everything_that_is_shown_says_projection(
    run: str, own_world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments(run, own_world)) == 0
    out = capsys.readouterr().out
    assert out.count("(projection)") == 3
    assert "nothing here was measured on that machine" in out
    assert "stored as " in out and out.rstrip().endswith("a projection")
    assert "15 % is wanted" in out and "Assumed:" in out and "epyc-9655: layer_ms the same fit" in out


def test_the_latest_benchmark_is_taken_with_all_its_runs(
    run: str, own_world: Path, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, (name, text) in enumerate(PROMPTS.items()):
        prompt = {"id": name, "task": "copy", "text": text, "reference": ""}
        keep(own_world, f"part-{number}", tiny.name, {"prompts": [prompt], "benchmark": "whole"}, [name])
    keep(own_world, "part-2", tiny.name, {"prompts": [], "benchmark": "whole", "part": "slowest"})
    assert cli.main(["project", "--json", "--bandwidth", "40"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["prompts"] for row in found["rows"]] == [2, 2]
    assert cli.main(["project", "--from", "whole", "--json", "--bandwidth", "40"]) == 0
    assert json.loads(capsys.readouterr().out) | {"run": ""} == found | {"run": ""}


def test_mistakes(run: str, own_world: Path, refuses: Refuses) -> None:
    refuses(2, "did you mean 'epyc-9655'", *arguments(run, own_world, "--host", "epyc-965"))
    refuses(2, "--bandwidth is -1", "project", "--bandwidth", "-1")
    refuses(2, "unknown run 'nothing'", "project", "--from", "nothing")
    refuses(2, "name their files with --prompts", "project", "--from", run, "--bandwidth", "40")


def test_nothing_is_recorded(tiny: Path, refuses: Refuses) -> None:
    refuses(2, "no answers are recorded", "project")


def test_a_model_that_answered_nothing(run: str, own_world: Path, refuses: Refuses) -> None:
    keep(own_world, "stored-2", "other.gguf", {"prompts": list(PROMPTS)})
    refuses(2, "no answers of tiny.gguf are recorded", *arguments("stored-2", own_world))
