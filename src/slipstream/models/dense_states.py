"""A dense model of the `llama` architecture computed in numpy, a block at a time: what its feed-forwards see and do.

Slow, and meant for a few thousand tokens: only one block's weights are ever held as 32-bit numbers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slipstream.core.errors import RequestError
from slipstream.models.gguf_raw import RawModel
from slipstream.models.pruned_blocks import BLOCK
from slipstream.models.weights import Floats, decode, floats, rows

ATTENTION = ("attn_norm.weight", "attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_output.weight")
FEED_FORWARD = ("ffn_norm.weight", "ffn_gate.weight", "ffn_up.weight", "ffn_down.weight")
ENDS = ("token_embd.weight", "output_norm.weight", "output.weight")


@dataclass(frozen=True, slots=True)
class FeedForward:
    """One block's feed-forward on some text: its normed `inputs`, shape (tokens, embedding), its `neurons` after the
    gate, (tokens, width), and the projection `down` that adds them up, (embedding, width)."""

    inputs: Floats
    neurons: Floats
    down: Floats


def require_plain(model: RawModel) -> None:
    """RequestError unless the model is computed by exactly the tensors and settings that are known here."""
    header = model.header

    def refuse(why: str) -> RequestError:
        return RequestError(
            f"{header.path.name} can't be taken apart: {why}", hint="take a dense model of the llama architecture"
        )

    if header.architecture != "llama" or header.expert_count:
        raise refuse("it has experts already" if header.expert_count else f"it is a {header.architecture}")
    known = {*ATTENTION, *FEED_FORWARD}
    for tensor in model.tensors:
        match = BLOCK.fullmatch(tensor.name)
        if (match["rest"] if match else tensor.name) not in (known if match else ENDS):
            raise refuse(f"it has a tensor {tensor.name}")
    if header.embedding_length != header.head_count * header.key_length or header.key_length != header.value_length:
        raise refuse("its heads don't make up its width")
    for name, usual in (("rope.dimension_count", header.key_length), ("rope.scaling.type", "none")):
        if header.metadata.get(f"llama.{name}", usual) != usual:
            raise refuse(f"its {name} is {header.metadata[f'llama.{name}']}")


def feed_forwards(model: RawModel, texts: Sequence[Sequence[int]]) -> Iterator[FeedForward]:
    """Every block's feed-forward, in order, on all tokens of `texts`, each of which starts a context of its own.

    RequestError for a model that `require_plain` refuses, or weights of a type that can't be read.
    """
    require_plain(model)
    header = model.header
    tensors = {tensor.name: tensor for tensor in model.tensors}
    epsilon = _number(model, "attention.layer_norm_rms_epsilon", 1e-5)
    turns = _turns(max(map(len, texts)), header.key_length, _number(model, "rope.freq_base", 10000.0))
    embedding = tensors["token_embd.weight"]
    state = decode(rows(embedding)[np.concatenate([np.asarray(text) for text in texts])], embedding.type)
    for block in range(header.block_count):
        weights = {name: floats(tensors[f"blk.{block}.{name}"]) for name in (*ATTENTION, *FEED_FORWARD)}
        normed = _normed(state, weights["attn_norm.weight"], epsilon)
        start, parts = 0, []
        for text in texts:
            part = normed[start : start + len(text)]
            queries, keys, values = (
                _heads(part @ weights[f"attn_{name}.weight"].T, header.key_length) for name in ("q", "k", "v")
            )
            parts.append(_attention(_turned(queries, turns), _turned(keys, turns), values))
            start += len(text)
        state = state + np.concatenate(parts) @ weights["attn_output.weight"].T
        inputs = _normed(state, weights["ffn_norm.weight"], epsilon)
        gate = inputs @ weights["ffn_gate.weight"].T
        # SiLU by tanh: its exponential would overflow.
        neurons = gate * (0.5 + 0.5 * np.tanh(0.5 * gate)) * (inputs @ weights["ffn_up.weight"].T)
        down = weights["ffn_down.weight"]
        yield FeedForward(inputs, neurons, down)
        state = state + neurons @ down.T


def _number(model: RawModel, name: str, usual: float) -> float:
    value = model.header.metadata.get(f"llama.{name}", usual)
    return float(value) if isinstance(value, int | float) else usual


def _normed(state: Floats, weight: Floats, epsilon: float) -> Floats:
    scale = np.sqrt((state * state).mean(axis=1, keepdims=True) + np.float32(epsilon))
    normed: Floats = state / scale * weight.reshape(-1)
    return normed


def _heads(values: Floats, head: int) -> Floats:
    """(tokens, width) as (heads, tokens, head)."""
    return values.reshape(len(values), -1, head).transpose(1, 0, 2)


def _turns(length: int, head: int, base: float) -> NDArray[np.complex64]:
    """What positions turn neighbouring pairs of a head by, shape (length, head / 2)."""
    angles = np.outer(np.arange(length), base ** (-np.arange(0, head, 2) / head))
    turns: NDArray[np.complex64] = np.exp(1j * angles).astype(np.complex64)
    return turns


def _turned(heads: Floats, turns: NDArray[np.complex64]) -> Floats:
    pairs = np.ascontiguousarray(heads).view(np.complex64) * turns[: heads.shape[1]]
    return pairs.view(np.float32)


def _attention(queries: Floats, keys: Floats, values: Floats) -> Floats:
    """Causal attention, shape (tokens, width); a head of keys serves as many heads of queries as there are for it."""
    shared = len(queries) // len(keys)
    length = queries.shape[1]
    scores = queries @ np.repeat(keys, shared, axis=0).transpose(0, 2, 1) / np.float32(np.sqrt(queries.shape[2]))
    scores[:, np.triu(np.ones((length, length), bool), 1)] = -np.inf
    scores = np.exp(scores - scores.max(axis=2, keepdims=True))
    shares = scores / scores.sum(axis=2, keepdims=True)
    mixed: Floats = shares @ np.repeat(values, shared, axis=0)
    return mixed.transpose(1, 0, 2).reshape(length, -1)
