"""SmolLM2 split into experts: quality falls gracefully as they drop, and half of them is faster where they weigh."""

import time
from importlib import resources
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from slipstream.bench.expert_quality import quality
from slipstream.bench.split_model import HEAVY, make
from slipstream.control.measure import fill
from slipstream.core.ports import Feed
from slipstream.engine.expert_count import CountedTarget
from slipstream.engine.options import ModelOptions
from slipstream.engine.target import LlamaTarget
from slipstream.engine.tokenizer import LlamaTokenizer

KEY = "deepseek.expert_used_count"
MOST_LOSS = {8: 1.01, 6: 1.25, 4: 1.6, 2: 2.4}
"""Perplexity against the dense model's, by number of experts: measured 1.00, 1.15, 1.41 and 1.98, and some room."""

pytestmark = pytest.mark.real


def opened(path: Path, count: int) -> CountedTarget:
    options = ModelOptions(path, threads=2, context_length=512, output_rows=64, kv_overrides={KEY: count})
    model = CountedTarget.open(options)
    assert model.experts == count
    return model


def sample(path: Path) -> list[int]:
    from slipstream.engine.model import LlamaModel

    with LlamaModel.load_vocabulary(path) as vocabulary:
        text = resources.files("slipstream.bench").joinpath("sample.txt").read_text("utf-8")
        return LlamaTokenizer(vocabulary).encode(text)


def test_quality_falls_gracefully(smollm2_path: Path, tmp_path: Path) -> None:
    begin = time.perf_counter()
    path = make(tmp_path / "moe.gguf", source=smollm2_path)
    assert time.perf_counter() - begin < 60
    text = sample(path)
    with LlamaTarget.open(ModelOptions(smollm2_path, threads=2, context_length=512, output_rows=64)) as dense:
        whole = quality(dense, None, text, 512)["perplexity"]
    found = {}
    for count in range(8, 0, -1):
        model = opened(path, count)
        found[count] = quality(model.target, None, text, 512)["perplexity"] / whole
        model.close()
    print({count: round(value, 3) for count, value in found.items()})
    assert list(found.values()) == sorted(found.values())
    assert all(found[count] <= most for count, most in MOST_LOSS.items())


def test_half_the_experts_are_faster_where_they_weigh(smollm2_path: Path, tmp_path: Path) -> None:
    path = make(tmp_path / "heavy.gguf", source=smollm2_path, copies=HEAVY)
    text = sample(path)
    models = [opened(path, count) for count in (8, 4)]
    ratios = []
    for turn in range(12):
        times = [timed(model.target, text) for model in (models if turn % 2 else models[::-1])]
        ratios.append(times[0] / times[1] if turn % 2 else times[1] / times[0])
    for model in models:
        model.close()
    print(median(ratios))
    assert median(ratios) >= 1.2


def timed(target: Any, text: list[int]) -> float:
    """Seconds of sixteen tokens, one by one, behind 64."""
    target.rewind(0, 0)
    fill(target, text, 64)
    begin = time.perf_counter()
    for position in range(64, 80):
        target.decode([Feed(0, position, text[position : position + 1], 1)])
        target.logits(0)
    return time.perf_counter() - begin
