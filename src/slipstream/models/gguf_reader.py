"""Reads the parts of one GGUF file in order, and believes no number in it: every length is checked against the file."""

import stat
import struct
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from slipstream.core.errors import ModelFileError
from slipstream.models.tensor_types import REMOVED_TYPES, TENSOR_TYPES, TensorType

MAGIC = b"GGUF"
VERSIONS = (2, 3)
CHUNK = 1 << 20
# Headers in use stay below 20 MB; beyond this it is garbage read as lengths.
MAX_HEADER_BYTES = 1 << 28
# The largest files in use have some hundred keys and some thousand tensors.
MAX_KEYS = 1 << 16
MAX_TENSORS = 1 << 18
MAX_DIMENSIONS = 4
MAX_KEY_BYTES = 1 << 16
MAX_STRING_BYTES = 1 << 24
# Longer arrays (vocabularies) are skipped and known by their length.
MAX_KEPT_ITEMS = 1024
MAX_NESTING = 4

SCALARS: dict[int, struct.Struct] = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
STRING, ARRAY = 8, 9
U32, U64 = SCALARS[4], SCALARS[10]


@dataclass(frozen=True, slots=True)
class LongArray:
    """An array that was skipped: only its length is known."""

    length: int


Value = int | float | bool | str | tuple["Value", ...] | LongArray


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: `shape` innermost first (ggml's order), `offset` in bytes from the start of the data."""

    name: str
    shape: tuple[int, ...]
    type: TensorType
    offset: int

    @property
    def weights(self) -> int:
        """Number of weights."""
        count = 1
        for extent in self.shape:
            count *= extent
        return count

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self.weights // self.type.block * self.type.size


class Reader:
    """A forward reader over one file, with a window of at least one chunk. Use as a context manager.

    `whole` names metadata keys whose arrays are read in full, however long. Every method raises ModelFileError where
    the file ends early or holds what no GGUF may hold.
    """

    def __init__(self, path: Path, whole: Collection[str] = ()) -> None:
        self.path = path
        self._whole = whole
        self._keep_long = False
        try:
            facts = path.stat()
            if not stat.S_ISREG(facts.st_mode):  # a pipe would block, a folder can't be read
                raise ModelFileError(f"{path} is not a file", hint="name a .gguf file")
            self.file_size = facts.st_size
            self._file = path.open("rb", buffering=0)
        except FileNotFoundError:
            raise ModelFileError(f"no model file at {path}", hint="check the path") from None
        except OSError as error:
            raise ModelFileError(f"{path} can't be read: {error.strerror or error}", hint="check the path") from error
        self._window = b""
        self._window_start = 0
        self.position = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def damaged(self, what: str) -> ModelFileError:
        """The typed failure for this file."""
        return ModelFileError(f"{self.path} is damaged: {what}", hint="fetch the file again")

    def take(self, length: int) -> bytes:
        """The next `length` bytes (the caller bounds the length)."""
        start = self.position - self._window_start
        if start + length > len(self._window):
            self._refill(length)
            start = 0
        self.position += length
        return self._window[start : start + length]

    def _refill(self, length: int) -> None:
        if length > self.file_size - self.position:
            raise ModelFileError(
                f"{self.path} is truncated: its header goes on past its end ({self.file_size} bytes)",
                hint="fetch the file again",
            )
        if self.position + length > MAX_HEADER_BYTES:
            raise self.damaged(f"its header is longer than {MAX_HEADER_BYTES} bytes")
        try:
            self._file.seek(self.position)
            parts, missing = [], min(max(length, CHUNK), self.file_size - self.position)
            while missing > 0 and (part := self._file.read(missing)):
                parts.append(part)
                missing -= len(part)
        except OSError as error:
            raise ModelFileError(
                f"{self.path} can't be read: {error.strerror or error}", hint="check the disk"
            ) from error
        self._window, self._window_start = b"".join(parts), self.position
        if len(self._window) < length:
            raise self.damaged("it became shorter while it was read")

    def skip(self, length: int) -> None:
        """Pass over `length` bytes without reading them."""
        if length > self.file_size - self.position:
            raise self.damaged(f"a value of {length} bytes at byte {self.position} goes past the end")
        self.position += length
        self._window, self._window_start = b"", self.position

    def u32(self) -> int:
        """A 32-bit count."""
        return int(U32.unpack(self.take(4))[0])

    def u64(self) -> int:
        """A 64-bit count."""
        return int(U64.unpack(self.take(8))[0])

    def text(self, limit: int, errors: str = "replace") -> str:
        """A string with its length before it; undecodable bytes become U+FFFD, or what else `errors` says."""
        length = self.u64()
        if length > limit:
            raise self.damaged(f"a string of {length} bytes at byte {self.position - 8}")
        return self.take(length).decode("utf-8", errors=errors)

    def preamble(self) -> tuple[int, int, int]:
        """Version, number of tensors, number of keys."""
        if self.file_size < 24 or self.take(4) != MAGIC:
            raise ModelFileError(f"{self.path} is not a GGUF file", hint="Slipstream loads models in the GGUF format")
        version = self.u32()
        if version & 0xFFFF == 0 and version:
            raise ModelFileError(
                f"{self.path} is a big-endian GGUF file", hint="convert it for little-endian machines, as this one is"
            )
        if version not in VERSIONS:
            raise ModelFileError(
                f"{self.path} has GGUF version {version}", hint=f"versions {VERSIONS[0]} to {VERSIONS[-1]} can be read"
            )
        tensors, keys = self.u64(), self.u64()
        if tensors > MAX_TENSORS or keys > MAX_KEYS:
            raise self.damaged(f"it claims {tensors} tensors and {keys} keys")
        return version, tensors, keys

    def key_value(self) -> tuple[str, Value]:
        """The next metadata entry."""
        key = self.text(MAX_KEY_BYTES)
        self._keep_long = key in self._whole
        return key, self._value(self.u32(), 0)

    def _value(self, kind: int, depth: int) -> Value:
        if kind == STRING:
            return self.text(MAX_STRING_BYTES)
        if kind == ARRAY:
            return self._array(depth)
        scalar = SCALARS.get(kind)
        if scalar is None:
            raise self.damaged(f"value type {kind} at byte {self.position - 4}")
        value: int | float | bool = scalar.unpack(self.take(scalar.size))[0]
        return value

    def _array(self, depth: int) -> Value:
        kind, length = self.u32(), self.u64()
        if depth >= MAX_NESTING:
            raise self.damaged("arrays nested too deep")
        smallest = SCALARS[kind].size if kind in SCALARS else {STRING: 8, ARRAY: 12}.get(kind, 0)
        if smallest == 0:
            raise self.damaged(f"array of value type {kind} at byte {self.position - 12}")
        if length > (self.file_size - self.position) // smallest:
            raise self.damaged(f"an array of {length} values at byte {self.position} goes past the end")
        if self._keep_long and kind in SCALARS:
            return struct.unpack(f"<{length}{SCALARS[kind].format[1:]}", self.take(length * smallest))
        if self._keep_long and kind == STRING:
            # Texts that differ must differ here too, even in bytes that are no UTF-8.
            return tuple(self.text(MAX_STRING_BYTES, "surrogateescape") for _ in range(length))
        if length <= MAX_KEPT_ITEMS:
            return tuple(self._value(kind, depth + 1) for _ in range(length))
        if kind in SCALARS:
            self.skip(length * smallest)
        elif kind == STRING:
            self._skip_strings(length)
        else:
            raise self.damaged(f"an array of {length} arrays")
        return LongArray(length)

    def _skip_strings(self, count: int) -> None:
        """Pass over a vocabulary: the one hot spot, so it walks the window by hand."""
        unpack = U64.unpack_from
        for _ in range(count):
            at = self.position - self._window_start
            if at + 8 > len(self._window):
                self._refill(8)
                at = 0
            length = unpack(self._window, at)[0]
            self.position += 8 + length
            if self.position > self.file_size:
                raise self.damaged(f"a string of {length} bytes at byte {self.position - length - 8} goes past the end")

    def tensor(self) -> Tensor:
        """The next tensor's entry."""
        name = self.text(MAX_KEY_BYTES)
        dimensions = self.u32()
        if not 0 < dimensions <= MAX_DIMENSIONS:
            raise self.damaged(f"tensor {name!r} has {dimensions} dimensions")
        shape = tuple(self.u64() for _ in range(dimensions))
        number, offset = self.u32(), self.u64()
        kind = TENSOR_TYPES.get(number)
        if kind is None:
            known = f"tensor {name!r} has type {REMOVED_TYPES.get(number, number)}"
            raise ModelFileError(f"{self.path}: {known}, which this engine can't read", hint="quantize the model again")
        if shape[0] % kind.block:
            raise self.damaged(f"tensor {name!r} has rows of {shape[0]}, not a multiple of {kind.name}'s {kind.block}")
        return Tensor(name, shape, kind, offset)
