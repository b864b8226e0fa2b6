"""What a GGUF file says about the model in it, without loading it."""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from slipstream.core.errors import ModelFileError
from slipstream.models.gguf_reader import LongArray, Reader, Tensor, Value

DEFAULT_ALIGNMENT = 32
SAMPLES = 4
SAMPLE_BYTES = 1 << 20
IDENTITY_LENGTH = 32
SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
# Keys of layers that keep a running state instead of (or beside) a KV cache.
STATE_KEYS = ("ssm.", "wkv.", "shortconv.", "token_shift_count")
# Families with a running state that some files declare by name alone.
STATE_FAMILIES = ("mamba", "rwkv", "jamba")


@dataclass(frozen=True, slots=True)
class Header:
    """A model by its header. Lengths in tokens, sizes in bytes; 0 where the file doesn't say.

    `files` are all parts, this one first. `quantization` is the type that most weight bytes have, such as "Q4_K".
    `window` is the sliding attention window. `recurrent` says that layers keep a running state, so KV can't simply be
    rewound: a hint, the probe at load decides. Head counts and KV lengths that differ by layer are the largest.
    """

    path: Path
    files: tuple[Path, ...]
    version: int
    architecture: str
    name: str
    context_length: int
    block_count: int
    embedding_length: int
    head_count: int
    head_count_kv: int
    key_length: int
    value_length: int
    vocabulary_size: int
    window: int
    recurrent: bool
    expert_count: int
    experts_used: int
    has_chat_template: bool
    tokenizer: str
    quantization: str
    tensor_count: int
    weights: int
    weights_bytes: int
    header_bytes: int
    file_size: int
    metadata: Mapping[str, Value]

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes of a 16-bit KV cache per token, if every layer attends to everything: an upper bound."""
        return 2 * self.block_count * self.head_count_kv * (self.key_length + self.value_length)


@dataclass(frozen=True, slots=True)
class _Part:
    """One file, read and checked against its own size."""

    version: int
    metadata: dict[str, Value]
    tensors: tuple[Tensor, ...]
    header_bytes: int
    file_size: int


def _read_part(path: Path) -> _Part:
    with Reader(path) as reader:
        version, tensor_count, key_count = reader.preamble()
        metadata: dict[str, Value] = {}
        for _ in range(key_count):
            key, value = reader.key_value()
            if key in metadata:
                raise reader.damaged(f"key {key!r} occurs twice")
            metadata[key] = value
        tensors = tuple(reader.tensor() for _ in range(tensor_count))
        alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
        if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20 or alignment & (alignment - 1):
            raise reader.damaged(f"alignment {alignment!r} is not a power of two")
        start = -(-reader.position // alignment) * alignment
        end = max((start + tensor.offset + tensor.size for tensor in tensors), default=0)
        if end > reader.file_size:
            raise ModelFileError(
                f"{path} is truncated: its tensors end at byte {end}, the file at byte {reader.file_size}",
                hint="fetch the file again",
            )
        return _Part(version, metadata, tensors, start if tensors else reader.position, reader.file_size)


def _parts(path: Path, first: _Part) -> tuple[tuple[Path, ...], list[_Part]]:
    """All files of a split model, read and checked."""
    count = first.metadata.get("split.count", 0)
    if not isinstance(count, int) or count <= 1:
        return (path,), [first]
    match = SHARD.fullmatch(path.name)
    if match is None or int(match["count"]) != count:
        raise ModelFileError(
            f"{path} is one of {count} parts of a model, but its name doesn't end in -00001-of-{count:05}.gguf",
            hint="give the parts their original names",
        )
    files = tuple(path.with_name(f"{match['stem']}-{number:05}-of-{count:05}.gguf") for number in range(1, count + 1))
    if path != files[0]:
        raise ModelFileError(f"{path} is part {match['number']} of a model", hint=f"name its first part, {files[0]}")
    missing = [file.name for file in files if not file.exists()]
    if missing:
        raise ModelFileError(
            f"{path} needs {count} files and {len(missing)} of them are missing: {', '.join(missing[:3])}",
            hint="fetch all parts into one folder",
        )
    return files, [first, *(_read_part(file) for file in files[1:])]


def _number(value: Value | None) -> int:
    """A count, or the largest of per-layer counts; 0 for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, tuple):
        return max((item for item in value if isinstance(item, int)), default=0)
    return 0


def _length(value: Value | None) -> int:
    return value.length if isinstance(value, LongArray) else len(value) if isinstance(value, tuple) else 0


def _text(value: Value | None) -> str:
    return value if isinstance(value, str) else ""


def read_header(path: Path) -> Header:
    """The header of the model at `path`; of a split model, all parts are read and checked.

    Raises ModelFileError if the file is missing, not a GGUF, damaged, truncated, or one this engine can't read.
    """
    first = _read_part(path)
    files, parts = _parts(path, first)
    metadata = first.metadata
    architecture = _text(metadata.get("general.architecture"))
    if not architecture:
        raise ModelFileError(f"{path} doesn't name its architecture", hint="it is not a model that llama.cpp can load")

    def number(key: str) -> int:
        return _number(metadata.get(f"{architecture}.{key}"))

    heads, embedding = number("attention.head_count"), number("embedding_length")
    by_default = embedding // heads if heads else 0
    tensors = [tensor for part in parts for tensor in part.tensors]
    bytes_by_type: Counter[str] = Counter()
    for tensor in tensors:
        bytes_by_type[tensor.type.name] += tensor.size
    return Header(
        path=path,
        files=files,
        version=first.version,
        architecture=architecture,
        name=_text(metadata.get("general.name")),
        context_length=number("context_length"),
        block_count=number("block_count"),
        embedding_length=embedding,
        head_count=heads,
        head_count_kv=number("attention.head_count_kv") or heads,
        key_length=number("attention.key_length") or by_default,
        value_length=number("attention.value_length") or by_default,
        vocabulary_size=_length(metadata.get("tokenizer.ggml.tokens")) or number("vocab_size"),
        window=number("attention.sliding_window"),
        recurrent=architecture.startswith(STATE_FAMILIES)
        or any(key.startswith(tuple(f"{architecture}.{name}" for name in STATE_KEYS)) for key in metadata),
        expert_count=number("expert_count"),
        experts_used=number("expert_used_count"),
        has_chat_template="tokenizer.chat_template" in metadata,
        tokenizer=_text(metadata.get("tokenizer.ggml.model")),
        quantization=max(bytes_by_type, key=lambda name: bytes_by_type[name], default=""),
        tensor_count=len(tensors),
        weights=sum(tensor.weights for tensor in tensors),
        weights_bytes=sum(tensor.size for tensor in tensors),
        header_bytes=first.header_bytes,
        file_size=sum(part.file_size for part in parts),
        metadata=metadata,
    )


def identity(path: Path) -> str:
    """A name for the file's content, under which measurements of it are cached: 32 hex digits.

    SHA-256 over, for every part, its size, its header, and four samples of 1 MB spread evenly over the data (the last
    one ends the file). Cheap on files of any size; two models that differ only between the samples are confused, which
    no quantizer or fine-tuning produces. Where it is, what it is called and when it changed don't matter.
    """
    header = read_header(path)
    total = hashlib.sha256()
    for file in header.files:
        part = header.header_bytes if file == path else _read_part(file).header_bytes
        size = file.stat().st_size
        total.update(f"{size}:{part}:".encode())
        last = max(part, size - SAMPLE_BYTES)
        try:
            with file.open("rb") as stream:
                total.update(stream.read(part))
                for index in range(SAMPLES):
                    stream.seek(part + (last - part) * index // (SAMPLES - 1))
                    total.update(stream.read(SAMPLE_BYTES))
        except OSError as error:
            raise ModelFileError(f"{file} can't be read: {error.strerror or error}", hint="check the disk") from error
    return total.hexdigest()[:IDENTITY_LENGTH]
