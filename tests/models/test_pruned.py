"""Pruned copies byte by byte: which tensors and which metadata they hold, and what is refused."""

import os
import tracemalloc
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.core.errors import ModelFileError, RequestError, StateFileError
from slipstream.core.skip import SkipSet
from slipstream.models.gguf import identity, read_header
from slipstream.models.gguf_raw import read_raw
from slipstream.models.pruned import PREFIX, Notes, Pruned, pruned_from, require_source, write_pruned
from slipstream.models.pruned_deci import Packed, pack
from tests.engine import tiny_gguf
from tests.engine.tiny_gguf import EMBEDDING, HEAD, HEADS, LAYERS, write_gguf
from tests.engine.tiny_plain import plain


def made(path: Path, architecture: str = "llama", extra: Mapping[str, Any] | None = None) -> Path:
    metadata, tensors = plain(architecture)
    return write_gguf(path, metadata | dict(extra or {}), tensors)


def contents(path: Path) -> dict[str, bytes]:
    """The bytes of every tensor."""
    return {tensor.name: b"".join(tensor.content.chunks()) for tensor in read_raw(path).tensors}


def pruned(source: Path, skip: SkipSet, **options: Any) -> Path:
    return write_pruned(source, source.with_name("pruned.gguf"), skip, method="test", **options)


def test_nothing_left_out_is_a_copy(tmp_path: Path) -> None:
    source = made(tmp_path / "m.gguf", extra={"llama.rope.scaling.type": "none"})
    copy = pruned(source, SkipSet())
    before, after = read_raw(source), read_raw(copy)
    assert after.entries[: len(before.entries)] == before.entries
    assert all(entry.key.startswith(PREFIX) for entry in after.entries[len(before.entries) :])
    assert contents(copy) == contents(source)
    assert [(one.shape, one.type) for one in after.tensors] == [(one.shape, one.type) for one in before.tensors]


def test_it_says_what_it_was_made_of(tmp_path: Path) -> None:
    source, skip = made(tmp_path / "m.gguf"), SkipSet((1, 3), (1, 2))
    notes: Notes = {"share": 0.75, "tokens": 4096, "prompt": "sample"}
    copy = write_pruned(source, tmp_path / "c.gguf", skip, method="by cosine", notes=notes)
    found = pruned_from(read_header(copy))
    assert found == Pruned("m.gguf", identity(source), LAYERS, skip, "by cosine", notes)
    require_source(found, source)
    assert pruned_from(read_header(source)) is None
    other = made(tmp_path / "other.gguf", extra={"general.name": "other"})
    with pytest.raises(ModelFileError, match=r"another version of m.gguf .*make it again with slipstream selfdraft"):
        require_source(found, other)
    with pytest.raises(RequestError, match="is a pruned copy already"):
        write_pruned(copy, tmp_path / "d.gguf", SkipSet(), method="again")


@pytest.mark.parametrize("lost", ["identity", "attention", "method"])
def test_a_copy_that_does_not_say_is_damaged(tmp_path: Path, lost: str) -> None:
    facts = {"source": "m", "identity": "0" * 32, "block_count": 4, "attention": [0], "feed_forward": [1]}
    said = {PREFIX + key: value for key, value in (facts | {"method": "x"}).items()}
    assert pruned_from(read_header(made(tmp_path / "a.gguf", extra=said))) is not None
    del said[PREFIX + lost]
    with pytest.raises(ModelFileError, match="doesn't say what it was pruned from"):
        pruned_from(read_header(made(tmp_path / "b.gguf", extra=said)))
    with pytest.raises(ModelFileError, match="doesn't say"):
        pruned_from(read_header(made(tmp_path / "c.gguf", extra=said | {PREFIX + lost: [3, 1]})))


def test_whole_blocks_are_renumbered_and_lists_follow(tmp_path: Path) -> None:
    lists = {
        "llama.attention.head_count": [4, 3, 2, 1],
        "llama.feed_forward_length": [10, 11, 12, 13],
        "llama.rope.dimension_sections": [1, 2, 3, 4],
        "llama.leading_dense_block_count": 2,
        "llama.attention.sliding_window_pattern": [1, 0, 0, 1],
        "xielu.beta": [0.5, 1.5, 2.5, 3.5],
    }
    source = made(tmp_path / "m.gguf", extra=lists)
    copy = pruned(source, SkipSet.of_blocks((1, 2)))
    metadata, header = read_header(copy).metadata, read_header(copy)
    assert (header.block_count, header.architecture) == (2, "llama")
    assert metadata["llama.attention.head_count"] == (4, 1)
    assert metadata["llama.feed_forward_length"] == (10, 13)
    assert metadata["llama.rope.dimension_sections"] == (1, 2, 3, 4)
    assert metadata["llama.leading_dense_block_count"] == 1
    assert metadata["llama.attention.sliding_window_pattern"] == (1, 1)
    assert metadata["xielu.beta"] == (0.5, 3.5)
    before, after = contents(source), contents(copy)
    wanted = {name: blob for name, blob in before.items() if not name.startswith(("blk.1.", "blk.2."))}
    assert after == {name.replace("blk.3.", "blk.1."): blob for name, blob in wanted.items()}


@pytest.mark.parametrize(
    ("architecture", "pattern", "flags"),
    [
        ("gemma3", None, (True, True, True)),
        ("gemma3", 2, (True, True, False)),
        ("gemma2", None, (True, True, False)),
        ("cohere2moe", None, (False, True, True)),
    ],
)
def test_periodic_windows_become_a_list(
    tmp_path: Path, architecture: str, pattern: int | None, flags: tuple[bool, ...]
) -> None:
    extra = {} if pattern is None else {f"{architecture}.attention.sliding_window_pattern": pattern}
    copy = pruned(made(tmp_path / "m.gguf", architecture, extra), SkipSet.of_blocks((1,)))
    assert read_header(copy).metadata[f"{architecture}.attention.sliding_window_pattern"] == flags


@given(st.data())
def test_packing_keeps_the_order_in_few_blocks(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 12))
    attention, feed_forward = (tuple(sorted(data.draw(st.sets(st.integers(0, count - 1))))) for _ in range(2))
    blocks = pack(SkipSet(attention, feed_forward), count)
    kept = [("A", one) for one in range(count) if one not in attention]
    kept = sorted(kept + [("F", one) for one in range(count) if one not in feed_forward], key=lambda one: one[::-1])
    packed = [("A", block.attention) for block in blocks], [("F", block.feed_forward) for block in blocks]
    assert [one for pair in zip(*packed, strict=True) for one in pair if one[1] is not None] == kept
    for left, right in pairwise(blocks):
        assert left.feed_forward is not None or right.attention is not None


def test_sublayers_are_written_as_deci(tmp_path: Path) -> None:
    source, skip = made(tmp_path / "m.gguf", "qwen2"), SkipSet((0, 2), (1,))
    assert pack(skip, LAYERS) == [Packed(None, 0), Packed(1, 2), Packed(3, 3)]
    copy = pruned(source, skip)
    before, after, header = contents(source), contents(copy), read_header(copy)
    metadata = header.metadata
    assert not any(key.startswith("qwen2.") for key in metadata)
    assert metadata["deci.attention.head_count"] == (1, HEADS, HEADS)
    assert metadata["deci.attention.head_count_kv"] == (1, HEADS, HEADS)
    assert metadata["deci.feed_forward_length"] == (2 * EMBEDDING,) * 3
    assert (header.block_count, header.key_length, header.context_length) == (3, HEAD, 512)
    assert set(after["blk.0.attn_q.weight"]) == {0}
    assert after["blk.1.ffn_up.weight"] == before["blk.2.ffn_up.weight"]
    assert after["blk.1.attn_v.weight"] == before["blk.1.attn_v.weight"]
    old = np.frombuffer(before["blk.1.attn_k.weight"], np.float32).reshape(HEADS, HEAD, EMBEDDING)
    new = np.frombuffer(after["blk.1.attn_k.weight"], np.float32).reshape(HEADS, HEAD, EMBEDDING)
    np.testing.assert_array_equal(new[:, 0::2], old[:, : HEAD // 2])
    np.testing.assert_array_equal(new[:, 1::2], old[:, HEAD // 2 :])
    bias = np.frombuffer(before["blk.1.attn_q.bias"], np.float32)
    assert np.frombuffer(after["blk.1.attn_q.bias"], np.float32)[1] == bias[HEAD // 2]
    assert metadata["tokenizer.ggml.tokens"] == tuple(tiny_gguf.TOKENS)


def test_a_missing_feed_forward_is_a_narrow_one_of_zeros(tmp_path: Path) -> None:
    copy = pruned(made(tmp_path / "m.gguf"), SkipSet((), (1, 3)))
    assert read_header(copy).metadata["deci.feed_forward_length"] == (128, 32, 128, 32)
    assert set(contents(copy)["blk.1.ffn_down.weight"]) == {0}
    shapes = {tensor.name: tensor.shape for tensor in read_raw(copy).tensors}
    assert (shapes["blk.3.ffn_up.weight"], shapes["blk.3.ffn_down.weight"]) == ((EMBEDDING, 32), (32, EMBEDDING))


def test_parts_become_one_file(tmp_path: Path) -> None:
    metadata, tensors = plain("llama")
    names, half = list(tensors), len(tensors) // 2
    for number, part in ((1, names[:half]), (2, names[half:])):
        own = (metadata if number == 1 else {}) | {"split.count": 2, "split.no": number - 1}
        write_gguf(tmp_path / f"m-{number:05}-of-00002.gguf", own, {name: tensors[name] for name in part})
    source = tmp_path / "m-00001-of-00002.gguf"
    copy = pruned(source, SkipSet.of_blocks((0,)))
    assert contents(copy)["blk.2.ffn_up.weight"] == tensors["blk.3.ffn_up.weight"].tobytes()
    assert "split.count" not in read_header(copy).metadata
    with pytest.raises(RequestError, match="is the model itself"):
        write_pruned(source, tmp_path / "m-00002-of-00002.gguf", SkipSet(), method="x")


@pytest.mark.parametrize(
    ("architecture", "extra", "skip", "says"),
    [
        ("llama", {}, SkipSet((), (2, 4)), "has no block 4. its blocks are 0 to 3"),
        ("llama", {}, SkipSet.of_blocks((0, 1, 2, 3)), "would stay"),
        ("smollm3", {}, SkipSet.of_blocks((0,)), "every few blocks have no positions"),
        ("gemma3n", {}, SkipSet.of_blocks((0,)), "use the cache of earlier ones"),
        ("minicpm", {}, SkipSet.of_blocks((0,)), "from the number of blocks"),
        ("llama", {"llama.nextn_predict_layers": 1}, SkipSet.of_blocks((0,)), "predict several tokens"),
        ("llama", {"llama.ssm.state_size": 1}, SkipSet.of_blocks((0,)), "keep a running state"),
        ("llama", {"llama.attention.sliding_window_pattern": 3}, SkipSet.of_blocks((0,)), "an unknown order"),
        ("llama", {"llama.attention.head_count": [2, 2]}, SkipSet.of_blocks((0,)), "2 values of .* for 4 blocks"),
        ("llama", {"llama.new.thing": [1, 2, 3, 4]}, SkipSet.of_blocks((0,)), "may have one value per block"),
        ("llama", {"llama.block_count": 5}, SkipSet.of_blocks((0,)), "says it has 5 blocks"),
        ("gemma3", {}, SkipSet((0,), ()), "its architecture is gemma3. .*take a model of llama or qwen2"),
        ("llama", {"llama.rope.dimension_count": 16}, SkipSet((0,), ()), "positions in 16"),
        ("llama", {"llama.attention.head_count_kv": [2, 0, 2, 2]}, SkipSet((0,), ()), "lack them already"),
    ],
)
def test_refused(tmp_path: Path, architecture: str, extra: dict[str, Any], skip: SkipSet, says: str) -> None:
    source = made(tmp_path / "m.gguf", architecture, extra)
    with pytest.raises((RequestError, ModelFileError), match=says) as caught:
        pruned(source, skip)
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize(
    ("architecture", "name"),
    [
        ("llama", "blk.1.attn_q_norm.weight"),
        ("qwen2", "output.bias"),
        ("qwen2", "rope_freqs.weight"),
        ("qwen2", "blk.2.attn_qkv.weight"),
    ],
)
def test_tensors_that_deci_lacks(tmp_path: Path, architecture: str, name: str) -> None:
    metadata, tensors = plain(architecture)
    source = write_gguf(tmp_path / "m.gguf", metadata, tensors | {name: tiny_gguf.ones(HEAD)})
    with pytest.raises(RequestError, match=name):
        pruned(source, SkipSet((0,), ()))


def test_a_block_that_lacks_its_attention(tmp_path: Path) -> None:
    metadata, tensors = plain("llama")
    source = write_gguf(
        tmp_path / "m.gguf", metadata, {name: one for name, one in tensors.items() if not name.startswith("blk.2.attn")}
    )
    with pytest.raises(ModelFileError, match="has blocks without attention or feed-forward"):
        pruned(source, SkipSet((0,), ()))


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = made(tmp_path / "m.gguf"), tmp_path / "new.gguf"

    def failed(kind: type[BaseException], says: str, destination: Path = target, **options: Any) -> None:
        with pytest.raises(kind, match=says):
            write_pruned(source, destination, SkipSet.of_blocks((1,)), method="x", **options)
        assert sorted(tmp_path.iterdir()) == [source]

    def interrupt(done: int, total: int) -> None:
        assert len(list(tmp_path.iterdir())) == 2
        raise KeyboardInterrupt

    failed(RequestError, "is the model itself", source)
    failed(StateFileError, "No such file", tmp_path / "no" / "new.gguf")
    failed(StateFileError, "Not a directory", source / "new.gguf")
    failed(KeyboardInterrupt, ".*", report=interrupt)
    with monkeypatch.context() as patch:
        patch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=3, f_frsize=4096))
        failed(StateFileError, "needs 0.0 GB and .* has 0.0 GB free")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: os.close(-1))
        failed(StateFileError, "could not be written: Bad file descriptor")
    failed(ModelFileError, "became shorter", report=lambda done, total: os.truncate(source, 9000))
    failed(ModelFileError, "truncated")


def test_a_file_that_exists_is_not_touched(tmp_path: Path) -> None:
    target = tmp_path / "new.gguf"
    target.write_bytes(b"mine")
    with pytest.raises(RequestError, match="exists"):
        write_pruned(made(tmp_path / "m.gguf"), target, SkipSet(), method="x")
    assert target.read_bytes() == b"mine"


def test_memory_stays_small_and_progress_is_told(tmp_path: Path) -> None:
    metadata, tensors = plain("llama")
    big = np.zeros((1 << 18, EMBEDDING), np.float32)  # 64 MB
    source = write_gguf(tmp_path / "m.gguf", metadata, tensors | {"blk.1.big.weight": big})
    del big
    told: list[tuple[int, int]] = []
    tracemalloc.start()
    copy = pruned(source, SkipSet.of_blocks((0,)), report=lambda done, total: told.append((done, total)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20
    size = copy.stat().st_size
    assert told[-1] == (size, size) and told == sorted(told)
