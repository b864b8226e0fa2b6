"""SmolLM2 split into experts: how quality falls as they drop, and what half of them bring where they weigh.

Prints what it finds, and leaves it as experts.json in the folder that SLIPSTREAM_RESULTS names, if it does.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from slipstream.bench.expert_quality import quality
from slipstream.bench.split_model import HEAVY, make
from slipstream.bench.store import FILE, ResultStore
from slipstream.cli import main as cli
from slipstream.engine.expert_count import CountedTarget
from slipstream.engine.options import ModelOptions
from slipstream.engine.target import LlamaTarget
from slipstream.engine.tokenizer import LlamaTokenizer
from slipstream.models.gguf import identity, read_header
from slipstream.models.split_experts import split_from

RESULTS = os.environ.get("SLIPSTREAM_RESULTS")
HELD_OUT = Path(__file__).with_name("held_out.txt")
"""Written when the fixture was finished: neither its calibration nor any of its constants were chosen on it."""
KEY = "deepseek.expert_used_count"
WINDOW = 512
MOST_LOSS = {8: 1.01, 6: 1.25, 4: 1.65, 2: 2.6}
"""Perplexity against the dense model's, by number of experts: measured 1.00, 1.16, 1.50 and 2.36, and some room."""
LEAST_GAIN = 1.2
"""Speed of half the experts against all of them, on the variant whose experts are most of its work."""

pytestmark = pytest.mark.real


@contextmanager
def opened(path: Path, count: int) -> Iterator[LlamaTarget]:
    options = ModelOptions(path, threads=2, context_length=WINDOW, output_rows=64, kv_overrides={KEY: count})
    model = CountedTarget.open(options)
    assert model.experts == count
    yield model.target
    model.close()


def held_out(path: Path) -> list[int]:
    from slipstream.engine.model import LlamaModel

    with LlamaModel.load_vocabulary(path) as vocabulary:
        return LlamaTokenizer(vocabulary).encode(HELD_OUT.read_text("utf-8"))


def leave(name: str, value: Any) -> None:
    """Put it into the file of results, beside what is there."""
    if RESULTS:
        path = Path(RESULTS) / "experts.json"
        known = json.loads(path.read_text("utf-8")) if path.exists() else {}
        path.write_text(json.dumps({**known, name: value}, indent=1) + "\n", "utf-8")


def test_quality_falls_gracefully(smollm2_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begin = time.perf_counter()
    path = make(tmp_path / "moe.gguf", source=smollm2_path)
    made_in = time.perf_counter() - begin
    assert made_in < 60
    text = held_out(path)
    plain = ModelOptions(smollm2_path, threads=2, context_length=WINDOW, output_rows=64)
    rows = []
    with opened(path, 8) as full:
        with LlamaTarget.open(plain) as dense:
            whole = quality(dense, None, text, WINDOW)["perplexity"]
            apart = quality(full, dense, text, WINDOW)
        with capsys.disabled():
            print(f"\nmade in {made_in:.0f} s; dense {whole:.2f}, divergence from it {apart['divergence']:.5f}")
        for count in range(8, 0, -1):
            with opened(path, count) as model:
                found = quality(model, full, text, WINDOW)
            rows.append({"experts": count, "against_dense": found["perplexity"] / whole, **found})
            with capsys.disabled():
                print({name: round(value, 3) for name, value in rows[-1].items()})
    split = split_from(read_header(path))
    assert split
    leave(
        "curve",
        {
            "source": smollm2_path.name, "split": asdict(split),
            "file": identity(path), "text": HELD_OUT.name, "tokens": len(text), "window": WINDOW,
            "dense": whole, "all_experts_against_dense": apart, "rows": rows,
        },
    )  # fmt: skip
    curve = {row["experts"]: row["against_dense"] for row in rows}
    assert list(curve.values()) == sorted(curve.values())
    assert all(curve[count] <= most for count, most in MOST_LOSS.items())
    assert apart["divergence"] < 0.01 and apart["agreement"] > 0.95


def test_half_the_experts_are_faster_where_they_weigh(
    smollm2_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make(tmp_path / "heavy.gguf", source=smollm2_path, copies=HEAVY)
    with capsys.disabled():
        print(f"\n{path.name}: {path.stat().st_size / 1e6:.0f} MB; measuring 8 and 4 experts in turns")
    command = ["experts", path, "--counts", 4, "-n", 32, "--no-canary", "--json"]
    assert cli.main([str(part) for part in command]) == 0
    value = json.loads(capsys.readouterr().out)
    whole, half = value["rows"]
    loss = half["quality"]["perplexity"] / whole["quality"]["perplexity"]
    claim, draft = half["claim"], half["draft"]
    assert claim["pairs"], claim["reason"]
    with capsys.disabled():
        print(
            f"half of them: {claim['value']:.2f}x ({claim['low']:.2f} to {claim['high']:.2f}, {claim['pairs']} pairs), "
            f"{claim['verdict']}; perplexity {loss:.2f}x, divergence {half['quality']['divergence']:.3f}; "
            f"as a drafter {draft['speed_up']:.2f}x ({draft['low']:.2f} to {draft['high']:.2f}) predicted"
        )
    from slipstream import config

    with ResultStore.open(config.load().data_root.results / FILE) as store:
        leave("half", {**value, "attestation": store.run(value["run"]).attestation, "copies": HEAVY, "loss": loss})
    assert claim["verdict"] == "faster" and claim["value"] >= LEAST_GAIN
    assert loss <= MOST_LOSS[4]
