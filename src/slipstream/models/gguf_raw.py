"""A GGUF file taken apart into pieces that can be written again: metadata as its bytes, tensors by where they are."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from slipstream.core.errors import ModelFileError
from slipstream.models.gguf import DEFAULT_ALIGNMENT, Header, read_header
from slipstream.models.gguf_reader import ARRAY, SCALARS, STRING, U32, U64, Reader
from slipstream.models.tensor_types import TensorType

UINT32, INT32, FLOAT32, BOOL, INT64, FLOAT64 = 4, 5, 6, 7, 11, 12
CHUNK = 4 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """A metadata entry: `value` is its type and content as they are in a file."""

    key: str
    value: bytes

    @classmethod
    def text(cls, key: str, value: str) -> "Entry":
        """A string."""
        return cls(key, U32.pack(STRING) + packed_text(value))

    @classmethod
    def scalar(cls, key: str, kind: int, value: int | float | bool) -> "Entry":
        """A number or a flag of the given GGUF type."""
        return cls(key, U32.pack(kind) + SCALARS[kind].pack(value))

    @classmethod
    def array(cls, key: str, kind: int, values: Sequence[int | float | bool]) -> "Entry":
        """An array of numbers or flags of the given GGUF type."""
        items = b"".join(SCALARS[kind].pack(value) for value in values)
        return cls(key, U32.pack(ARRAY) + U32.pack(kind) + U64.pack(len(values)) + items)

    def picked(self, indexes: Sequence[int]) -> "Entry":
        """The same array of numbers with only the items at `indexes`."""
        kind = U32.unpack_from(self.value, 4)[0]
        size, start = SCALARS[kind].size, 16
        items = b"".join(self.value[start + index * size : start + (index + 1) * size] for index in indexes)
        return Entry(self.key, self.value[:8] + U64.pack(len(indexes)) + items)


class Content(Protocol):
    """Bytes that are made or read only when they are written."""

    @property
    def size(self) -> int:
        """Bytes in all."""

    def chunks(self) -> Iterator[bytes]:
        """The bytes in order, a few megabytes at a time. Raises ModelFileError if they can't be read."""


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of a file."""

    path: Path
    start: int
    size: int

    def chunks(self) -> Iterator[bytes]:
        """The bytes, up to 4 MB at a time."""
        return self.pieces(CHUNK)

    def pieces(self, length: int) -> Iterator[bytes]:
        """The bytes, `length` at a time; the last piece may be shorter."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.start)
                left = self.size
                while left > 0:
                    piece = file.read(min(length, left))
                    if len(piece) < min(length, left):
                        raise ModelFileError(f"{self.path} became shorter while it was read", hint="fetch it again")
                    yield piece
                    left -= len(piece)
        except OSError as error:
            why = error.strerror or str(error)
            raise ModelFileError(f"{self.path} can't be read: {why}", hint="check the disk") from error


@dataclass(frozen=True, slots=True)
class Zeros:
    """Weights that add nothing: in every type of ggml that has a scale or is a float, zero bytes are zeros."""

    size: int

    def chunks(self) -> Iterator[bytes]:
        """The bytes, up to 4 MB at a time."""
        for start in range(0, self.size, CHUNK):
            yield bytes(min(CHUNK, self.size - start))


@dataclass(frozen=True, slots=True)
class RawTensor:
    """A tensor to be written: `shape` innermost first (ggml's order)."""

    name: str
    shape: tuple[int, ...]
    type: TensorType
    content: Content


@dataclass(frozen=True, slots=True)
class RawModel:
    """A model in pieces, all parts of a split one together. `alignment` in bytes."""

    header: Header
    entries: tuple[Entry, ...]
    tensors: tuple[RawTensor, ...]
    alignment: int


def packed_text(value: str) -> bytes:
    """A string as a file has it: its length in bytes before it."""
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def read_raw(path: Path) -> RawModel:
    """The model at `path` in pieces; weights are not read. Of a split model the metadata is that of its first part.

    Raises ModelFileError like `models.gguf.read_header`.
    """
    header = read_header(path)
    alignment = _alignment(header.metadata.get("general.alignment"))
    entries: tuple[Entry, ...] = ()
    tensors: list[RawTensor] = []
    for file in header.files:
        found, part = _read_part(file)
        tensors += part
        if file == header.files[0]:
            entries = found
    whole = tuple(entry for entry in entries if not entry.key.startswith("split."))
    return RawModel(header, whole, tuple(tensors), alignment)


def _alignment(value: object) -> int:
    return value if isinstance(value, int) else DEFAULT_ALIGNMENT


def _read_part(path: Path) -> tuple[tuple[Entry, ...], list[RawTensor]]:
    with Reader(path) as reader:
        _, tensor_count, key_count = reader.preamble()
        alignment, ranges = DEFAULT_ALIGNMENT, []
        for _ in range(key_count):
            start = reader.position
            key, value = reader.key_value()
            ranges.append((key, start, reader.position))
            alignment = _alignment(value) if key == "general.alignment" else alignment
        described = [reader.tensor() for _ in range(tensor_count)]
        data = -(-reader.position // alignment) * alignment
    entries = []
    for key, start, end in ranges:
        blob = b"".join(Span(path, start, end - start).chunks())
        # By its own length: a key that is not UTF-8 was read with replacements.
        entries.append(Entry(key, blob[8 + U64.unpack_from(blob)[0] :]))
    tensors = [RawTensor(one.name, one.shape, one.type, Span(path, data + one.offset, one.size)) for one in described]
    return tuple(entries), tensors
