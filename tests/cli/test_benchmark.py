"""`slipstream bench first-light` and `bench stack` on a tiny model: runs in the store, figures, and going on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slipstream.bench import first_light, garbage, stack
from slipstream.bench.cell import Cell
from slipstream.bench.first_light import Suite
from slipstream.bench.store import FILE, ResultStore
from slipstream.bench.traced_arm import TracedArm
from slipstream.bench.workload import Prompt
from slipstream.cli import main as cli
from tests.cli.conftest import Refuses
from tests.engine import tiny_gguf

EDITS = (Prompt("one", "edit", "Repeat: apples, pears, plums."), Prompt("two", "edit", "Repeat: red, green, blue."))
CHATS = (Prompt("three", "chat", "Why do bicycles stay upright?"),)
QUICK = ("-r", "1", "--others", "1", "--no-canary")


@pytest.fixture(autouse=True)
def small(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short answers of the tiny model, which are never garbage."""
    monkeypatch.setattr(garbage, "doubt", lambda text, tokens, limit, finish: "")
    edits, chats = Suite("edits", EDITS, 12, oracle=True), Suite("chats", CHATS, 8)
    monkeypatch.setattr(first_light, "suites", lambda data: [edits, chats])
    monkeypatch.setattr(first_light, "exact_suite", lambda data: Suite("exact", EDITS + CHATS, 8))
    monkeypatch.setattr(stack, "suites", lambda data: [Suite("edits", EDITS, 12), Suite("mix", CHATS, 8)])


def stored(own_world: Path) -> ResultStore:
    return ResultStore.open(own_world / "root" / "results" / FILE)


def interrupt_after(monkeypatch: pytest.MonkeyPatch, cells: int) -> Callable[[], None]:
    """Ctrl-C once so many cells are measured; call what it returns to measure on."""
    whole: Any = TracedArm.measure
    left = cells

    def measure(*arguments: Any) -> Cell:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        found: Cell = whole(*arguments)
        return found

    monkeypatch.setattr(TracedArm, "measure", measure)
    return lambda: monkeypatch.setattr(TracedArm, "measure", whole)


def test_first_light(tiny: Path, own_world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "first-light", "-m", str(tiny), "--json", *QUICK]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(run["suite"], run["part"], run["model"]) for run in found["runs"]] == [
        ("edits", "", "tiny"),
        ("chats", "", "tiny"),
    ]
    (figures,) = found["figures"]
    assert (figures["model"], figures["pairs"], figures["prompts"]) == ("tiny.gguf", 3, 3)
    assert figures["edits"][0] > 0 and figures["oracle"][0] > 0 and figures["deciding_ms_median"] > 0
    assert set(figures["curve"]) == {"2", "4", "8", "16", "32", "64"}
    assert all(apart["logit_gap"] < 0.5 for apart in figures["divergences"])
    with stored(own_world) as store:
        edits, chats = (store.run(run["run"]) for run in found["runs"])
        assert edits.kind == chats.kind == "first-light" and edits.state == chats.state == "complete"
        assert edits.plan["benchmark"] == chats.plan["benchmark"] == found["benchmark"]
        assert {"cpu", "engine", "models"} <= edits.attestation.keys()
        # Plain decoding twice in the checks, then three arms; on chats without the oracle.
        assert (edits.cells, chats.cells) == (2 * 5, 4)
        assert all(
            {"sources", "tokens_per_round", "round_times"} <= cell.figures.keys() for cell in store.cells(edits.id)
        )
        assert [curve.model for curve in store.curves(chats.id)] == ["tiny"]
        claims = [claim.id for run in (edits, chats) for claim in store.claims(run.id)]
        assert claims == [claim["id"] for claim in found["claims"]]
        assert {claim["verdict"] for claim in found["claims"]} == {"no difference seen"}, "so few pairs tell nothing"


def test_first_light_goes_on_where_it_stopped(
    own_world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], refuses: Refuses, tiny: Path
) -> None:
    go_on = interrupt_after(monkeypatch, 12)
    assert cli.main(["bench", "first-light", "-m", str(tiny), *QUICK]) == 130
    with stored(own_world) as store:
        chats, edits = store.runs()
        assert (edits.state, chats.state, chats.cells) == ("complete", "interrupted", 2)
    name = edits.plan["benchmark"]
    assert f"slipstream bench first-light --resume {name}" in capsys.readouterr().err
    refuses(2, f"unknown benchmark '{name}'", "bench", "stack", "--resume", name)
    go_on()
    assert cli.main(["bench", "first-light", "--resume", name]) == 0
    printed = capsys.readouterr().out
    for said in ("first light", "share of the oracle", "verdicts", "plain, again", edits.id, chats.id):
        assert said in printed
    with stored(own_world) as store:
        assert [run.id for run in store.runs()] == [chats.id, edits.id]
        assert store.run(edits.id).cells == edits.cells
        assert store.run(chats.id).state == "complete"
    # Going on with what is complete measures nothing, and says the same.
    reports = []
    for resumed in (name, chats.id):
        assert cli.main(["bench", "first-light", "--resume", resumed, "--json"]) == 0
        reports.append(json.loads(capsys.readouterr().out))
    assert reports[0] == reports[1] and reports[0]["figures"]
    with stored(own_world) as store:
        assert sum(run.cells for run in store.runs()) == 10 + 4


def test_exact_mode(tiny: Path, own_world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "first-light", "--exact", str(tiny), "--json", *QUICK]) == 0
    found = json.loads(capsys.readouterr().out)
    (exact,) = found["exact"]
    assert (exact["prompts"], exact["tokens"], exact["differing"]) == (3, 24, [])
    assert not found["figures"] and "a plain round is" in exact["cost"]
    assert all(claim["same_output"] == [claim["prompts"]] * 2 for claim in found["claims"])


def test_stack(tiny: Path, own_world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twin = tiny_gguf.dense(own_world / "twin.gguf", context=1024)
    assert cli.main(["bench", "stack", "-m", str(tiny), "--draft-model", str(twin), "--json", *QUICK]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(run["suite"], run["part"]) for run in found["runs"]] == [
        (suite, part) for suite in ("edits", "mix") for part in ("answers", "", "slowest")
    ]
    edits, mix = found["figures"]
    assert (edits["max_tokens"], mix["max_tokens"]) == (12, 8)
    assert set(edits["speed_up"]) == {"stack", "best single", "lookup first"}
    assert edits["single"] == edits["ablation"][0] and edits["slowest"]["pairs"] == stack.PAIRS
    assert set(found["curves"]["tiny.gguf"]["draft_step"]) == {"draft_model"}
    with stored(own_world) as store:
        first, whole, again = (store.run(run["run"]) for run in found["runs"][:3])
        # Of the answers one each; two in the checks and four arms after them; then five checks and five pairs.
        assert [run.cells for run in (first, whole, again)] == [2, 2 * 6, 2 * 2 * (5 + stack.PAIRS)]
        assert {curve.model for curve in store.curves(whole.id)} == {"tiny", "twin"}
        single = next(arm for arm in whole.arms if arm.name == "best single").configuration["settings"]
        assert (single["draft"], single["draft_length"]) == ([edits["single"]["source"]], edits["single"]["length"])


def test_stack_goes_on_with_the_single_source_that_it_had_chosen(
    tiny: Path, own_world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    go_on = interrupt_after(monkeypatch, 4)
    assert cli.main(["bench", "stack", "-m", str(tiny), "--suite", "edits", "--json", *QUICK]) == 130
    printed = json.loads(capsys.readouterr().out)
    assert printed["state"] == "interrupted" and [run["part"] for run in printed["runs"]] == ["answers"]
    go_on()
    with monkeypatch.context() as patch:
        patch.setattr(stack, "ablate", None)
        assert cli.main(["bench", "stack", "--resume", printed["benchmark"]]) == 0
    out = capsys.readouterr().out
    for said in ("against plain decoding", "single sources", "stack on its slowest", "not run", "stored as"):
        assert said in out
    with stored(own_world) as store:
        assert [(run.plan["part"], run.state) for run in store.runs()] == [
            ("slowest", "complete"),
            ("", "complete"),
            ("answers", "complete"),
        ]


def test_other_work_taints(tiny: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    whole: Any = TracedArm.measure

    def loaded(*arguments: Any) -> Cell:
        cell: Cell = whole(*arguments)
        cell.figures["others_cpu"] = 99.0  # type: ignore[index]
        return cell

    monkeypatch.setattr(TracedArm, "measure", loaded)
    assert cli.main(["bench", "first-light", "-m", str(tiny), "-r", "1", "--no-canary"]) == 0
    out = capsys.readouterr().out
    assert "nothing counts" in out and "tainted" in out


def test_bad_arguments(refuses: Refuses, tmp_path: Path, tiny: Path) -> None:
    for command in ("first-light", "stack"):
        refuses(2, "there is no folder", "bench", command, "--data", tmp_path / "nowhere")
        refuses(2, "--repetitions is 0", "bench", command, "-r", 0)
        refuses(2, "--short is 0", "bench", command, "--short", 0)
        refuses(2, "unknown benchmark '2026'", "bench", command, "--resume", "2026")
        refuses(3, "nowhere.gguf", "bench", command, "-m", tmp_path / "nowhere.gguf")
    refuses(2, "unknown suite 'edit'", "bench", "stack", "--suite", "edit")
