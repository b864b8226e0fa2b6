"""The tokens of a model by its file: their texts, what kind they are, and which begin and end a text."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from slipstream.models.gguf_reader import Reader, Value

TOKENS, TYPES = "tokenizer.ggml.tokens", "tokenizer.ggml.token_type"
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
"""Token types of the GGUF format."""

BYTE_PAIR = ("gpt2", "hybriddna", "whitespace")
BYTE_PAIR_DEFAULT = 11
"""The begin and end token that llama.cpp takes for byte-pair tokenizers whose file names none (llama-vocab.cpp): a
comma in most vocabularies that derive from GPT-2's."""

NO_TOKENIZER = ("", "none", "no_vocab")
# Fillers as converters and trainers write them: [PAD151665], <unused12>, <|reserved_special_token_3|>, <extra_id_5>.
FILLER = re.compile(
    r"[<\[][|_]?\s*(?:pad|unused|reserved|extra|dummy|placeholder|special)\w*?\d+\s*[|_]?[>\]]", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A file's token table. `texts` and `types` go by token id, `types` is empty if the file doesn't tell kinds apart.

    `tokenizer` is the algorithm ("gpt2" is byte-pair encoding), `pre` the rule that splits text before it. `special`
    maps roles such as "bos" or "eos" to ids. `add_begin` and `add_end` are None where the file doesn't say. `fault`
    says why the table can't be used; empty if it can.
    """

    name: str
    tokenizer: str
    pre: str
    texts: tuple[str, ...]
    types: tuple[int, ...] = ()
    special: Mapping[str, int] | None = None
    add_begin: bool | None = None
    add_end: bool | None = None
    fault: str = ""

    def __len__(self) -> int:
        return len(self.texts)

    def kind(self, token: int) -> int:
        """The token's type."""
        return self.types[token] if self.types else NORMAL

    def is_spare(self, token: int) -> bool:
        """Whether no text ever gives this token: marked unused, without text, or named like a filler."""
        text = self.texts[token]
        return self.kind(token) == UNUSED or not text or FILLER.fullmatch(text) is not None

    def role(self, name: str) -> int | None:
        """The token with this role, such as "bos"; None if the file names none."""
        return (self.special or {}).get(name)


def read_vocabulary(path: Path) -> Vocabulary:
    """The token table of the model at `path` (of a split model, its first part). No weights are read.

    Raises ModelFileError if the file is missing, not a GGUF or damaged. A sound file without a usable token table gives
    a Vocabulary with a `fault`.
    """
    with Reader(path, whole=(TOKENS, TYPES)) as reader:
        _, _, keys = reader.preamble()
        metadata: dict[str, Value] = dict(reader.key_value() for _ in range(keys))
    texts, types = metadata.get(TOKENS), metadata.get(TYPES, ())
    tokenizer, pre = (str(metadata.get(f"tokenizer.ggml.{key}", "")) for key in ("model", "pre"))
    fault = _fault(tokenizer, texts, types)
    return Vocabulary(
        name=path.name,
        tokenizer=tokenizer,
        pre=pre,
        texts=tuple(map(str, texts)) if isinstance(texts, tuple) and not fault else (),
        types=tuple(one for one in types if isinstance(one, int)) if isinstance(types, tuple) and not fault else (),
        special=_special(metadata),
        add_begin=_flag(metadata.get("tokenizer.ggml.add_bos_token")),
        add_end=_flag(metadata.get("tokenizer.ggml.add_eos_token")),
        fault=fault,
    )


def _fault(tokenizer: str, texts: Value | None, types: Value | None) -> str:
    """Why the table can't be used; empty if it can."""
    if tokenizer in NO_TOKENIZER:
        return "it brings no tokenizer"
    if not isinstance(texts, tuple) or not texts:
        return "it has no list of tokens"
    if not all(isinstance(text, str) for text in texts):
        return "its tokens are no texts"
    if not isinstance(types, tuple) or not all(isinstance(kind, int) for kind in types):
        return "its token types are no numbers"
    if types and len(types) != len(texts):
        return f"it has {len(texts)} tokens but {len(types)} token types"
    if len(texts) > 1 and len(set(texts)) == 1:
        return f"all its {len(texts)} tokens have the same text"
    return ""


def _special(metadata: Mapping[str, Value]) -> dict[str, int]:
    """Token ids by role, from keys such as tokenizer.ggml.bos_token_id."""
    found = {}
    for key, value in metadata.items():
        match = re.fullmatch(r"tokenizer\.ggml\.(\w+)_token_id", key)
        if match and isinstance(value, int):
            found[match[1]] = value
    return found


def _flag(value: Value | None) -> bool | None:
    return value if isinstance(value, bool) else None
