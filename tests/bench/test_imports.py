"""What others measured: llama-bench's output and single results, checked, and marked as not ours."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.bench import export, imports
from slipstream.bench.imports import FASTEST, Recorded, check, read, recorded_run, refuse_repeat, speed
from slipstream.bench.store import ResultStore
from slipstream.bench.store_rows import WholeRun
from slipstream.core.errors import RequestError, UnknownName
from tests.bench.stored import make_cell, make_claim, make_run

LINE: dict[str, Any] = {
    "build_commit": "8cf427ff", "build_number": 5163, "cpu_info": "A CPU", "gpu_info": "", "backends": "CPU",
    "model_filename": "models/Tiny-Q4_K_M.gguf", "model_type": "tiny", "n_batch": 2048, "n_threads": 8,
    "type_k": "f16", "n_prompt": 0, "n_gen": 128, "n_depth": 0, "test_time": "2026-01-02T03:04:05Z",
    "avg_ns": 1067431600, "stddev_ns": 3834831, "avg_ts": 119.9, "stddev_ts": 0.43, "samples_ts": [119.0, 120.8],
}  # fmt: skip
RESULT = Recorded(
    model="big", method="suffix", task="code", rate=30.0, source="a blog", measured=5.0, baseline=20.0, engine="b99"
)


def lines(folder: Path, *rows: object) -> Path:
    path = folder / "bench.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def taken(path: Path) -> WholeRun:
    (whole,) = read(path, "run", ("bench", "import"), 9.0)
    return whole


def test_every_line_of_llama_bench_becomes_a_cell(tmp_path: Path) -> None:
    rows = [
        LINE,
        {**LINE, "n_threads": 16, "avg_ts": 140.5},
        {**LINE, "n_gen": 0, "n_prompt": 512, "avg_ts": 900.0, "n_depth": 4096},
        {**LINE, "n_prompt": 512, "test_time": "yesterday"},
    ]
    whole = taken(lines(tmp_path, *rows))
    assert (whole.run.kind, whole.run.state, whole.run.arguments) == ("external", "complete", ("bench", "import"))
    assert [cell.prompt for cell in whole.cells] == ["tg128", "tg128", "pp512 @ d4096", "pp512+tg128"]
    assert [cell.engine_rate for cell in whole.cells] == [119.9, 140.5, 900.0, 119.9]
    assert [dict(cell.figures) for cell in whole.cells] == rows
    assert all(cell.rate == 0 and cell.seconds == 0 for cell in whole.cells), "it isn't our clock"
    assert [cell.started for cell in whole.cells] == [1767323045.0] * 3 + [0.0]
    assert [arm.name for arm in whole.run.arms] == ["Tiny-Q4_K_M n_threads=8", "Tiny-Q4_K_M n_threads=16"]
    assert whole.run.arms[1].configuration["n_threads"] == 16 and "avg_ts" not in whole.run.arms[1].configuration
    assert whole.run.attestation["engine"] == "llama.cpp 5163 8cf427ff" and whole.run.attestation["cpu"] == "A CPU"


def test_only_what_all_lines_share_is_said_of_the_run(tmp_path: Path) -> None:
    whole = taken(lines(tmp_path, LINE, {**LINE, "build_commit": "ffff"}))
    assert "engine" not in whole.run.attestation and whole.run.attestation["build_number"] == 5163


def test_its_json_is_read_as_well(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text(json.dumps([LINE, {**LINE, "n_gen": 64}], indent=2))
    assert [cell.prompt for cell in taken(path).cells] == ["tg128", "tg64"]


def test_an_imported_run_is_stored_whole_and_once(tmp_path: Path) -> None:
    path = lines(tmp_path, LINE)
    with ResultStore.open(tmp_path / "store") as store:
        store.add(taken(path))
        assert store.cells("run") == list(taken(path).cells)
        with pytest.raises(RequestError, match="imported already, as run run"):
            refuse_repeat(replace(taken(path), run=replace(taken(path).run, id="again")), store.runs())
        refuse_repeat(taken(lines(tmp_path, {**LINE, "avg_ts": 1.0})), store.runs())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no result"), ("\n\n", "holds no result"), ("[]", "holds no result"),
        (f"{json.dumps(LINE)}\n{{oops", "line 2: not JSON"), ("3\n", "line 1: no JSON object"),
        ("[3]", "result 1: no JSON object"), ('{"a": 1}', "line 1: no model_filename"),
        (json.dumps(LINE | {"n_gen": "128"}), "line 1: no n_gen"), (json.dumps(LINE | {"n_gen": True}), "no n_gen"),
        (json.dumps(LINE | {"avg_ts": 0}), "avg_ts is 0"), (json.dumps(LINE | {"avg_ts": None}), "avg_ts is None"),
        (f"{json.dumps(LINE)}\n\n{json.dumps(LINE | {'avg_ts': math.nan})}", "line 3: avg_ts is nan"),
        (json.dumps(LINE | {"avg_ts": -5}), "avg_ts is -5"), ("| model | size |\n| --- | --- |", "line 1: not JSON"),
        ('{"format": "slipstream-results", "version": 9, "runs": []}', "no export that this Slipstream can read"),
        ('{"format": "slipstream-results", "version": 1}', "no export that this Slipstream can read"),
    ],
)  # fmt: skip
def test_a_malformed_file_is_refused_by_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "bench.jsonl"
    path.write_text(text)
    with pytest.raises(RequestError, match=says) as caught:
        read(path, "run", (), 9.0)
    assert str(path) in caught.value.message and "\n" not in caught.value.message


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="it doesn't exist"):
        read(tmp_path / "nowhere", "run", (), 9.0)
    (tmp_path / "bytes").write_bytes(b'{"a": "\xff"}')
    with pytest.raises(RequestError, match="not UTF-8 at byte 7"):
        read(tmp_path / "bytes", "run", (), 9.0)


def test_an_export_of_ours_comes_in_as_it_was(tmp_path: Path) -> None:
    with ResultStore.open(tmp_path / "store") as store:
        store.begin(make_run())
        store.append(make_run().id, make_cell())
        store.claim(make_claim())
        whole = store.whole(make_run().id)
        text = json.dumps(export.to_json([(whole, store.claims())]))
    (tmp_path / "export.json").write_text(text)
    assert taken(tmp_path / "export.json") == whole


@pytest.mark.parametrize("text", ["41.5", " 41.5 tok/s", "41.5t/s", "41.5 tokens/s", "4.15e1 TPS"])
def test_a_speed_is_tokens_a_second(text: str) -> None:
    assert speed(text, "--baseline") == 41.5


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0", "is 0"), ("-3", "is -3"), ("100001", "is 100001"), ("1e99", "is 1e"), ("27 ms", "'ms' isn't tokens a"),
        ("fast", "is no number"), ("", "is no number"), ("nan", "is no number"), ("inf", "is no number"),
        ("1,5", "isn't"),
    ],
)  # fmt: skip
def test_another_unit_or_range_is_refused(text: str, says: str) -> None:
    with pytest.raises(RequestError, match=f"--baseline.*{says}"):
        speed(text, "--baseline")


@given(st.floats(allow_nan=True))
def test_a_speed_is_positive_and_possible_or_refused(value: float) -> None:
    try:
        assert 0 < speed(str(value), "it") == value <= FASTEST
    except RequestError:
        assert not 0 < value <= FASTEST


def test_a_recorded_result_is_an_external_run_with_an_observation(tmp_path: Path) -> None:
    check(RESULT)
    with ResultStore.open(tmp_path / "store") as store:
        store.add(recorded_run(RESULT, "run", (), 9.0))
        (claim,) = store.claims()
        assert (claim.value, claim.low, claim.high) == (1.5, 0.0, math.inf)
        assert (claim.standing, claim.pairs) == ("observation", 0)
        assert claim.verdict == "faster" and "a blog" in claim.reason
        assert [(cell.arm, cell.engine_rate, cell.rate, cell.started) for cell in store.cells("run")] == [
            ("plain", 20.0, 0.0, 5.0),
            ("suffix", 30.0, 0.0, 5.0),
        ]
        found = store.run("run")
        assert (found.kind, found.plan["source"], found.attestation["engine"]) == ("external", "a blog", "b99")


def test_without_a_baseline_nothing_is_claimed() -> None:
    whole = recorded_run(replace(RESULT, baseline=None), "run", (), 9.0)
    assert not whole.claims and len(whole.cells) == 1
    assert whole.cells[0].task == "code"
    assert recorded_run(replace(RESULT, task="humaneval"), "run", (), 9.0).cells[0].task == "code"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"task": "coed"}, "unknown task 'coed'"), ({"method": "sufix"}, "unknown method 'sufix'"),
        ({"rate": 601.0}, "30.1 times"), ({"rate": 0.5}, "0.025 times"), ({"source": " "}, "needs a model, a method"),
        ({"method": "plain"}, "the baseline itself"), ({"method": "suffix,eagle"}, "unknown method 'eagle'"),
    ],
)  # fmt: skip
def test_what_looks_like_a_mistake_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(RequestError, match=says):
        check(replace(RESULT, **change))


def test_some_of_it_may_be_confirmed() -> None:
    check(replace(RESULT, rate=601.0), confirm=True)
    check(replace(RESULT, method="eagle"), confirm=True)
    with pytest.raises(UnknownName) as caught:
        check(replace(RESULT, task="coed"), confirm=True)
    assert "did you mean 'code'?" in caught.value.hint
    with pytest.raises(UnknownName) as caught:
        check(replace(RESULT, method="eagle"))
    assert "--confirm" in caught.value.hint
    assert imports.MOST == 30
