from pathlib import Path

import pytest

from slipstream.core.errors import RequestError
from slipstream.engine.tokenizer import LlamaTokenizer, open_tokenizer

TEXTS = ["Hello, world", "  two spaces", "🦜 naïve 漢字\n\ttab", "a\0b", "<|im_start|>user", "x" * 5000]


@pytest.mark.parametrize("text", TEXTS)
def test_round_trip(smollm2_tokenizer: LlamaTokenizer, text: str) -> None:
    tokens = smollm2_tokenizer.encode(text)
    assert smollm2_tokenizer.decode(tokens) == text
    assert b"".join(map(smollm2_tokenizer.piece, tokens)) == text.encode()


def test_pieces_are_bytes_of_a_character(smollm2_tokenizer: LlamaTokenizer) -> None:
    pieces = [smollm2_tokenizer.piece(token) for token in smollm2_tokenizer.encode("🦜")]
    assert len(pieces) > 1 and b"".join(pieces) == "🦜".encode()
    with pytest.raises(UnicodeDecodeError):
        pieces[0].decode()


def test_control_tokens(smollm2_tokenizer: LlamaTokenizer) -> None:
    assert smollm2_tokenizer.encode("<|im_start|>", special=True) == [1]
    assert len(smollm2_tokenizer.encode("<|im_start|>")) > 1
    assert smollm2_tokenizer.piece(1) == b""
    assert smollm2_tokenizer.label(1) == "<|im_start|>"
    assert {0, 2} <= smollm2_tokenizer.end_tokens
    assert smollm2_tokenizer.end_token in smollm2_tokenizer.end_tokens


def test_begin_token_comes_once_and_only_where_wanted(smollm2_tokenizer: LlamaTokenizer, tiny_folder: Path) -> None:
    assert not smollm2_tokenizer.adds_begin
    assert smollm2_tokenizer.encode_prompt("Hi") == smollm2_tokenizer.encode("Hi")
    tiny = open_tokenizer(tiny_folder / "dense.gguf")
    assert tiny.adds_begin and tiny.begin_token == 1
    assert tiny.encode_prompt("hi") == [1, *tiny.encode("hi")]
    assert tiny.encode_prompt("<s>hi", special=True) == tiny.encode_prompt("hi")
    assert tiny.encode_prompt("") == [1]
    tiny.close()


def test_unknown_tokens_and_bad_text(smollm2_tokenizer: LlamaTokenizer) -> None:
    for token in (-1, smollm2_tokenizer.vocabulary_size):
        with pytest.raises(RequestError, match="not in the vocabulary"):
            smollm2_tokenizer.piece(token)
    with pytest.raises(RequestError, match="lone surrogate at character 1"):
        smollm2_tokenizer.encode("a\ud800")
    assert smollm2_tokenizer.encode("") == []


def test_alone_it_is_the_same(smollm2_tokenizer: LlamaTokenizer, smollm2_path: Path, tiny_folder: Path) -> None:
    alone = open_tokenizer(smollm2_path)
    assert alone.encode(TEXTS[2]) == smollm2_tokenizer.encode(TEXTS[2])
    assert alone.fingerprint == smollm2_tokenizer.fingerprint
    assert len(alone.fingerprint) == 16
    alone.close()
    other = open_tokenizer(tiny_folder / "dense.gguf")
    assert other.fingerprint != smollm2_tokenizer.fingerprint
    other.close()
