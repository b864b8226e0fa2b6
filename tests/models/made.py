"""Makes small GGUF files byte by byte, so that tests can write what no proper writer would."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

U8, U32, F32, BOOL, STRING, ARRAY, U64 = 0, 4, 6, 7, 8, 9, 10
PACK = {U8: "<B", U32: "<I", F32: "<f", BOOL: "<?", U64: "<Q"}


class Typed(NamedTuple):
    """A metadata value with its GGUF type; an array has its items' type and a list."""

    kind: int
    value: object


def text(value: str) -> bytes:
    """A string with its length before it."""
    return struct.pack("<Q", len(value.encode())) + value.encode()


def _plain(kind: int, value: object) -> bytes:
    return text(str(value)) if kind == STRING else struct.pack(PACK[kind], value)


def entry(key: str, value: object) -> bytes:
    """A metadata entry; Python's own types stand for the usual GGUF types."""
    if isinstance(value, Typed):
        kind, value = value
    else:
        kind = {bool: BOOL, int: U32, float: F32, str: STRING, list: ARRAY}[type(value)]
    if isinstance(value, list):
        item = STRING if value and isinstance(value[0], str) else U32
        item = kind if kind != ARRAY else item
        packed = b"".join(_plain(item, one) for one in value)
        return text(key) + struct.pack("<IIQ", ARRAY, item, len(value)) + packed
    return text(key) + struct.pack("<I", kind) + _plain(kind, value)


METADATA: Mapping[str, object] = {
    "general.architecture": "llama",
    "general.name": "made",
    "llama.context_length": 128,
    "llama.embedding_length": 32,
    "llama.block_count": 2,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.tokens": [f"t{number}" for number in range(40)],
    "tokenizer.chat_template": "{{ x }}",
}
# Name, shape, type number, bytes.
TENSORS = (("norm", (32,), 0, 128), ("weight", (64, 4), 8, 272))


def made(
    metadata: Mapping[str, object] = METADATA,
    tensors: Sequence[tuple[str, tuple[int, ...], int, int]] = TENSORS,
    *,
    version: int = 3,
) -> bytes:
    """A whole file: header, padding to 32 bytes, tensor data."""
    blob = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata))
    blob += b"".join(entry(key, value) for key, value in metadata.items())
    data = b""
    for name, shape, kind, size in tensors:
        blob += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, len(data))
        data += bytes([len(data) % 251]) * size + bytes(-size % 32)
    return blob + bytes(-len(blob) % 32) + data


def write(path: Path, blob: bytes) -> Path:
    """Write and return the path."""
    path.write_bytes(blob)
    return path
