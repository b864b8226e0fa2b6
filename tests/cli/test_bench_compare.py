"""`slipstream bench compare` and `bench sweep`: arms from the command line to a stored verdict, on a tiny model."""

import json
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slipstream.bench import garbage
from slipstream.bench.cell import Cell
from slipstream.bench.session_arm import SessionArm
from slipstream.bench.store import FILE, ResultStore
from slipstream.bench.store_rows import Curve
from slipstream.cli import main as cli
from slipstream.cli import paired
from slipstream.cli.bench_compare import arms_of, base
from slipstream.cli.bench_sweep import grid
from slipstream.cli.paired_table import finding
from slipstream.core.errors import RequestError
from tests.bench.stored import make_claim
from tests.cli.conftest import Refuses
from tests.isolation import eager_curve

PROMPTS = [
    {"id": "one", "task": "copy", "prompt": "Repeat: apples, pears, plums."},
    {"id": "two", "task": "copy", "prompt": "Repeat: red, green, blue."},
    {"id": "three", "task": "chat", "prompt": "Why do bicycles stay upright?"},
]
QUICK = ("-n", "4", "-p", "2", "--others", "1", "--no-canary")


@pytest.fixture
def line(tiny: Path, own_world: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """A command line on the tiny model; what it says is never garbage."""
    monkeypatch.setattr(garbage, "doubt", lambda text, tokens, limit, finish: "")
    file = own_world / "prompts.jsonl"
    file.write_text("".join(json.dumps(prompt) + "\n" for prompt in PROMPTS))

    def make(command: str, *arguments: str) -> list[str]:
        return ["bench", command, "--workload", str(file), *QUICK, *arguments]

    return make


def stored(own_world: Path) -> ResultStore:
    return ResultStore.open(own_world / "root" / "results" / FILE)


def test_compare_as_json(line: Callable[..., list[str]], own_world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(line("compare", "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(arm["name"], arm["role"]) for arm in found["arms"]] == [
        ("plain", "baseline"),
        ("plain, again", "repeat"),
        ("stack", "candidate"),
        ("stack, nothing to copy", "control"),
    ]
    assert found["arms"][2]["settings"] == {"max_tokens": 4, "draft": "auto"}
    assert found["state"] == "complete" and found["fresh"] == ""
    assert {claim["task"] for claim in found["claims"]} == {"copy", "chat", "all"}
    (everything,) = [claim for claim in found["claims"] if claim["arm"] == "stack" and claim["task"] == "all"]
    assert everything["pairs"] == 6 and everything["prompts"] == 3 and everything["same_output"] == [3, 3]
    with stored(own_world) as store:
        run = store.run(found["run"])
        assert (run.kind, run.state) == ("compare", "complete")
        assert {"cpu", "engine", "models"} <= run.attestation.keys()
        # Three arms in the checks, two after them; two pairs of each on three prompts.
        assert len(store.cells(run.id)) == 3 * 2 * 3 + 2 * 2 * 3
        assert {claim.id for claim in store.claims(run.id)} == {claim["id"] for claim in found["claims"]}
        assert store.curves(run.id) == [Curve("tiny", eager_curve().table)]


def test_compare_as_a_table(line: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    arms = ["--arm", "plain: draft=off", "--arm", "lookup4: draft=prompt_lookup,length=4", "--arm", "noisy: seed=1"]
    assert cli.main(line("compare", "--task", "copy", "--no-control", *arms)) == 0
    printed = capsys.readouterr().out
    for text in ("lookup4", "noisy", "95 % interval", "detectable", "verdict", "Found: no", "slipstream bench show"):
        assert text in printed
    assert max(map(len, printed.splitlines()[:8])) <= 100 and "By task class" not in printed
    assert "nothing to copy" not in printed and "chat" not in printed


def test_ctrl_c_leaves_a_run_that_is_gone_on_with(
    line: Callable[..., list[str]],
    own_world: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    refuses: Refuses,
) -> None:
    whole: Any = SessionArm.measure
    left = 7

    def interrupted(*arguments: Any) -> Cell:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        found: Cell = whole(*arguments)
        return found

    monkeypatch.setattr(SessionArm, "measure", interrupted)
    assert cli.main(line("compare")) == 130
    with stored(own_world) as store:
        (run,) = store.runs()
        assert (run.state, run.cells, run.claims) == ("interrupted", 7, 0)
    assert f"slipstream bench compare --resume {run.id}" in capsys.readouterr().err
    refuses(2, "of the kind compare", "bench", "sweep", "--resume", run.id)
    refuses(2, "unknown run 'nothing'", "bench", "compare", "--resume", "nothing")
    monkeypatch.setattr(SessionArm, "measure", whole)
    assert cli.main(["bench", "compare", "--resume", run.id]) == 0
    with stored(own_world) as store:
        again = store.run(run.id)
        assert (again.state, again.started) == ("complete", run.started)
        # The cell before the interruption may have been a baseline, whose pair is then measured afresh.
        assert 30 <= again.cells <= 31 and again.claims > 0
    capsys.readouterr()
    refuses(2, "is complete", "bench", "compare", "--resume", run.id)


FAKE = """
import json, sys
job = json.load(open(sys.argv[-1]))
print(json.dumps({"ready": {"model": "m.gguf", "curve": {"64": {"1": 10.0, "8": 20.0}}}}), flush=True)
for prompt in job["prompts"]:
    cell = {"arm": job["arm"], "prompt": prompt["id"], "task": prompt["task"], "repetition": job["repetition"]}
    rate = 10 * job["settings"]["threads"]
    print(json.dumps({"cell": cell | {"tokens": 20, "seconds": 20 / rate, "token_ids": [1]}}), flush=True)
"""


def test_arms_that_differ_in_opening_run_in_processes_of_their_own(
    line: Callable[..., list[str]],
    own_world: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(paired, "_command", lambda settings: [sys.executable, "-I", "-S", "-c", FAKE])
    vary = ("--baseline", "draft=off,threads=1", "--vary", "threads=2,3", "--no-hold-out")
    assert cli.main(line("sweep", *vary, "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["fresh"].startswith("threads differs")
    ratios = {claim["arm"]: claim["value"] for claim in found["claims"] if claim["task"] == "all"}
    assert ratios == pytest.approx({"draft=off,threads=1, again": 1, "threads=2": 2, "threads=3": 3})
    with stored(own_world) as store:
        configuration = store.run(found["run"]).arms[0].configuration
        assert store.curves(found["run"]) == [Curve("m", {64: {1: 10.0, 8: 20.0}})], "once per model"
    assert configuration["argv"][-1] == "JOB" and "SLIPSTREAM_ROOT" in configuration["environment"]
    assert not list((own_world / "root" / "tmp").glob("job*"))


def test_sweep_measures_the_winner_again(
    line: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(paired, "_command", lambda settings: [sys.executable, "-I", "-S", "-c", FAKE])
    vary = ("--baseline", "draft=off,threads=1", "--vary", "threads=2,3", "--task", "copy", "-p", "6")
    assert cli.main(line("sweep", *vary)) == 0
    printed = capsys.readouterr().out
    assert "threads=3, held-out" in printed and "optimum" in printed and "threads=2, held-out" not in printed


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "suffix is faster than plain: 1.50x, 95 % interval 1.25 to 1.75, 6 pairs"),
        ({"low": 0.9, "verdict": "no difference seen"},
         "no difference seen between suffix and plain (1.50x, 95 % interval 0.90 to 1.75, 6 pairs); one of 5.0 %"),
        ({"verdict": "no difference seen", "reason": "4 pairs are too few"}, "6 pairs): 4 pairs are too few"),
        ({"verdict": "tainted", "reason": "3 of 6 pairs left out"}, "no verdict on suffix against plain (1.50x"),
        ({"value": math.nan}, ""),
    ],
)  # fmt: skip
def test_the_finding_is_one_sentence(changes: dict[str, Any], says: str) -> None:
    found = finding([make_claim(task="all", **changes)])
    assert says in found and bool(says) == bool(found)


def test_the_finding_is_about_the_winner_as_it_was_measured_again() -> None:
    slow, fast = make_claim(task="all"), make_claim(arm="model", task="all", value=9.0)
    assert finding([slow, fast]).startswith("model (the best arm) is faster than plain: 9.00x")
    again = replace(slow, id=f"{slow.id}/held-out", value=1.4)
    assert "suffix (the best arm) is faster than plain on prompts it was not chosen on: 1.40x" in finding([fast, again])


COMMON: dict[str, Any] = {"max_tokens": 9}


def test_a_sweep_is_every_combination_on_the_ground_of_the_baseline() -> None:
    arms = grid(["threads=1,2", "draft_length=8,16"], "draft=off", COMMON)
    assert list(arms) == [
        "draft=off",
        *(f"threads={threads}, draft_length={length}" for threads in (1, 2) for length in (8, 16)),
    ]
    assert arms["draft=off"] == {"max_tokens": 9, "draft": "off"}
    assert arms["threads=2, draft_length=8"] == {"max_tokens": 9, "draft": "auto", "threads": 2, "draft_length": 8}
    assert grid(["threads=4"], "draft=off", COMMON)["threads=4"]["draft"] == "off"
    named = grid(["draft_length=4"], "draft=off", {**COMMON, "draft": ["prompt_lookup"]})
    assert [arm["draft"] for arm in named.values()] == ["off", ["prompt_lookup"]]
    sources = grid(["draft=suffix,prompt_lookup"], "draft=off", COMMON)
    assert sources["draft=prompt_lookup"]["draft"] == ["prompt_lookup"]


def test_arms_stand_on_what_is_common() -> None:
    common = base(("threads=2,env.A=1",), None, None, 9)
    arms = arms_of(("plain: draft=off", "other: draft=auto,threads=1,env.B=2"), common)
    assert arms["plain"] == {"max_tokens": 9, "threads": 2, "environment": {"A": "1"}, "draft": "off"}
    assert arms["other"]["threads"] == 1 and arms["other"]["environment"] == {"A": "1", "B": "2"}


@pytest.mark.parametrize(
    ("vary", "says"),
    [
        ([], "nothing is varied"),
        (["threads"], "says no values"),
        (["threads="], "says no values"),
        (["threads=1", "threads=2"], "threads is varied twice"),
        (["thread=1"], "unknown setting 'thread'"),
        ([f"{name}=1,2,3,4,5,6,7,8" for name in ("threads", "draft_length", "batch_size")], "512 combinations"),
    ],
)
def test_bad_grids(vary: list[str], says: str) -> None:
    with pytest.raises(RequestError, match=says):
        grid(vary, "draft=off", COMMON)


def test_bad_arguments(refuses: Refuses, tiny: Path, tmp_path: Path) -> None:
    refuses(2, "the arm 'draft=off' has no name", "bench", "compare", "--arm", "draft=off")
    refuses(2, "two arms are called 'a'", "bench", "compare", "--arm", "a: draft=off", "--arm", "a: draft=auto")
    refuses(2, "one arm alone", "bench", "compare", "--arm", "a: draft=off")
    refuses(2, "did you mean 'threads'", "bench", "compare", "--arm", "a: thread=2", "--arm", "b:")
    refuses(2, "--pairs is 0", "bench", "compare", "-p", 0)
    refuses(2, "no prompt of task 'edits'", "bench", "compare", "--task", "edits")
    refuses(2, "unknown key cache type 'q9'", "bench", "compare", "--arm", "a: draft=off", "--arm", "b: key_type=q9")
    refuses(3, "nowhere.gguf", "bench", "compare", "-m", tmp_path / "nowhere.gguf")
    refuses(5, "was trained for", "bench", "compare", "--set", "context_length=100000")
    refuses(2, "draft_model has no model", "bench", "compare", "--arm", "a: draft=off", "--arm", "b: draft=draft_model")
    refuses(2, "no prompt can be held out", "bench", "compare", "--task", "summary", "--each", 1, "--hold-out")
    refuses(2, "nothing is varied", "bench", "sweep")
