"""A model without some attentions and feed-forwards, as llama.cpp's `deci`: there each block may lack its attention.

A block of deci that lacks its feed-forward drops its attention's result as well, so the sub-layers that stay are packed
anew, attention and the next feed-forward into one block. Where an attention follows an attention, the first one's block
gets a feed-forward of zeros, 32 wide; and as the engine takes the head size from the first block, that one gets an
attention of zeros, one head, if it has none.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from slipstream.core.errors import ModelFileError, RequestError
from slipstream.core.skip import SkipSet
from slipstream.models.gguf import Header
from slipstream.models.gguf_raw import CHUNK, UINT32, Entry, RawModel, RawTensor, Span, Zeros
from slipstream.models.pruned_blocks import BLOCK
from slipstream.models.tensor_types import TENSOR_TYPES, TensorType

F32, F16 = TENSOR_TYPES[0], TENSOR_TYPES[1]
# Whether the two values that positions rotate are half a head apart (ggml's NEOX), where deci has them adjacent.
HALF_APART: Mapping[str, bool] = MappingProxyType({"llama": False, "qwen2": True})
ATTENTION = ("attn_norm", "attn_q", "attn_k", "attn_v", "attn_qkv", "attn_output")
FEED_FORWARD = ("ffn_norm", "ffn_gate", "ffn_up", "ffn_down")
SUFFIXES = (".weight", ".bias")
ROPE = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")
ENDS = ("token_embd.weight", "output_norm.weight", "output.weight")
ZERO_WIDTH = 32
HEADS, HEADS_KV, WIDTH = "attention.head_count", "attention.head_count_kv", "feed_forward_length"
KEY_LENGTH, VALUE_LENGTH = "attention.key_length", "attention.value_length"
WRITTEN = ("block_count", HEADS, HEADS_KV, WIDTH, KEY_LENGTH, VALUE_LENGTH)


@dataclass(frozen=True, slots=True)
class Packed:
    """A block to be written: the source's blocks that its attention and its feed-forward are from, or None."""

    attention: int | None
    feed_forward: int | None


@dataclass(frozen=True, slots=True)
class Interleaved:
    """Rows of `row` bytes, in heads of `head` rows: a head's first half and second half alternate.

    Rows are quantized apart, so that their order is free.
    """

    span: Span
    row: int
    head: int

    @property
    def size(self) -> int:
        """Bytes in all."""
        return self.span.size

    def chunks(self) -> Iterator[bytes]:
        """The bytes, some heads at a time."""
        one = self.row * self.head
        for piece in self.span.pieces(max(1, CHUNK // one) * one):
            halves = np.frombuffer(piece, np.uint8).reshape(-1, 2, self.head // 2, self.row)
            yield halves.transpose(0, 2, 1, 3).tobytes()


def pack(skip: SkipSet, block_count: int) -> list[Packed]:
    """The sub-layers that stay, in their order, in as few blocks as hold them."""
    blocks: list[Packed] = []
    waiting: int | None = None
    for block in range(block_count):
        if block not in skip.attention:
            if waiting is not None:
                blocks.append(Packed(waiting, None))
            waiting = block
        if block not in skip.feed_forward:
            blocks.append(Packed(waiting, block))
            waiting = None
    return blocks if waiting is None else [*blocks, Packed(waiting, None)]


def without_sublayers(model: RawModel, skip: SkipSet) -> tuple[list[Entry], list[RawTensor]]:
    """Entries and tensors of `model` as deci, without the sub-layers of `skip`.

    Raises RequestError if the architecture or the file has what deci lacks, ModelFileError if the file is inconsistent.
    """
    header = model.header
    head = _require_deci(model)
    blocks = pack(skip, header.block_count)
    in_block: dict[tuple[int, str], list[RawTensor]] = {}
    tensors: list[RawTensor] = []
    for tensor in model.tensors:
        if match := BLOCK.fullmatch(tensor.name):
            kind = "attention" if match["rest"].startswith("attn_") else "feed_forward"
            in_block.setdefault((int(match["index"]), kind), []).append(_turned(header, tensor, head))
        else:
            tensors.append(tensor)
    if len(in_block) != 2 * header.block_count:
        raise ModelFileError(f"{header.path} has blocks without attention or feed-forward", hint="fetch the file again")
    for number, block in enumerate(blocks):
        if block.attention is not None:
            tensors += _renamed(in_block[block.attention, "attention"], number)
        elif number == 0:
            tensors += _zero_attention(header.embedding_length, head)
        if block.feed_forward is not None:
            tensors += _renamed(in_block[block.feed_forward, "feed_forward"], number)
        else:
            tensors += _zero_feed_forward(header.embedding_length, number)
    return _entries(model, blocks, head), tensors


def _require_deci(model: RawModel) -> int:
    """Raise unless deci computes what this model's own architecture does; returns the length of a head."""
    header = model.header
    architecture = header.architecture

    def refuse(why: str) -> RequestError:
        return RequestError(
            f"attention and feed-forward of {header.path} can't be left out apart: {why}",
            hint=f"leave out whole blocks, or take a model of {' or '.join(HALF_APART)} without experts",
        )

    if architecture not in HALF_APART:
        raise refuse(f"its architecture is {architecture}")
    turned = HALF_APART[architecture]
    known = {f"{name}{suffix}" for name in (*ATTENTION, *FEED_FORWARD) for suffix in SUFFIXES}
    # Queries, keys and values in one tensor can't be turned; qwen2 ignores factors of positions, deci doesn't.
    known -= {"attn_norm.bias", "ffn_norm.bias"} | ({"attn_qkv.weight", "attn_qkv.bias"} if turned else set())
    ends = ENDS if turned else (*ENDS, *ROPE)
    for tensor in model.tensors:
        match = BLOCK.fullmatch(tensor.name)
        if (match["rest"] if match else tensor.name) not in (known if match else ends):
            raise refuse(f"it has a tensor {tensor.name}")
    heads = _per_block(header, HEADS)
    if 0 in heads or 0 in _per_block(header, HEADS_KV) or 0 in _per_block(header, WIDTH):
        raise refuse("some of its blocks lack them already")
    own = header.embedding_length // heads[0]
    lengths = [header.metadata.get(f"{architecture}.{key}", own) for key in (KEY_LENGTH, VALUE_LENGTH)]
    rotated = header.metadata.get(f"{architecture}.rope.dimension_count", lengths[0])
    if len({*lengths, rotated}) > 1 or not isinstance(rotated, int) or rotated % 2:
        raise refuse(f"its heads have keys of {lengths[0]}, values of {lengths[1]}, positions in {rotated}")
    return rotated


def _per_block(header: Header, key: str) -> list[int]:
    """A count that a file has once or per block."""
    value = header.metadata.get(f"{header.architecture}.{key}")
    if value is None and key == HEADS_KV:
        return _per_block(header, HEADS)
    values = value if isinstance(value, tuple) else (value,) * header.block_count
    numbers = [one for one in values if isinstance(one, int)]
    if len(numbers) != header.block_count:
        raise ModelFileError(f"{header.path} has no {key} for each of its blocks", hint="fetch the file again")
    return numbers


def _turned(header: Header, tensor: RawTensor, head: int) -> RawTensor:
    """Queries and keys in deci's order of values."""
    part = tensor.name.split(".")[2]
    if not HALF_APART[header.architecture] or part not in ("attn_q", "attn_k") or not isinstance(tensor.content, Span):
        return tensor
    row = 1 if len(tensor.shape) == 1 else tensor.shape[0]  # a bias has one value where a weight has a row
    content = Interleaved(tensor.content, row // tensor.type.block * tensor.type.size, head)
    if content.row == 0 or content.size % (content.row * head):
        raise ModelFileError(f"{header.path}: {tensor.name} is not in heads of {head} rows", hint="fetch it again")
    return replace(tensor, content=content)


def _renamed(tensors: list[RawTensor], number: int) -> list[RawTensor]:
    return [replace(one, name=f"blk.{number}.{one.name.split('.', 2)[2]}") for one in tensors]


def _zeros(number: int, name: str, kind: TensorType, *shape: int) -> RawTensor:
    size = kind.size * shape[0] * (shape[1] if len(shape) > 1 else 1)
    return RawTensor(f"blk.{number}.{name}.weight", shape, kind, Zeros(size))


def _zero_attention(width: int, head: int) -> list[RawTensor]:
    """One head that adds nothing: a fraction of a percent of any model."""
    inner = [_zeros(0, name, F16, width, head) for name in ("attn_q", "attn_k", "attn_v")]
    return [_zeros(0, "attn_norm", F32, width), *inner, _zeros(0, "attn_output", F16, head, width)]


def _zero_feed_forward(width: int, number: int) -> list[RawTensor]:
    inner = [_zeros(number, name, F16, width, ZERO_WIDTH) for name in ("ffn_gate", "ffn_up")]
    return [_zeros(number, "ffn_norm", F32, width), *inner, _zeros(number, "ffn_down", F16, ZERO_WIDTH, width)]


def _entries(model: RawModel, blocks: list[Packed], head: int) -> list[Entry]:
    """The source's metadata under deci's names, with counts per block."""
    header = model.header
    own, counts = f"{header.architecture}.", {key: _per_block(header, key) for key in (HEADS, HEADS_KV, WIDTH)}

    def attention(key: str) -> list[int]:
        found = [0 if block.attention is None else counts[key][block.attention] for block in blocks]
        return [found[0] or 1, *found[1:]]

    width = [ZERO_WIDTH if block.feed_forward is None else counts[WIDTH][block.feed_forward] for block in blocks]
    entries = []
    for entry in model.entries:
        name = entry.key.removeprefix(own)
        if entry.key == "general.architecture":
            entries.append(Entry.text(entry.key, "deci"))
        elif name == entry.key:
            entries.append(entry)
        elif name not in WRITTEN:
            entries.append(Entry(f"deci.{name}", entry.value))
    return [
        *entries,
        Entry.scalar("deci.block_count", UINT32, len(blocks)),
        Entry.array(f"deci.{HEADS}", UINT32, attention(HEADS)),
        Entry.array(f"deci.{HEADS_KV}", UINT32, attention(HEADS_KV)),
        Entry.array(f"deci.{WIDTH}", UINT32, width),
        Entry.scalar(f"deci.{KEY_LENGTH}", UINT32, head),
        Entry.scalar(f"deci.{VALUE_LENGTH}", UINT32, head),
    ]
