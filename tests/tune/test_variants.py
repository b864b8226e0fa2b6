"""Which files are the same model in other weights, and which may draft for it."""

from dataclasses import replace
from pathlib import Path

import pytest

from slipstream.core.errors import ModelFileError, RequestError
from slipstream.models.gguf import Header, read_header
from slipstream.tune.variants import beside, difference, named, precise
from tests.engine import tiny_gguf


@pytest.fixture
def header(tmp_path: Path) -> Header:
    return replace(read_header(tiny_gguf.dense(tmp_path / "model.F32.gguf")), name="Some Model 1B Instruct")


def other(header: Header, **changes: object) -> Header:
    return replace(header, quantization="Q8_0", weights_bytes=1, **changes)  # type: ignore[arg-type]


def test_the_same_in_other_weights(header: Header) -> None:
    assert difference(header, other(header)) == ""
    assert difference(header, other(header, name="some-model-1b-instruct-GGUF")) == ""
    assert difference(header, other(header, name="")) == ""


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"architecture": "qwen2"}, "its architecture is qwen2, not llama"),
        ({"block_count": 9}, "its block count is 9"),
        ({"vocabulary_size": 9}, "its vocabulary size is 9"),
        ({"name": "Some Model 1B"}, "it calls itself 'Some Model 1B', not 'Some Model 1B Instruct'"),
    ],
)
def test_another_model(header: Header, changes: dict[str, object], says: str) -> None:
    assert says in difference(header, other(header, **changes))


def test_the_same_weights_are_no_variant(header: Header) -> None:
    assert "its weights are F32 too" in difference(header, header)


@pytest.mark.parametrize(
    ("ours", "theirs", "more"),
    [
        (("Q4_K", 5.0), ("Q8_0", 8.5), True),
        (("Q4_K", 5.0), ("BF16", 16), True),
        (("F16", 16), ("BF16", 16), True),
        (("Q4_K", 5.0), ("Q4_1", 5.1), False),
        (("Q4_K", 5.0), ("Q4_0", 4.6), False),
        (("BF16", 16), ("Q8_0", 8.5), False),
    ],
    ids=str,
)
def test_which_file_is_more_precise(
    header: Header, ours: tuple[str, float], theirs: tuple[str, float], more: bool
) -> None:
    pair = [replace(header, quantization=name, weights_bytes=int(header.weights * bits / 8))
            for name, bits in (ours, theirs)]  # fmt: skip
    assert precise(*pair) is more


def test_beside_a_model(header: Header) -> None:
    folder = header.path.parent
    tiny_gguf.dense(folder / "twin.gguf")
    (folder / "broken.gguf").write_bytes(b"GGUF")
    large = replace(header, path=folder / "large.gguf", weights=1 << 30, block_count=99)
    found = beside(large)
    assert found.variants == ()
    assert {draft.path.name for draft in found.drafts} == {"model.F32.gguf", "twin.gguf"}
    assert beside(read_header(header.path)).drafts == (), "as large as the model itself"


def test_named_files_must_be_the_same_model(header: Header, tmp_path: Path) -> None:
    twin = tiny_gguf.dense(tmp_path / "twin.gguf")
    with pytest.raises(RequestError, match=r"twin\.gguf is not model\.F32\.gguf in other weights"):
        named(header, [twin])
    with pytest.raises(RequestError, match="there is no other file"):
        named(header, [tmp_path])
    with pytest.raises(ModelFileError):
        named(header, [tmp_path / "none.gguf"])
    loose = replace(header, quantization="BF16", name="")
    assert [one.path for one in named(loose, [tmp_path, twin])] == [
        header.path, twin,
    ]  # fmt: skip
