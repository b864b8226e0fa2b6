"""The model's own tokenizer: core's Tokenizer on llama.cpp's vocabulary."""

import ctypes
import hashlib
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from llama_cpp import llama_cpp as library

from slipstream.core.errors import EngineError, RequestError
from slipstream.engine.model import LlamaModel

NO_TOKEN = -1
LONGEST_PIECE = 256


class LlamaTokenizer:
    """Text to tokens and back. The model has to stay open while this is used."""

    def __init__(self, model: LlamaModel, *, owns_model: bool = False) -> None:
        self._model = model
        self._owns_model = owns_model
        self._vocabulary: Any = model.vocabulary
        self.vocabulary_size = int(library.llama_vocab_n_tokens(self._vocabulary))
        self.begin_token: int | None = self._special(library.llama_vocab_bos)
        self.end_token: int | None = self._special(library.llama_vocab_eos)
        self.adds_begin = bool(library.llama_vocab_get_add_bos(self._vocabulary)) and self.begin_token is not None
        self._pieces: list[bytes | None] = [None] * self.vocabulary_size
        self._buffer = ctypes.create_string_buffer(LONGEST_PIECE)

    @cached_property
    def end_tokens(self) -> frozenset[int]:
        """Every end-of-generation token of the vocabulary."""
        ends = library.llama_vocab_is_eog
        return frozenset(token for token in range(self.vocabulary_size) if ends(self._vocabulary, token))

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that stand for the vocabulary: same texts in the same order, same fingerprint."""
        digest = hashlib.sha256(f"{library.llama_vocab_type(self._vocabulary)}\n".encode())
        for token in range(self.vocabulary_size):
            digest.update(library.llama_vocab_get_text(self._vocabulary, token) or b"")
            digest.update(b"\0")
        return digest.hexdigest()[:16]

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """Tokens of `text`, nothing added; `special` also reads control tokens written in it."""
        if not text:
            return []
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            raise RequestError(f"the text has a lone surrogate at character {error.start}", hint="send UTF-8") from None
        room = len(data) + 8
        while True:
            tokens = (ctypes.c_int32 * room)()
            count = library.llama_tokenize(self._vocabulary, data, len(data), tokens, room, False, special)
            if count >= 0:
                return tokens[:count]
            if -count <= room:
                raise EngineError(f"llama.cpp could not tokenize a text of {len(data)} bytes")
            room = -count

    def encode_prompt(self, text: str, *, special: bool = False) -> list[int]:
        """Tokens of a whole prompt: the begin token goes in front if the model wants one and the text (a rendered chat
        template, read with `special`) doesn't bring it."""
        tokens = self.encode(text, special=special)
        if self.adds_begin and self.begin_token is not None and tokens[:1] != [self.begin_token]:
            tokens.insert(0, self.begin_token)
        return tokens

    def piece(self, token: int) -> bytes:
        """The bytes that a token stands for; may be part of a UTF-8 character. Control tokens give none."""
        if not 0 <= token < self.vocabulary_size:
            raise RequestError(f"token {token} is not in the vocabulary of {self.vocabulary_size}")
        known = self._pieces[token]
        if known is None:
            known = self._pieces[token] = self._render(token, special=False)
        return known

    def decode(self, tokens: Iterable[int]) -> str:
        """Text of `tokens`; bytes that are no UTF-8 become replacement characters."""
        return b"".join(map(self.piece, tokens)).decode("utf-8", "replace")

    def label(self, token: int) -> str:
        """A token for human eyes: its text, control tokens included."""
        return self._render(token, special=True).decode("utf-8", "replace")

    def close(self) -> None:
        """Free the vocabulary if `open_tokenizer` loaded it."""
        if self._owns_model:
            self._model.close()

    def _render(self, token: int, *, special: bool) -> bytes:
        buffer = self._buffer
        length = library.llama_token_to_piece(self._vocabulary, token, buffer, len(buffer), 0, special)
        if length < 0:
            buffer = ctypes.create_string_buffer(-length)
            length = library.llama_token_to_piece(self._vocabulary, token, buffer, -length, 0, special)
        return buffer.raw[: max(length, 0)]

    def _special(self, getter: Any) -> int | None:
        token = int(getter(self._vocabulary))
        return None if token == NO_TOKEN else token


def open_tokenizer(path: Path) -> LlamaTokenizer:
    """A file's tokenizer alone: no weights are read. Close it after use."""
    return LlamaTokenizer(LlamaModel.load_vocabulary(path), owns_model=True)
