"""Writes GGUF files of random weights with a vocabulary of bytes: a few hundred kilobytes, loaded in milliseconds."""

import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensors = dict[str, NDArray[np.float32]]
Metadata = Mapping[str, Any]

UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
ALIGNMENT = 32
EMBEDDING, LAYERS, HEADS, HEAD = 64, 4, 2, 32

TOKENS = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *"▁etaoinshr"]
KINDS = [UNKNOWN, CONTROL, CONTROL, *[BYTE] * 256, *[NORMAL] * 10]


def write_gguf(path: Path, metadata: Metadata, tensors: Tensors) -> Path:
    """GGUF version 3 with float32 tensors; numpy's last axis is ggml's first."""
    blob = bytearray(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)))
    for key, value in metadata.items():
        blob += _text(key) + _value(value)
    offset = 0
    for name, tensor in tensors.items():
        shape = tensor.shape[::-1]
        blob += _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, offset)
        offset += -(-tensor.nbytes // ALIGNMENT) * ALIGNMENT
    blob += bytes(-len(blob) % ALIGNMENT)
    for tensor in tensors.values():
        blob += tensor.tobytes() + bytes(-tensor.nbytes % ALIGNMENT)
    path.write_bytes(blob)
    return path


def dense(path: Path, *, context: int = 512, template: str = "", window: int = 0) -> Path:
    """Architecture llama, or gemma3 with a sliding window: plain attention."""
    architecture = "gemma3" if window else "llama"
    metadata = common_metadata(architecture, context, template) | attention_metadata(architecture)
    if window:
        metadata[f"{architecture}.attention.sliding_window"] = window
    random = random_weights()
    tensors = ends(random)
    for layer in range(LAYERS):
        at = f"blk.{layer}."
        tensors |= attention_tensors(random, at) | feed_forward(random, at)
        if window:
            tensors |= {f"{at}{name}.weight": ones(HEAD) for name in ("attn_q_norm", "attn_k_norm")}
            tensors |= {f"{at}{name}.weight": ones(EMBEDDING) for name in ("post_attention_norm", "post_ffw_norm")}
    return write_gguf(path, metadata, tensors)


def recurrent(path: Path, *, context: int = 512) -> Path:
    """Architecture mamba: state only, no suffix of it can be dropped."""
    inner, state, rank, kernel = 2 * EMBEDDING, 8, 4, 4
    metadata = common_metadata("mamba", context) | {
        "mamba.ssm.conv_kernel": kernel,
        "mamba.ssm.inner_size": inner,
        "mamba.ssm.state_size": state,
        "mamba.ssm.time_step_rank": rank,
        "mamba.attention.head_count": 0,
        "mamba.feed_forward_length": 0,
        "mamba.attention.layer_norm_rms_epsilon": 1e-5,
    }
    random = random_weights()
    tensors = ends(random)
    for layer in range(LAYERS):
        at = f"blk.{layer}."
        tensors |= {
            f"{at}attn_norm.weight": ones(EMBEDDING),
            f"{at}ssm_in.weight": random(2 * inner, EMBEDDING),
            f"{at}ssm_conv1d.weight": random(inner, kernel),
            f"{at}ssm_conv1d.bias": random(inner),
            f"{at}ssm_x.weight": random(rank + 2 * state, inner),
            f"{at}ssm_dt.weight": random(inner, rank),
            f"{at}ssm_dt.bias": random(inner),
            f"{at}ssm_a": -np.abs(random(inner, state)) - np.float32(0.1),
            f"{at}ssm_d": random(inner),
            f"{at}ssm_out.weight": random(EMBEDDING, inner),
        }
    return write_gguf(path, metadata, tensors)


def hybrid(path: Path, *, context: int = 512, window: int = 0) -> Path:
    """Architecture lfm2: every other layer a short convolution with a state, the rest attention, maybe in a window."""
    kernel = 3
    metadata = common_metadata("lfm2", context) | attention_metadata("lfm2")
    metadata["lfm2.attention.head_count_kv"] = [0 if layer % 2 else HEADS for layer in range(LAYERS)]
    metadata["lfm2.shortconv.l_cache"] = kernel
    if window:
        metadata["lfm2.attention.sliding_window"] = window
    random = random_weights()
    tensors = ends(random, norm="token_embd_norm")
    for layer in range(LAYERS):
        at = f"blk.{layer}."
        tensors |= feed_forward(random, at)
        if layer % 2:
            tensors |= {
                f"{at}attn_norm.weight": ones(EMBEDDING),
                f"{at}shortconv.conv.weight": random(EMBEDDING, kernel),
                f"{at}shortconv.in_proj.weight": random(3 * EMBEDDING, EMBEDDING),
                f"{at}shortconv.out_proj.weight": random(EMBEDDING, EMBEDDING),
            }
        else:
            tensors |= attention_tensors(random, at)
            tensors |= {f"{at}{name}.weight": ones(HEAD) for name in ("attn_q_norm", "attn_k_norm")}
    return write_gguf(path, metadata, tensors)


def common_metadata(architecture: str, context: int, template: str = "") -> dict[str, Any]:
    metadata = {
        "general.architecture": architecture,
        f"{architecture}.context_length": context,
        f"{architecture}.embedding_length": EMBEDDING,
        f"{architecture}.block_count": LAYERS,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": TOKENS,
        "tokenizer.ggml.scores": [0.0] * 259 + [-1.0] * 10,
        "tokenizer.ggml.token_type": KINDS,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.add_space_prefix": False,
    }
    return metadata | ({"tokenizer.chat_template": template} if template else {})


def attention_metadata(architecture: str) -> dict[str, Any]:
    return {
        f"{architecture}.feed_forward_length": 2 * EMBEDDING,
        f"{architecture}.attention.head_count": HEADS,
        f"{architecture}.attention.head_count_kv": HEADS,
        f"{architecture}.attention.key_length": HEAD,
        f"{architecture}.attention.value_length": HEAD,
        f"{architecture}.attention.layer_norm_rms_epsilon": 1e-5,
        f"{architecture}.rope.dimension_count": HEAD,
    }


def random_weights() -> Callable[..., NDArray[np.float32]]:
    generator = np.random.default_rng(7)

    def weights(*shape: int) -> NDArray[np.float32]:
        return (generator.standard_normal(shape) * 0.3).astype(np.float32)

    return weights


def ones(size: int) -> NDArray[np.float32]:
    return np.ones(size, np.float32)


def ends(random: Callable[..., NDArray[np.float32]], norm: str = "output_norm") -> Tensors:
    return {"token_embd.weight": random(len(TOKENS), EMBEDDING), f"{norm}.weight": ones(EMBEDDING)}


def attention_tensors(random: Callable[..., NDArray[np.float32]], at: str) -> Tensors:
    names = ("attn_q", "attn_k", "attn_v", "attn_output")
    return {f"{at}attn_norm.weight": ones(EMBEDDING)} | {
        f"{at}{name}.weight": random(EMBEDDING, EMBEDDING) for name in names
    }


def feed_forward(random: Callable[..., NDArray[np.float32]], at: str) -> Tensors:
    return {
        f"{at}ffn_norm.weight": ones(EMBEDDING),
        f"{at}ffn_gate.weight": random(2 * EMBEDDING, EMBEDDING),
        f"{at}ffn_up.weight": random(2 * EMBEDDING, EMBEDDING),
        f"{at}ffn_down.weight": random(EMBEDDING, 2 * EMBEDDING),
    }


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Any) -> bytes:
    if not isinstance(value, list):
        kind, data = _scalar(value)
        return struct.pack("<I", kind) + data
    # llama.cpp wants token types signed.
    items = [(INT32, struct.pack("<i", item)) if isinstance(item, int) else _scalar(item) for item in value]
    return struct.pack("<IIQ", ARRAY, items[0][0], len(items)) + b"".join(data for _, data in items)


def _scalar(value: Any) -> tuple[int, bytes]:
    if isinstance(value, bool):
        return BOOL, struct.pack("<?", value)
    if isinstance(value, int):
        return UINT32, struct.pack("<I", value)
    if isinstance(value, float):
        return FLOAT32, struct.pack("<f", value)
    return STRING, _text(value)
