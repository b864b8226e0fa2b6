"""Draft heads told apart by what made files hold."""

from pathlib import Path

import pytest

from slipstream.core.errors import RequestError
from slipstream.models.gguf import Header, read_header
from slipstream.models.heads import heads_of, require_head_for
from tests.engine import tiny_gguf
from tests.models.made import METADATA, TENSORS, made, write

F32 = 0


def model(tmp_path: Path, *tensors: tuple[str, tuple[int, ...]], name: str = "m.gguf", **changes: object) -> Header:
    """A made file of architecture `architecture` (llama), with further float32 tensors."""
    architecture = str(changes.pop("architecture", "llama"))
    metadata = {key.replace("llama.", f"{architecture}."): value for key, value in METADATA.items()}
    metadata |= {"general.architecture": architecture}
    metadata |= {f"{architecture}.{key}": value for key, value in changes.items()}
    more = [(name, shape, F32, 4 * shape[0] * (shape[1] if len(shape) > 1 else 1)) for name, shape in tensors]
    return read_header(write(tmp_path / name, made(metadata, (*TENSORS, *more))))


def test_an_ordinary_model(tmp_path: Path) -> None:
    verdict = heads_of(read_header(tiny_gguf.dense(tmp_path / "m.gguf")))
    assert (verdict.kind, verdict.usable, verdict.standalone, verdict.needs) == ("none", False, False, "")


def test_a_model_with_prediction_layers(tmp_path: Path) -> None:
    tensors = ("blk.2.nextn.eh_proj.weight", (64, 32)), ("blk.2.nextn.enorm.weight", (32,))
    verdict = heads_of(model(tmp_path, *tensors))
    assert (verdict.kind, verdict.layers, verdict.standalone, verdict.usable) == ("mtp", 1, False, True)
    assert verdict.reason.startswith(
        "the model brings 1 next-token-prediction layer, which drafts where llama.cpp runs"
    )
    two = heads_of(model(tmp_path, *tensors, ("blk.3.nextn.eh_proj.weight", (64, 32))))
    assert (two.kind, two.layers, two.usable) == ("mtp", 2, False)
    assert "only a single one is supported" in two.needs


def test_promised_layers_without_weights_are_none(tmp_path: Path) -> None:
    verdict = heads_of(model(tmp_path, nextn_predict_layers=2))
    assert verdict.kind == "none"
    assert verdict.reason == "the file declares 2 next-token-prediction layers, but holds none of their weights"


@pytest.mark.parametrize(
    ("architecture", "tensors", "kind"),
    [
        ("eagle3", [("fc.weight", (96, 32))], "eagle3"),
        ("eagle", [("fc.weight", (64, 32))], "eagle"),
        ("llama", [("fc.weight", (64, 32))], "eagle"),
        ("llama", [("fc.weight", (96, 32)), ("d2t", (32,))], "eagle3"),
        ("medusa", [], "medusa"),
        ("llama", [("medusa_heads.0.0.linear.weight", (32, 32))], "medusa"),
        ("dflash", [], "dflash"),
        ("gemma4-assistant", [("nextn.post_projection.weight", (32, 64))], "mtp"),
    ],
)
def test_files_that_are_heads(
    tmp_path: Path, architecture: str, tensors: list[tuple[str, tuple[int, ...]]], kind: str
) -> None:
    verdict = heads_of(model(tmp_path, *tensors, architecture=architecture))
    assert (verdict.kind, verdict.standalone, verdict.usable) == (kind, True, False)
    assert "not a model that generates text by itself" in verdict.reason
    assert verdict.needs.startswith("it would need ")


def test_the_head_of_this_model(tmp_path: Path) -> None:
    target = model(tmp_path, name="target.gguf")
    head = model(tmp_path, ("fc.weight", (96, 32)), architecture="eagle3", target_hidden_size=32, name="head.gguf")
    require_head_for(head, target)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"target_hidden_size": 64}, "hidden states of 64 numbers, but target.gguf has 32"),
        ({"target_hidden_size": 32, "tokens": 41}, "a vocabulary of 41 tokens, but target.gguf has 40"),
    ],
)
def test_the_head_of_another_model(tmp_path: Path, changes: dict[str, int], says: str) -> None:
    target = model(tmp_path, name="target.gguf")
    tokens = changes.pop("tokens", 40)
    metadata = {key.replace("llama.", "eagle3."): value for key, value in METADATA.items()}
    metadata |= {"general.architecture": "eagle3", "tokenizer.ggml.tokens": [f"t{n}" for n in range(tokens)]}
    metadata |= {f"eagle3.{key}": value for key, value in changes.items()}
    head = read_header(write(tmp_path / "head.gguf", made(metadata)))
    with pytest.raises(RequestError, match=says):
        require_head_for(head, target)


def test_the_embedding_tells_the_vocabulary_of_a_head_without_one(tmp_path: Path) -> None:
    target = model(tmp_path, name="target.gguf")
    metadata = {key: value for key, value in METADATA.items() if "tokens" not in key}
    metadata |= {"general.architecture": "eagle", "eagle.embedding_length": 32, "eagle.block_count": 1}
    for rows, fits in ((40, True), (48, False)):
        tensors = (("token_embd.weight", (32, rows), F32, 32 * rows * 4),)
        head = read_header(write(tmp_path / "head.gguf", made(metadata, tensors)))
        assert heads_of(head).target_vocabulary == rows
        if fits:
            require_head_for(head, target)
        else:
            with pytest.raises(RequestError, match="a vocabulary of 48 tokens"):
                require_head_for(head, target)


def test_a_model_is_no_head(tmp_path: Path) -> None:
    target = model(tmp_path)
    with pytest.raises(RequestError, match="is no draft head"):
        require_head_for(target, target)
