"""A mixture-of-experts model made of a dense one: its feed-forwards split into experts, the rest copied as it is.

For measuring what leaving out experts costs and brings where no real mixture of experts is at hand. It is written in
llama.cpp's `deepseek` architecture, whose attention is that of `llama`, and whose router's probabilities are multiplied
by a number from the header but not normed again over the experts chosen: with all experts in use the model computes
what the dense one does, and every expert left out takes away its own part only. (The `llama` architecture norms again:
SmolLM2 in eight arbitrary slices has perplexity 22 with all eight, 63 with seven.)

Quality falls gracefully because half of the neurons, those that add most, are shared and always run; the others are
grouped by the tokens on which they fire, and a router fitted to their outputs leaves out those that matter least.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from slipstream.core.errors import ModelFileError, RequestError
from slipstream.models.dense_states import feed_forwards, require_plain
from slipstream.models.expert_groups import Groups, Indexes, group
from slipstream.models.gguf import Header, identity
from slipstream.models.gguf_raw import FLOAT32, UINT32, Entry, RawModel, RawTensor, read_raw
from slipstream.models.gguf_writer import write_gguf
from slipstream.models.pruned_blocks import BLOCK
from slipstream.models.tensor_types import TensorType
from slipstream.models.weights import F16, F32, Q8_0, Bytes, Made, encode, floats, rows

PREFIX = "slipstream.split."
ARCHITECTURE = "deepseek"
FEED_FORWARD = ("ffn_gate", "ffn_up", "ffn_down")

Report = Callable[[int, int], None]
"""Told the blocks that are measured, and their number."""


@dataclass(frozen=True, slots=True)
class Split:
    """What a file was made of: the dense model's file name and identity, its `experts`, the share of neurons that all
    tokens use, how often every routed neuron is there, and a digest of the tokens it was measured on."""

    source: str
    identity: str
    experts: int
    shared: float
    copies: int
    text: str


def write_split(
    source: Path,
    destination: Path,
    texts: Sequence[Sequence[int]],
    *,
    experts: int = 8,
    shared: float = 0.5,
    copies: int = 1,
    report: Report = lambda done, total: None,
) -> Path:
    """Write `source` with its feed-forwards split to `destination`, and return that.

    Neurons are measured on `texts`, in tokens, each a context of its own: a thousand tokens at least, or the router
    learns them by heart. By default all experts are used. `copies` puts every routed neuron in so often, each with its
    part of the output: nothing but cost changes, as in a model whose experts are most of its work. Memory: one block in
    32 bits, and the text's states. RequestError (a model that can't be split, or not so, `destination` exists),
    ModelFileError (bad source), StateFileError (can't write); nothing is then left.
    """
    model = read_raw(source)
    require_plain(model)
    if destination.exists():
        raise RequestError(f"{destination} exists", hint="remove it or give another name")
    width = _width(model.header)
    size = _expert_size(width, experts, shared, copies)
    plan = []
    for found in feed_forwards(model, texts):
        plan.append(group(found, experts, size))
        report(len(plan), model.header.block_count)
    text = hashlib.sha256(json.dumps([list(map(int, one)) for one in texts]).encode()).hexdigest()[:16]
    made = Split(source.name, identity(source), experts, shared, copies, text)
    tensors: list[RawTensor] = []
    for tensor in model.tensors:
        match = BLOCK.fullmatch(tensor.name)
        name = match["rest"].removesuffix(".weight") if match else ""
        if match and name in FEED_FORWARD:
            tensors += _split(tensor, f"blk.{match['index']}.{name}", plan[int(match["index"])], copies)
        else:
            tensors.append(tensor)
    tensors += [_router(block, groups) for block, groups in enumerate(plan)]
    entries = _entries(model, made, size * copies, (width - experts * size) // (size * copies))
    return write_gguf(destination, entries, tensors, alignment=model.alignment)


def split_from(header: Header) -> Split | None:
    """What the file was made of; None if it wasn't split here."""
    value: dict[str, Any] = {
        key.removeprefix(PREFIX): value for key, value in header.metadata.items() if key.startswith(PREFIX)
    }
    try:
        return Split(**value) if value else None
    except TypeError:
        raise ModelFileError(f"{header.path} doesn't say what it was made of", hint="make it again") from None


def _width(header: Header) -> int:
    value = header.metadata.get("llama.feed_forward_length")
    if not isinstance(value, int):
        raise RequestError(f"feed-forwards of {header.path.name} differ by block", hint="take another model")
    return value


def _expert_size(width: int, experts: int, shared: float, copies: int) -> int:
    """Neurons of an expert. The shared ones must be a whole number of experts, as the header counts them so."""
    size = round(width * (1 - shared)) // experts if experts > 1 and copies > 0 and 0 < shared < 1 else 0
    rest = width - experts * size
    if size % Q8_0.block or not size or rest % (size * copies) or abs(rest - width * shared) >= 1:
        raise RequestError(
            f"{width} neurons can't be split into {shared:g} shared ones and {experts} experts, {copies} times",
            hint=f"an expert needs a multiple of {Q8_0.block} neurons, the shared ones a multiple of that",
        )
    return size


def _split(tensor: RawTensor, name: str, groups: Groups, copies: int) -> list[RawTensor]:
    """The shared part of a projection, and the experts'."""
    experts = np.tile(groups.experts, (1, copies))
    count, size = experts.shape
    kind = tensor.type
    if not name.endswith("down"):
        # A neuron is a row there, and rows are quantized apart.
        embedding = tensor.shape[0]
        row = embedding // kind.block * kind.size
        return [
            _tensor(f"{name}_shexp", kind, row, (embedding, len(groups.shared)), lambda: rows(tensor)[groups.shared]),
            _tensor(f"{name}_exps", kind, row, (embedding, size, count), lambda: rows(tensor)[experts.reshape(-1)]),
        ]
    kind = kind if kind in (F32, F16) else Q8_0
    embedding = tensor.shape[1]

    def columns(chosen: Indexes) -> Bytes:
        weights = floats(tensor)
        return np.concatenate([encode(np.ascontiguousarray(weights[:, one]), kind) for one in chosen])

    def row_bytes(length: int) -> int:
        return length // kind.block * kind.size

    shared = groups.shared[np.newaxis]
    return [
        _tensor(f"{name}_shexp", kind, row_bytes(shared.size), (shared.size, embedding), lambda: columns(shared)),
        _tensor(f"{name}_exps", kind, row_bytes(size), (size, embedding, count), lambda: columns(experts)),
    ]


def _tensor(name: str, kind: TensorType, row: int, shape: tuple[int, ...], make: Callable[[], Bytes]) -> RawTensor:
    """A tensor of rows of `row` bytes."""
    count = int(np.prod(shape[1:]))
    return RawTensor(f"{name}.weight", shape, kind, Made(row * count, lambda: make().tobytes()))


def _router(block: int, groups: Groups) -> RawTensor:
    experts, embedding = groups.router.shape
    data = encode(groups.router, F32).tobytes()
    return RawTensor(f"blk.{block}.ffn_gate_inp.weight", (embedding, experts), F32, Made(len(data), lambda: data))


def _entries(model: RawModel, made: Split, expert_width: int, shared_count: int) -> list[Entry]:
    """The source's metadata under the other architecture's names, and what there is to say of experts."""
    name = model.header.name or made.source
    replaced = {
        "general.architecture": Entry.text("general.architecture", ARCHITECTURE),
        "general.name": Entry.text("general.name", f"{name}, split into {made.experts} experts"),
    }
    entries = [replaced.get(entry.key) or replace(entry, key=_renamed(entry.key)) for entry in model.entries]
    if not any(entry.key == "general.name" for entry in model.entries):
        entries.append(replaced["general.name"])
    return [
        *entries,
        Entry.scalar(f"{ARCHITECTURE}.expert_count", UINT32, made.experts),
        Entry.scalar(f"{ARCHITECTURE}.expert_used_count", UINT32, made.experts),
        Entry.scalar(f"{ARCHITECTURE}.expert_shared_count", UINT32, shared_count),
        Entry.scalar(f"{ARCHITECTURE}.expert_feed_forward_length", UINT32, expert_width),
        Entry.scalar(f"{ARCHITECTURE}.expert_weights_scale", FLOAT32, made.experts / made.copies),
        Entry.scalar(f"{ARCHITECTURE}.leading_dense_block_count", UINT32, 0),
        Entry.text(f"{PREFIX}source", made.source),
        Entry.text(f"{PREFIX}identity", made.identity),
        Entry.scalar(f"{PREFIX}experts", UINT32, made.experts),
        Entry.scalar(f"{PREFIX}shared", FLOAT32, made.shared),
        Entry.scalar(f"{PREFIX}copies", UINT32, made.copies),
        Entry.text(f"{PREFIX}text", made.text),
    ]


def _renamed(key: str) -> str:
    return f"{ARCHITECTURE}.{key.removeprefix('llama.')}" if key.startswith("llama.") else key
