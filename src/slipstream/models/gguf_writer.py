"""Writes a GGUF file piece by piece: bounded memory, and under its name only when complete."""

import contextlib
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from slipstream.core.errors import RequestError, StateFileError
from slipstream.models.gguf_raw import Entry, RawTensor, packed_text
from slipstream.models.gguf_reader import MAGIC
from slipstream.models.tensor_types import TENSOR_TYPES

VERSION = 3
NUMBERS = {kind.name: number for number, kind in TENSOR_TYPES.items()}

Report = Callable[[int, int], None]
"""Told the bytes written so far and the bytes in all."""


def silent(done: int, total: int) -> None:
    """Report nothing."""


def write_gguf(
    destination: Path,
    entries: Sequence[Entry],
    tensors: Sequence[RawTensor],
    *,
    alignment: int,
    report: Report = silent,
) -> Path:
    """Write a GGUF of these entries and tensors, tensor data at multiples of `alignment` bytes; returns `destination`.

    Written as NAME.PID.partial in the same folder, synced, then renamed; removed on any failure. Raises RequestError
    if `destination` exists, StateFileError if there is too little space or it can't be written, and what reading the
    tensors' content raises.
    """
    if destination.exists():
        raise RequestError(f"{destination} exists", hint="remove it or give another name")
    head = _head(entries, tensors, alignment)
    total = len(head) + sum(_aligned(tensor.content.size, alignment) for tensor in tensors)
    partial = destination.with_name(f"{destination.name}.{os.getpid()}.partial")
    try:
        _require_space(destination, total)
        with partial.open("wb") as file:
            done = 0
            for chunk in _chunks(head, tensors, alignment):
                file.write(chunk)
                done += len(chunk)
                report(done, total)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(destination)
    except OSError as error:
        raise StateFileError(
            f"{destination} could not be written: {error.strerror}", hint="check its folder: space, permissions"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
    return destination


def _aligned(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


def _head(entries: Sequence[Entry], tensors: Sequence[RawTensor], alignment: int) -> bytes:
    """Everything before the data, padded."""
    parts = [MAGIC + struct.pack("<IQQ", VERSION, len(tensors), len(entries))]
    parts += [packed_text(entry.key) + entry.value for entry in entries]
    offset = 0
    for tensor in tensors:
        rank = len(tensor.shape)
        numbers = struct.pack(f"<I{rank}QIQ", rank, *tensor.shape, NUMBERS[tensor.type.name], offset)
        parts.append(packed_text(tensor.name) + numbers)
        offset += _aligned(tensor.content.size, alignment)
    head = b"".join(parts)
    return head + bytes(-len(head) % alignment)


def _chunks(head: bytes, tensors: Sequence[RawTensor], alignment: int) -> Iterator[bytes]:
    yield head
    for tensor in tensors:
        yield from tensor.content.chunks()
        yield bytes(-tensor.content.size % alignment)


def _require_space(destination: Path, needed: int) -> None:
    """Found out before minutes of writing."""
    space = os.statvfs(destination.parent)
    free = space.f_bavail * space.f_frsize
    if free < needed:
        raise StateFileError(
            f"{destination} needs {needed / 1e9:.1f} GB and {destination.parent} has {free / 1e9:.1f} GB free",
            hint="free some space, or choose another folder",
        )
