"""The number of experts as the engine's graph has it, on tiny models; and that a split model computes the dense one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slipstream.core.ports import Feed
from slipstream.engine.expert_count import CountedTarget, experts_used
from slipstream.engine.options import ModelOptions
from slipstream.engine.target import LlamaTarget
from slipstream.models.experts import experts_of
from slipstream.models.gguf import read_header
from tests.engine import tiny_gguf
from tests.engine.tiny_experts import EXPERTS, moe
from tests.engine.tiny_plain import plain

USED = "deepseek.expert_used_count"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("experts")
    moe(folder / "moe.gguf")
    return folder


def options(path: Path, **overrides: Any) -> ModelOptions:
    return ModelOptions(
        path, threads=1, context_length=64, key_type="f32", value_type="f32", flash_attention="off",
        kv_overrides={f"deepseek.{key}": value for key, value in overrides.items()},
    )  # fmt: skip


def rows(path: Path, **overrides: Any) -> Any:
    with LlamaTarget.open(options(path, **overrides)) as target:
        target.decode([Feed(0, 0, [1, 70, 90, 110, 120, 60], 6)])
        return np.stack([target.logits(row).copy() for row in range(6)])


@pytest.mark.parametrize("count", [8, 5, 1])
def test_counts_what_the_graph_uses(folder: Path, count: int) -> None:
    model = CountedTarget.open(options(folder / "moe.gguf", expert_used_count=count))
    assert model.experts == count
    # The metadata says what the file says: it proves nothing.
    assert model.target.model.metadata(USED) == str(EXPERTS)
    assert model.target.model.watch is None
    model.target.decode([Feed(0, 0, [1], 1)])
    model.close()


def test_an_override_that_does_not_take_hold_is_seen(folder: Path) -> None:
    wrong_key = CountedTarget.open(options(folder / "moe.gguf", expert_use_count=2))
    wrong_type = CountedTarget.open(options(folder / "moe.gguf", expert_used_count=2.0))
    assert wrong_key.experts == wrong_type.experts == EXPERTS
    wrong_key.close()
    wrong_type.close()


def test_a_dense_model_uses_none(tiny_folder: Path) -> None:
    with LlamaTarget.open(options(tiny_folder / "dense.gguf")) as target:
        assert experts_used(target.model, target.options) == 0


def test_all_experts_compute_the_dense_model(folder: Path) -> None:
    dense, whole = rows(folder / "moe-dense.gguf"), rows(folder / "moe.gguf")
    scale = np.abs(dense).max()
    assert np.abs(whole - dense).max() < 0.01 * scale
    losses = [np.abs(rows(folder / "moe.gguf", expert_used_count=count) - dense).mean() for count in (8, 6, 4, 2)]
    assert losses == sorted(losses) and losses[1] > 3 * losses[0]


def test_copies_change_the_cost_alone(folder: Path, tmp_path: Path) -> None:
    heavy = moe(tmp_path / "heavy.gguf", copies=2)
    assert read_header(heavy).weights_bytes > 1.2 * read_header(folder / "moe.gguf").weights_bytes
    for count in (8, 3):
        one, two = (rows(path, expert_used_count=count) for path in (folder / "moe.gguf", heavy))
        assert np.abs(one - two).max() < 0.01 * np.abs(one).max()


def test_other_architectures_show_it_too(tmp_path: Path) -> None:
    """The `llama` architecture, as Mixtral is written, two of four experts."""
    metadata, tensors = plain("llama")
    metadata |= {"llama.expert_count": 4, "llama.expert_used_count": 2}
    random = tiny_gguf.random_weights()
    for block in range(tiny_gguf.LAYERS):
        at = f"blk.{block}."
        for name in ("ffn_gate", "ffn_up", "ffn_down"):
            del tensors[f"{at}{name}.weight"]
        tensors[f"{at}ffn_gate_inp.weight"] = random(4, tiny_gguf.EMBEDDING)
        tensors[f"{at}ffn_gate_exps.weight"] = random(4, 2 * tiny_gguf.EMBEDDING, tiny_gguf.EMBEDDING)
        tensors[f"{at}ffn_up_exps.weight"] = random(4, 2 * tiny_gguf.EMBEDDING, tiny_gguf.EMBEDDING)
        tensors[f"{at}ffn_down_exps.weight"] = random(4, tiny_gguf.EMBEDDING, 2 * tiny_gguf.EMBEDDING)
    path = tiny_gguf.write_gguf(tmp_path / "mixtral.gguf", metadata, tensors)
    found = experts_of(read_header(path))
    assert (found.default, found.total, found.shared) == (2, 4, 0)
    for count in (2, 1):
        model = CountedTarget.open(ModelOptions(path, threads=1, context_length=64, kv_overrides=found.override(count)))
        assert model.experts == count
        model.close()
