"""`slipstream bench list, show, export, import, record, retract, untested`, in this process and as a user runs them."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slipstream.bench.runner_lock import RunnerLock
from slipstream.bench.store import FILE, ResultStore
from slipstream.bench.store_rows import Curve
from slipstream.cli import main as cli
from slipstream.config import load
from slipstream.host import attest
from tests.bench.stored import make_cell, make_claim, make_run
from tests.bench.test_imports import LINE
from tests.cli.conftest import Refuses, slipstream
from tests.engine import tiny_gguf

SHOW = ("bench", "show")
RECORD = ("bench", "record", "-m", "big", "--method", "suffix", "--task", "code", "--source", "a blog")


@pytest.fixture
def path(own_world: Path) -> Path:
    """A store with two runs, one of them suspect and with a failed cell."""
    path = load().data_root.results / FILE
    with ResultStore.open(path) as store:
        store.begin(make_run())
        store.append(make_run().id, make_cell("plain", engine_rate=None, seconds=0.5))
        store.append(make_run().id, make_cell())
        store.append(make_run().id, make_cell(prompt="p[1]", status="failed", reason="it hung"))
        store.claim(make_claim())
        store.curve(make_run().id, Curve("tiny", {64: {1: 10.0, 2: 12.5}}))
        store.cite("r", Path("report.html"), [make_claim().id])
        store.finish(make_run().id, "complete")
        store.begin(make_run("20260102-000000-bbbb", 2000.0, kind="sweep"))
        store.finish("20260102-000000-bbbb", "interrupted", "the canary was slow")
    return path


def out(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert cli.main(["bench", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def out_json(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    return json.loads(out(capsys, *arguments, "--json"))


def test_nothing_yet(own_world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "slipstream bench compare" in out(capsys, "list")
    assert out_json(capsys, "list") == []
    assert json.loads(out(capsys, "export"))["runs"] == []
    assert out(capsys, "export", "--csv", "cells").strip() == ""


def test_list(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = out(capsys, "list")
    first, second, why = (line for line in printed.splitlines() if "2026010" in line)
    assert "20260102" in first and "suspect" in first and "tiny" in first
    assert "20260101" in second and "complete" in second and "compare" in second and "2 of 3" in second
    assert why == "20260102-000000-bbbb is suspect: the canary was slow"
    rows = out_json(capsys, "list", "--kind", "compare")
    assert [(row["id"], row["state"], row["cells"], row["unusable"], row["claims"]) for row in rows] == [
        (make_run().id, "complete", 3, 1, 1)
    ]


def test_a_run_that_was_killed_is_not_running(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ResultStore.open(path) as store:
        store.begin(make_run("20260103-000000-cccc", 3000.0))
    assert out_json(capsys, "list")[0]["state"] == "interrupted"
    with RunnerLock(path):
        assert out_json(capsys, "list")[0]["state"] == "running"


def test_show(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = out(capsys, "show", "20260101")
    for expected in (
        "20260101-000000-aaaa: compare, complete", "A CPU", "0.3.36-b1-abcd", "draft=off", "threads=2", "16.0", "32.0",
        "p[1]", "it hung", "1.500x", "1.250 to 1.750", "faster", "optimum", "report.html", "1: 10, 2: 12.5",
    ):  # fmt: skip
        assert expected in printed, expected
    value = out_json(capsys, "show", make_run().id)
    assert (value["id"], len(value["cells"]), value["claims"][0]["standing"]) == (make_run().id, 3, "optimum")
    assert value["reports"][0]["path"] == "report.html"
    assert "suspect: the canary was slow" in out(capsys, "show", "20260102")


def test_what_changed_on_the_host_between_two_runs(
    path: Path, refuses: Refuses, capsys: pytest.CaptureFixture[str]
) -> None:
    now = attest.read(environ={}, argv=["a"])
    later = replace(now, taken=now.taken + 60, uptime=(now.uptime or 0.0) + 60, kernel="another")
    with ResultStore.open(path) as store:
        store.begin(make_run("20260103-000000-cccc", 3000.0, attestation=now.to_json()))
        store.begin(make_run("20260104-000000-dddd", 4000.0, attestation=later.to_json()))
    assert "then another" in out(capsys, "show", "20260104", "--against", "20260103")
    assert out_json(capsys, "show", "20260103", "--against", "20260103")["changes"] == []
    refuses(2, "20260101-000000-aaaa has no whole record of its host", *SHOW, "20260103", "--against", "20260101")


def test_retract_marks_claims_and_reports(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = out(capsys, "retract", "20260101", "--reason", "one prompt repeated")
    assert f"run {make_run().id} is retracted" in printed and f"claim {make_claim().id} no longer stands" in printed
    assert "report.html cites it" in printed
    assert out_json(capsys, "list")[1]["state"] == "retracted"
    printed = out(capsys, "show", "20260101")
    assert "retracted: one prompt repeated" in printed and "its run was retracted" in printed
    assert out_json(capsys, "show", "20260101")["reports"][0]["retracted"] == [make_claim().id]
    with ResultStore.open(path) as store:
        assert len(store.cells(make_run().id)) == 3


def test_retract_one_claim(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value = out_json(capsys, "retract", make_claim().id, "--reason", "wrong")
    assert (value["retraction"]["what"], value["claims"]) == ("claim", [make_claim().id])


def test_export_and_import_into_another_root(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "all.json"
    assert out(capsys, "export", "-o", file) == f"2 runs, 3 cells, 1 claims written to {file}\n"
    before = out(capsys, "export")
    monkeypatch.setenv("SLIPSTREAM_ROOT", str(tmp_path / "another"))
    assert out_json(capsys, "import", file)["known"] == 0
    assert out(capsys, "export") == before
    assert "2 runs were stored already" in out(capsys, "import", file)
    assert [run["id"] for run in json.loads(out(capsys, "export", "20260102"))["runs"]] == ["20260102-000000-bbbb"]


def test_export_as_csv(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(out(capsys, "export", "--csv", "claims").splitlines()) == 2
    assert out(capsys, "export", "--csv", "cells", "20260101").startswith("run,arm,prompt,task,")


def test_import_llama_bench(
    own_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], refuses: Refuses
) -> None:
    file = tmp_path / "bench.jsonl"
    file.write_text(json.dumps(LINE) + "\n" + json.dumps(LINE | {"n_gen": 64}) + "\n")
    printed = out(capsys, "import", file)
    name = printed.split()[1]
    assert printed == f"run {name} (external): 2 cells, 0 claims\n"
    shown = out(capsys, "show", name)
    assert "119.9" in shown and "llama.cpp 5163 8cf427ff" in shown
    refuses(2, f"imported already, as run {name}", "bench", "import", file)
    assert len(out_json(capsys, "list")) == 1


def test_record(own_world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = (*RECORD[1:], "--tokens-per-second", "30 tok/s", "--baseline", "20", "--measured", "2026-01-02")
    value = out_json(capsys, *arguments, "--engine", "b99", "--cpu", "Another")
    shown = out(capsys, "show", value["run"])
    for expected in ("external", "a blog", "b99", "Another", "1.500x", "unknown", "observation", "30.0", "20.0"):
        assert expected in shown, expected
    assert out_json(capsys, "show", value["run"])["claims"][0]["high"] == "Infinity"


def test_record_knows_a_model_file_by_its_content(
    own_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny_gguf.dense(tmp_path / "tiny.gguf")
    record = ("record", "-m", model, "--method", "plain", "--task", "code", "--source", "me")
    out(capsys, *record, "--tokens-per-second", "5")
    model = model.rename(tmp_path / "renamed.gguf")
    tested = [entry for entry in out_json(capsys, "untested", model) if entry["tested"]]
    assert [(entry["model"], entry["method"], entry["task"]) for entry in tested] == [("renamed", "plain", "code")]
    assert tested[0]["tested"]["external"]


def test_untested(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = out(capsys, "untested")
    assert "tiny ffffffff: never tried: prompt lookup" in printed and "engine: 0.3.36-b1-abcd" in printed
    place = {"model": "tiny", "identity": "f" * 32, "method": "suffix", "task": "edit"}
    (tested,) = (entry for entry in out_json(capsys, "untested") if place.items() <= entry.items())
    assert tested["tested"]["engine"] == "0.3.36-b1-abcd" and tested["tested"]["age_seconds"] > 1e6
    (tmp_path / "models").mkdir()
    model = tiny_gguf.dense(tmp_path / "models" / "one.gguf")
    printed = out(capsys, "untested", model.parent)
    assert ": never tried: anything" in printed and "tiny" not in printed


def test_bad_input(path: Path, tmp_path: Path, refuses: Refuses) -> None:
    refuses(2, "unknown run '20260101-000000-aaab'.*\n.*did you mean", "bench", "show", "20260101-000000-aaab")
    refuses(2, "begins the names of 2 runs", "bench", "export", "2026")
    refuses(2, "unknown kind of run 'compere'.*\n.*'compare'", "bench", "list", "--kind", "compere")
    refuses(2, "unknown table 'cell'", "bench", "export", "--csv", "cell")
    refuses(2, "contradict", "bench", "export", "--csv", "cells", "--json")
    refuses(2, "unknown claim", "bench", "retract", "nothing", "--reason", "wrong")
    refuses(2, "needs a reason", "bench", "retract", "20260101", "--reason", "")
    refuses(2, "there is no", "bench", "untested", tmp_path / "nowhere")
    refuses(2, "can't read", "bench", "import", tmp_path / "nowhere")
    (tmp_path / "dirt").write_text("x")
    refuses(2, "line 1: not JSON", "bench", "import", tmp_path / "dirt")
    refuses(3, "dirt", "bench", "untested", tmp_path / "dirt")
    refuses(6, "is a folder", "bench", "export", "-o", tmp_path)
    for speed, says in (("0", "is 0"), ("-1", "is -1"), ("1e6", "is 1e"), ("30 ms", "isn't tokens a second")):
        refuses(2, says, *RECORD, "--tokens-per-second", speed)
    refuses(2, "31 times the baseline", *RECORD, "--tokens-per-second", "31", "--baseline", "1")
    refuses(2, "no date", *RECORD, "--tokens-per-second", "31", "--measured", "soon")
    refuses(2, "the future", *RECORD, "--tokens-per-second", "31", "--measured", "2999-01-01")
    refuses(2, "unknown task 'cod'.*\n.*'code'", *RECORD[:6], "--task", "cod", *RECORD[8:], "--tokens-per-second", "9")
    assert cli.main([*RECORD, "--tokens-per-second", "31", "--baseline", "1", "--confirm"]) == 0


def test_a_damaged_store_is_one_line(path: Path, refuses: Refuses) -> None:
    path.write_bytes(b"this was a database once, I swear\n" * 300)
    for arguments in (["list"], ["show", "a"], ["export"], ["untested"]):
        refuses(6, "it is damaged", "bench", *arguments)


def test_as_a_user_runs_it(path: Path) -> None:
    done = slipstream("bench", "list", "--json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == 2


def test_help_loads_no_store() -> None:
    done = slipstream("bench", "--help")
    assert done.returncode == 0 and "untested" in done.stdout and "retract" in done.stdout
    script = "import sys; import slipstream.cli.bench; print(sorted({'sqlite3', 'numpy', 'rich'} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert answer.stdout.strip() == "[]"
