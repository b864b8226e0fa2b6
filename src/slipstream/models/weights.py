"""Weights of a GGUF as 32-bit numbers, and back: for files that are made of another one, not for running a model."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slipstream.core.errors import ModelFileError, RequestError
from slipstream.models.gguf_raw import RawTensor, Span
from slipstream.models.tensor_types import TENSOR_TYPES, TensorType

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

F32, F16, Q8_0 = TENSOR_TYPES[0], TENSOR_TYPES[1], TENSOR_TYPES[8]


@dataclass(frozen=True, slots=True)
class Made:
    """Content that is computed when it is written."""

    size: int
    make: Callable[[], bytes]

    def chunks(self) -> Iterator[bytes]:
        """All of it at once: a tensor of one block."""
        yield self.make()


def rows(tensor: RawTensor) -> Bytes:
    """The tensor's bytes, shape (rows, bytes a row), mapped rather than read. ModelFileError if that fails."""
    content = tensor.content
    assert isinstance(content, Span), "only tensors of a file have rows"
    count = math.prod(tensor.shape[1:])
    try:
        mapped: Any = np.memmap(content.path, np.uint8, "r", content.start, (count, content.size // count))
    except OSError as error:
        why = error.strerror or str(error)
        raise ModelFileError(f"{content.path} can't be read: {why}", hint="check the disk") from error
    return np.asarray(mapped)


def floats(tensor: RawTensor) -> Floats:
    """The tensor's weights, shape (rows, weights a row). RequestError for a type that isn't in DECODERS."""
    return decode(rows(tensor), tensor.type)


def decode(raw: Bytes, kind: TensorType) -> Floats:
    """Rows of bytes as rows of weights. RequestError for a type that isn't in DECODERS."""
    if kind.name not in DECODERS:
        raise RequestError(
            f"weights of type {kind.name} can't be taken apart here", hint=f"take a copy in {', '.join(DECODERS)}"
        )
    return DECODERS[kind.name](np.ascontiguousarray(raw).reshape(-1, kind.size)).reshape(len(raw), -1)


def encode(values: Floats, kind: TensorType) -> Bytes:
    """Rows of weights as rows of bytes of type F32, F16 or Q8_0 (rounded as ggml does it)."""
    if kind in (F32, F16):
        converted = np.ascontiguousarray(values, "<f4" if kind is F32 else "<f2")
        return converted.view(np.uint8).reshape(len(values), -1)
    assert kind is Q8_0, "no other type is written"
    blocks = values.reshape(-1, kind.block)
    scales = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)
    inverse = np.divide(1, scales, out=np.zeros_like(scales), where=scales > 0)
    numbers = np.rint(blocks * inverse).astype(np.int8).view(np.uint8)
    packed = np.concatenate((scales.astype("<f2").view(np.uint8), numbers), axis=1)
    return packed.reshape(len(values), -1)


def _half(blocks: Bytes, at: int) -> Floats:
    """The 16-bit number at byte `at` of every block."""
    return blocks[:, at : at + 2].copy().view("<f2").astype(np.float32)


def _nibbles(packed: Bytes) -> Floats:
    """Lower halves of all bytes, then the upper ones."""
    return np.concatenate((packed & 15, packed >> 4), axis=1).astype(np.float32)


def _brain(blocks: Bytes) -> Floats:
    return (blocks.view("<u2").astype(np.uint32) << 16).view(np.float32)


DECODERS: Mapping[str, Callable[[Bytes], Floats]] = MappingProxyType(
    {
        "F32": lambda blocks: blocks.view("<f4"),
        "F16": lambda blocks: blocks.view("<f2").astype(np.float32),
        "BF16": _brain,
        "Q4_0": lambda blocks: (_nibbles(blocks[:, 2:]) - 8) * _half(blocks, 0),
        "Q4_1": lambda blocks: _nibbles(blocks[:, 4:]) * _half(blocks, 0) + _half(blocks, 2),
        "Q8_0": lambda blocks: blocks[:, 2:].view(np.int8) * _half(blocks, 0),
    }
)
