"""A split model's file: what is in it, and what can't be split."""

from pathlib import Path

import numpy as np
import pytest

from slipstream.core.errors import ModelFileError, RequestError
from slipstream.models.experts import experts_of
from slipstream.models.gguf import identity, read_header
from slipstream.models.gguf_raw import read_raw
from slipstream.models.split_experts import PREFIX, Split, split_from, write_split
from slipstream.models.weights import floats
from tests.engine import tiny_gguf
from tests.engine.tiny_experts import EXPERTS, WIDTH, moe, texts, wide
from tests.engine.tiny_plain import plain


def test_every_neuron_is_there_once(tmp_path: Path) -> None:
    path = moe(tmp_path / "m.gguf")
    dense = {one.name: one for one in read_raw(tmp_path / "m-dense.gguf").tensors}
    split = {one.name: one for one in read_raw(path).tensors}
    for name in ("ffn_gate", "ffn_up"):
        parts = np.concatenate([floats(split[f"blk.1.{name}_{part}.weight"]) for part in ("shexp", "exps")])
        whole = floats(dense[f"blk.1.{name}.weight"])
        assert sorted(map(bytes, parts)) == sorted(map(bytes, whole))
    down = split["blk.1.ffn_down_exps.weight"]
    assert down.shape == (WIDTH // 2 // EXPERTS, tiny_gguf.EMBEDDING, EXPERTS)
    assert split["blk.0.attn_q.weight"].content.size == dense["blk.0.attn_q.weight"].content.size
    assert "blk.0.ffn_gate.weight" not in split


def test_it_says_what_it_is_and_what_it_was_made_of(tmp_path: Path) -> None:
    path = moe(tmp_path / "m.gguf", copies=2)
    header, source = read_header(path), tmp_path / "m-dense.gguf"
    found = split_from(header)
    assert found and found == Split(source.name, identity(source), EXPERTS, 0.5, 2, found.text)
    assert split_from(read_header(source)) is None
    experts = experts_of(header)
    assert (header.architecture, experts.default, experts.total, experts.shared) == ("deepseek", 8, 8, 4)
    assert header.name == "m-dense.gguf, split into 8 experts"
    again = write_split(source, tmp_path / "again.gguf", texts(), experts=EXPERTS, copies=2)
    assert again.read_bytes() == path.read_bytes()
    assert [one.name for one in tmp_path.iterdir() if "partial" in one.name] == []


def test_refuses_what_it_can_not_split(tmp_path: Path) -> None:
    source = wide(tmp_path / "m.gguf")
    out = tmp_path / "out.gguf"
    for options in ({"experts": 16}, {"experts": 1}, {"shared": 0.0}, {"shared": 0.55}, {"copies": 0}, {"copies": 3}):
        with pytest.raises(RequestError, match="512 neurons can't be split"):
            write_split(source, out, texts(1, 8), **options)
    with pytest.raises(RequestError, match="exists"):
        write_split(source, source, texts(1, 8))
    with pytest.raises(RequestError, match="it is a qwen2"):
        write_split(tiny_gguf.write_gguf(tmp_path / "q.gguf", *plain("qwen2")), out, texts(1, 8))
    with pytest.raises(RequestError, match=r"it has a tensor blk\.0\.attn_q\.bias"):
        metadata, tensors = plain("llama")
        tensors["blk.0.attn_q.bias"] = tiny_gguf.ones(tiny_gguf.EMBEDDING)
        write_split(tiny_gguf.write_gguf(tmp_path / "b.gguf", metadata, tensors), out, texts(1, 8))
    with pytest.raises(RequestError, match=r"rope\.scaling\.type is yarn"):
        metadata, tensors = plain("llama")
        metadata["llama.rope.scaling.type"] = "yarn"
        write_split(tiny_gguf.write_gguf(tmp_path / "y.gguf", metadata, tensors), out, texts(1, 8))
    assert not out.exists()


def test_damaged_notes(tmp_path: Path) -> None:
    metadata, tensors = plain("llama")
    path = tiny_gguf.write_gguf(tmp_path / "m.gguf", metadata | {f"{PREFIX}source": "x"}, tensors)
    with pytest.raises(ModelFileError, match="make it again"):
        split_from(read_header(path))
