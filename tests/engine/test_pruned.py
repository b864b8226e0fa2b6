"""Pruned copies in the engine: they compute what the source computes when the skipped sub-layers add nothing."""

import random
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from slipstream.core.ports import Feed
from slipstream.core.skip import SkipSet
from slipstream.engine.options import ModelOptions
from slipstream.engine.target import LlamaTarget
from slipstream.models.gguf import read_header
from slipstream.models.pruned import write_pruned
from tests.engine.tiny_gguf import LAYERS, write_gguf
from tests.engine.tiny_plain import Pieces, plain

PROMPT = list(range(10, 40))
BLOCKS = range(LAYERS)


def logits(path: Path) -> NDArray[np.float32]:
    """Of every position of the prompt, and then of one more fed alone."""
    with LlamaTarget.open(ModelOptions(path, threads=1, context_length=64, key_type="f32", value_type="f32")) as target:
        target.decode([Feed(0, 0, PROMPT, len(PROMPT))])
        rows = [target.logits(row).copy() for row in range(len(PROMPT))]
        target.rewind(0, 20)
        target.decode([Feed(0, 20, [99, 100], 1)])
        return np.array([*rows, target.logits(0)])


def expected(folder: Path, pieces: Pieces, skip: SkipSet) -> NDArray[np.float32]:
    """With the weights that bring a sub-layer's result back set to zero; gemma3 brings back what a norm makes of it."""
    metadata, tensors = pieces
    for names, blocks in (
        (("attn_output", "post_attention_norm"), skip.attention),
        (("ffn_down", "post_ffw_norm"), skip.feed_forward),
    ):
        for name in (f"blk.{block}.{name}.weight" for name in names for block in blocks):
            if name in tensors:
                tensors[name] = np.zeros_like(tensors[name])
    return logits(write_gguf(folder / "expected.gguf", metadata, tensors))


def pruned(folder: Path, pieces: Pieces, skip: SkipSet) -> Path:
    source = write_gguf(folder / "source.gguf", *pieces)
    return write_pruned(source, folder / "pruned.gguf", skip, method="test")


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gemma3"])
def test_skipping_nothing_is_the_same_to_the_bit(tmp_path: Path, architecture: str) -> None:
    copy = pruned(tmp_path, plain(architecture, window=8 if architecture == "gemma3" else 0), SkipSet())
    np.testing.assert_array_equal(logits(copy), logits(tmp_path / "source.gguf"))


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gemma3"])
@pytest.mark.parametrize("blocks", [(0,), (3,), (1, 2), (0, 2, 3)])
def test_whole_blocks(tmp_path: Path, architecture: str, blocks: tuple[int, ...]) -> None:
    skip = SkipSet.of_blocks(blocks)
    pieces = plain(architecture)
    copy = pruned(tmp_path, pieces, skip)
    assert read_header(copy).architecture == architecture
    np.testing.assert_allclose(logits(copy), expected(tmp_path, pieces, skip), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("blocks", [(0,), (5,), (0, 1, 7)])
def test_sliding_windows_stay_with_their_blocks(tmp_path: Path, blocks: tuple[int, ...]) -> None:
    """Of gemma3's blocks every sixth attends to everything, by its index: without some the others change places."""
    pieces, skip = plain("gemma3", window=8, blocks=9), SkipSet.of_blocks(blocks)
    copy = pruned(tmp_path, pieces, skip)
    wanted = expected(tmp_path, pieces, skip)
    np.testing.assert_allclose(logits(copy), wanted, atol=1e-4, rtol=1e-4)
    pieces[0]["gemma3.attention.sliding_window_pattern"] = 4
    assert np.abs(expected(tmp_path, pieces, skip) - wanted).max() > 0.1


def random_skips() -> list[SkipSet]:
    """Some by hand for each rule of packing, then any."""
    everything = tuple(BLOCKS)
    skips = [
        SkipSet((1,), ()),
        SkipSet((), (1,)),
        SkipSet((2,), (1,)),  # A1 and F2 become one block
        SkipSet((0,), ()),  # the first block has no attention
        SkipSet((0, 1), (0,)),
        SkipSet((3,), ()),  # the last block has no attention
        SkipSet((), (3,)),  # the last block has no feed-forward
        SkipSet((), everything),
        SkipSet(everything, ()),
        SkipSet(everything, (0, 1, 2)),
        SkipSet((0, 1, 2), everything),
    ]
    generator = random.Random(5)
    for _ in range(8):
        attention, feed_forward = (tuple(b for b in BLOCKS if generator.random() < 0.4) for _ in range(2))
        if attention != feed_forward:
            skips.append(SkipSet(attention, feed_forward))
    return skips


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
@pytest.mark.parametrize("skip", random_skips(), ids=lambda skip: f"{skip.attention}{skip.feed_forward}")
def test_attention_and_feed_forward_apart(tmp_path: Path, architecture: str, skip: SkipSet) -> None:
    pieces = plain(architecture)
    copy = pruned(tmp_path, pieces, skip)
    assert read_header(copy).architecture == "deci"
    np.testing.assert_allclose(logits(copy), expected(tmp_path, pieces, skip), atol=1e-3, rtol=1e-3)
