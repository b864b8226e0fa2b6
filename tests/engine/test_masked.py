"""A masked model computes what a file with the same weights at zero computes, and without a mask what it always did."""

import ctypes
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from slipstream.core.errors import EngineError, RequestError
from slipstream.core.ports import Feed
from slipstream.core.skip import SkipSet
from slipstream.engine import watch
from slipstream.engine.masked import MaskedModel
from slipstream.engine.options import ModelOptions
from slipstream.engine.requantize import requantize
from slipstream.engine.target import LlamaTarget
from slipstream.engine.watch import Weight, ggml
from slipstream.models.pruned import write_pruned
from slipstream.models.tensor_types import TENSOR_TYPES
from tests.engine.tiny_gguf import EMBEDDING, LAYERS, random_weights, write_gguf
from tests.engine.tiny_plain import Pieces, plain

PROMPT = list(range(10, 34))
SKIPS = [SkipSet((1,), ()), SkipSet((), (2,)), SkipSet.of_blocks((1, 2)), SkipSet((0, 3), (1, 3))]
Run = Callable[[MaskedModel | LlamaTarget], NDArray[np.float32]]


def options(path: Path, **values: Any) -> ModelOptions:
    return ModelOptions(path, threads=1, context_length=64, **values)


def logits(model: MaskedModel | LlamaTarget) -> NDArray[np.float32]:
    """Of every position of the prompt, and then of one more fed alone; KV is empty before and after."""
    run = model.run if isinstance(model, MaskedModel) else model.decode
    run([Feed(0, 0, PROMPT, len(PROMPT))])
    rows = [model.logits(row).copy() for row in range(len(PROMPT))]
    run([Feed(0, len(PROMPT), [99], 1)])
    rows.append(model.logits(0).copy())
    model.rewind(0, 0)
    return np.array(rows)


def plain_logits(path: Path) -> NDArray[np.float32]:
    with LlamaTarget.open(options(path)) as target:
        return logits(target)


def zeroed(pieces: Pieces, skip: SkipSet) -> Pieces:
    """The same model with zeros in the last projections (and their biases) of what is skipped."""
    metadata, tensors = pieces
    names = [f"blk.{block}.attn_output." for block in skip.attention]
    names += [f"blk.{block}.ffn_down" for block in skip.feed_forward]
    zeros = {name: np.zeros_like(one) for name, one in tensors.items() if name.startswith(tuple(names))}
    return metadata, tensors | zeros


def with_biases(pieces: Pieces) -> Pieces:
    random = random_weights()
    biases = {f"blk.{b}.{name}.bias": random(EMBEDDING) for b in range(LAYERS) for name in ("attn_output", "ffn_down")}
    return pieces[0], pieces[1] | biases


def with_experts(pieces: Pieces) -> Pieces:
    """Every feed-forward as four experts, two of which a token uses."""
    metadata = pieces[0] | {"llama.expert_count": 4, "llama.expert_used_count": 2}
    random = random_weights()
    tensors = {name: one for name, one in pieces[1].items() if "ffn_" not in name or "norm" in name}
    for block in range(LAYERS):
        at = f"blk.{block}.ffn_"
        tensors |= {
            f"{at}gate_inp.weight": random(4, EMBEDDING),
            f"{at}gate_exps.weight": random(4, 2 * EMBEDDING, EMBEDDING),
            f"{at}up_exps.weight": random(4, 2 * EMBEDDING, EMBEDDING),
            f"{at}down_exps.weight": random(4, EMBEDDING, 2 * EMBEDDING),
        }
    return metadata, tensors


MODELS: dict[str, Callable[[], Pieces]] = {
    "llama": lambda: plain("llama"),
    "qwen2": lambda: plain("qwen2"),
    "gemma3": lambda: plain("gemma3", window=8),
    "biases": lambda: with_biases(plain("llama")),
    "experts": lambda: with_experts(plain("llama")),
}


@pytest.mark.parametrize("name", MODELS)
def test_masks_are_exact(tmp_path: Path, name: str) -> None:
    pieces = MODELS[name]()
    source = write_gguf(tmp_path / "source.gguf", *pieces)
    full = plain_logits(source)
    with MaskedModel.open(options(source)) as model:
        assert model.block_count == LAYERS
        np.testing.assert_array_equal(logits(model), full)
        for number, skip in enumerate(SKIPS):
            wanted = plain_logits(write_gguf(tmp_path / f"{number}.gguf", *zeroed(pieces, skip)))
            model.mask(skip)
            np.testing.assert_array_equal(logits(model), wanted)
            assert np.abs(wanted - full).max() > 0.01
            model.mask(SkipSet())
            np.testing.assert_array_equal(logits(model), full)


@pytest.mark.parametrize("repack", [True, False])
@pytest.mark.parametrize("kind", ["F16", "BF16", "Q8_0", "Q4_0"])
def test_quantized_weights(tmp_path: Path, kind: str, repack: bool) -> None:
    """Opening proves that zero bytes are zeros; the pruned file says whether the right ones were left out."""
    pieces = write_gguf(tmp_path / "source.gguf", *plain("llama"))
    source = requantize(pieces, tmp_path / f"{kind}.gguf", kind, threads=1)
    skip = SkipSet.of_blocks((1, 2))
    pruned = write_pruned(source, tmp_path / "pruned.gguf", skip, method="test")
    with MaskedModel.open(options(source, repack=repack)) as model:
        model.mask(skip)
        np.testing.assert_allclose(logits(model), plain_logits(pruned), atol=0.05, rtol=0.05)


def test_zero_bytes_are_zero_in_every_type() -> None:
    class Traits(ctypes.Structure):
        _fields_ = (
            ("name", ctypes.c_char_p),
            ("block", ctypes.c_int64),
            ("interleaved", ctypes.c_int64),
            ("size", ctypes.c_size_t),
            ("is_quantized", ctypes.c_bool),
            ("to_float", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)),
        )

    traits = ggml().ggml_get_type_traits
    traits.restype, traits.argtypes = ctypes.POINTER(Traits), [ctypes.c_int]
    tried = 0
    for number in TENSOR_TYPES:
        kind = traits(number).contents
        if kind.is_quantized and kind.to_float:
            weights, values = np.zeros(kind.size, np.uint8), np.ones(kind.block, np.float32)
            kind.to_float(weights.ctypes.data, values.ctypes.data, kind.block)
            assert not values.any(), kind.name
            tried += 1
    assert tried > 15


def test_other_contexts_and_the_file_see_nothing(tiny_folder: Path) -> None:
    path = tiny_folder / "dense.gguf"
    content, full = path.read_bytes(), plain_logits(path)
    with MaskedModel.open(options(path)) as model:
        model.mask(SkipSet.of_blocks((1, 2)))
        np.testing.assert_array_equal(plain_logits(path), full)
    assert path.read_bytes() == content


@pytest.mark.parametrize("name", ["recurrent", "hybrid"])
def test_running_states_are_refused(tiny_folder: Path, name: str) -> None:
    with pytest.raises(RequestError, match="running state"):
        MaskedModel.open(options(tiny_folder / f"{name}.gguf"))


def test_blocks_that_are_not_there(tiny_folder: Path) -> None:
    with MaskedModel.open(options(tiny_folder / "dense.gguf")) as model, pytest.raises(RequestError, match="beyond"):
        model.mask(SkipSet((LAYERS,), ()))


@pytest.mark.parametrize("micro_batch", [512, 5])
def test_hidden_states(tiny_folder: Path, micro_batch: int) -> None:
    with MaskedModel.open(options(tiny_folder / "dense.gguf", slots=2, micro_batch=micro_batch)) as model:
        assert model.has_middles
        feeds = [Feed(0, 0, PROMPT[:8], 8), Feed(1, 0, PROMPT[8:14], 6)]
        model.run(feeds, watch=True)
        full = [model.state(sublayer) for sublayer in range(2 * LAYERS)]
        assert {state.shape for state in full} == {(14, EMBEDDING)}
        assert all(np.abs(one - other).max() > 0.001 for one, other in pairwise(full))
        model.rewind(0, 0)
        model.rewind(1, 0)
        model.mask(SkipSet((2,), (1,)))
        model.run(feeds, watch=True)
        masked = [model.state(sublayer) for sublayer in range(2 * LAYERS)]
        for sublayer in range(3):
            np.testing.assert_array_equal(masked[sublayer], full[sublayer])
        np.testing.assert_array_equal(masked[3], masked[2])
        np.testing.assert_array_equal(masked[4], masked[2])
        assert np.abs(masked[5] - full[5]).max() > 0.001


def test_architectures_that_show_no_middle(tmp_path: Path) -> None:
    with MaskedModel.open(options(write_gguf(tmp_path / "g.gguf", *plain("gemma3")))) as model:
        shown = model.has_middles
        model.run([Feed(0, 0, PROMPT, 4)], watch=True)
        assert model.state(1).shape[1] == EMBEDDING
        times = model.times()
        assert len(times) == LAYERS and all(part >= 0 for block in times for part in block)
        if not shown:
            with pytest.raises(EngineError, match="no hidden state in the middle of block 1"):
                model.state(2)


def test_architectures_that_show_nothing_are_proven_by_logits(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "BLOCK_END", re.compile("none"))
    monkeypatch.setattr(watch, "AFTER_ATTENTION", re.compile("none"))
    with MaskedModel.open(options(tiny_folder / "dense.gguf")) as model:
        assert not model.has_middles
        model.run([Feed(0, 0, PROMPT, 1)], watch=True)
        with pytest.raises(EngineError, match="no hidden state after block 1"):
            model.state(3)
        with pytest.raises(EngineError, match="no hidden state after block 0"):
            model.times()
    monkeypatch.setattr(Weight, "point_to", lambda weight, address: None)
    with pytest.raises(RequestError, match="do more than attention and feed-forward"):
        MaskedModel.open(options(tiny_folder / "dense.gguf"))


def test_a_mask_that_does_not_hold_is_found_out(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Weight, "point_to", lambda weight, address: None)
    with pytest.raises(RequestError, match="do more than attention and feed-forward"):
        MaskedModel.open(options(tiny_folder / "dense.gguf"))


def test_hold_is_the_full_models(tiny_folder: Path) -> None:
    with MaskedModel.open(options(tiny_folder / "dense.gguf", batch_size=7)) as model:
        model.hold(0, PROMPT)
        model.run([Feed(0, len(PROMPT), [99], 1)])
        wanted = model.logits(0).copy()
        model.rewind(0, 3)
        model.mask(SkipSet.of_blocks((1,)))
        model.hold(0, PROMPT)
        assert model.skip == SkipSet.of_blocks((1,)) and model.target.held(0) == PROMPT
        model.hold(0, PROMPT)
        model.mask(SkipSet())
        model.run([Feed(0, len(PROMPT), [99], 1)])
        np.testing.assert_allclose(model.logits(0), wanted, atol=1e-4)
        model.hold(0, PROMPT[:5])
        assert model.target.held(0) == PROMPT[:5]
        model.hold(0, ())
        assert model.target.held(0) == []


def test_bytes_read_by_sublayer(tmp_path: Path) -> None:
    with MaskedModel.open(options(write_gguf(tmp_path / "d.gguf", *plain("llama")))) as model:
        square = 4 * EMBEDDING**2
        assert model.weight_bytes() == [(4 * square + 4 * EMBEDDING, 6 * square + 4 * EMBEDDING)] * LAYERS
    with MaskedModel.open(options(write_gguf(tmp_path / "e.gguf", *with_experts(plain("llama"))))) as model:
        router, used = 4 * 4 * EMBEDDING, 2 * 6 * square
        assert model.weight_bytes()[0][1] == used + router + 4 * EMBEDDING


@pytest.mark.parametrize(("error", "raised"), [(KeyboardInterrupt, KeyboardInterrupt), (ValueError, EngineError)])
def test_what_goes_wrong_in_the_callback_is_raised(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException], raised: type[BaseException]
) -> None:
    with MaskedModel.open(options(tiny_folder / "dense.gguf")) as model:

        def fail(*arguments: object) -> None:
            raise error

        monkeypatch.setattr(type(model._watch), "_take", fail)
        with pytest.raises(raised):
            model.run([Feed(0, 0, PROMPT, 1)], watch=True)
        model.rewind(0, 0)
        monkeypatch.undo()
        model.run([Feed(0, 0, PROMPT, 1)], watch=True)
        assert model.state(1).shape == (len(PROMPT), EMBEDDING)
