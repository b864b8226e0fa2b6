"""Token tables read from made files: whole at any length, and every reason not to use one."""

from pathlib import Path

import pytest

from slipstream.core.errors import ModelFileError
from slipstream.models.gguf_reader import LongArray, Reader
from slipstream.models.vocabulary import CONTROL, NORMAL, TOKENS, TYPES, UNUSED, Vocabulary, read_vocabulary
from tests.models.made import METADATA, U8, U32, Typed, made, write


def read(path: Path, **changes: object) -> Vocabulary:
    metadata = dict(METADATA) | {f"tokenizer.ggml.{key}": value for key, value in changes.items()}
    return read_vocabulary(write(path / "m.gguf", made({k: v for k, v in metadata.items() if v is not None})))


def test_what_it_says(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        pre="qwen2",
        token_type=[NORMAL] * 39 + [CONTROL],
        bos_token_id=3,
        eos_token_id=39,
        add_bos_token=False,
    )
    assert (found.name, found.tokenizer, found.pre, len(found), found.fault) == ("m.gguf", "gpt2", "qwen2", 40, "")
    assert (found.texts[7], found.kind(7), found.kind(39)) == ("t7", NORMAL, CONTROL)
    assert (found.role("bos"), found.role("eos"), found.role("unk")) == (3, 39, None)
    assert (found.add_begin, found.add_end) == (False, None)


def test_long_tables_are_read_whole(tmp_path: Path) -> None:
    texts = [f"word{number}" for number in range(5000)]
    found = read(tmp_path, tokens=texts, token_type=[NORMAL] * 4999 + [UNUSED], scores=Typed(U8, [1] * 4000))
    assert found.texts == tuple(texts)
    assert found.types == (NORMAL,) * 4999 + (UNUSED,)


def test_the_reader_keeps_only_what_was_asked_for(tmp_path: Path) -> None:
    metadata = dict(METADATA) | {
        "a": [f"{number}" for number in range(2000)],
        "b": Typed(U32, list(range(2000))),
        "c": Typed(U32, list(range(2000))),
        "d": [1, 2],
    }
    with Reader(write(tmp_path / "m.gguf", made(metadata)), whole=("a", "b", "d")) as reader:
        _, _, keys = reader.preamble()
        found = dict(reader.key_value() for _ in range(keys))
    assert found["a"] == tuple(f"{number}" for number in range(2000))
    assert found["b"] == tuple(range(2000))
    assert (found["c"], found["d"]) == (LongArray(2000), (1, 2))


def test_bytes_that_are_no_utf8_stay_apart(tmp_path: Path) -> None:
    blob = made(dict(METADATA) | {TOKENS: ["x0", "x1", "y"]}).replace(b"x0", b"\xff0").replace(b"x1", b"\xfe0")
    found = read_vocabulary(write(tmp_path / "m.gguf", blob))
    assert len(set(found.texts)) == 3


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"model": "none"}, "no tokenizer"),
        ({"model": None}, "no tokenizer"),
        ({"tokens": None}, "no list of tokens"),
        ({"tokens": []}, "no list of tokens"),
        ({"tokens": [1, 2, 3]}, "no texts"),
        ({"tokens": "abc"}, "no list of tokens"),
        ({"tokens": ["a", "b"], "token_type": [1, 1, 1]}, "2 tokens but 3 token types"),
        ({"token_type": ["a"] * 40}, "no numbers"),
        ({"tokens": ["a"] * 40}, "the same text"),
    ],
)
def test_tables_that_cant_be_used(tmp_path: Path, changes: dict[str, object], fault: str) -> None:
    found = read(tmp_path, **changes)
    assert fault in found.fault
    assert len(found) == 0


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    blob = made(dict(METADATA) | {TYPES: [NORMAL] * 40})
    with pytest.raises(ModelFileError, match=r"truncated|damaged|past the end"):
        read_vocabulary(write(tmp_path / "m.gguf", blob[:600]))


@pytest.mark.parametrize(
    ("text", "spare"),
    [
        ("[PAD151665]", True),
        ("<unused12>", True),
        ("<|reserved_special_token_247|>", True),
        ("<extra_id_5>", True),
        ("<|extra_0|>", True),
        ("<dummy00001>", True),
        ("[UNUSED_TOKEN_141]", True),
        ("<SPECIAL_20>", True),
        ("", True),
        ("<|im_start|>", False),
        ("<pad>", False),
        ("<0x0A>", False),
        ("extra1", False),
        ("<tool_call>", False),
    ],
)
def test_fillers(text: str, spare: bool) -> None:
    assert Vocabulary("m", "gpt2", "", (text,)).is_spare(0) is spare
    assert Vocabulary("m", "gpt2", "", (text,), (UNUSED,)).is_spare(0)
