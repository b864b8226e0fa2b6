"""Tiny random models with a state that can't be cut: gated delta net, Mamba 2 and RWKV."""

from pathlib import Path
from typing import Any

import numpy as np

from tests.engine.tiny_gguf import (
    EMBEDDING,
    HEAD,
    HEADS,
    LAYERS,
    Tensors,
    attention_metadata,
    attention_tensors,
    common_metadata,
    ends,
    feed_forward,
    ones,
    random_weights,
    write_gguf,
)

STATE, KERNEL, RANK = 16, 4, 8


def delta_net(path: Path, *, context: int = 512, head: bool = False) -> Path:
    """Architecture qwen35: every other layer a gated delta net, the rest attention; `head` appends the block that
    predicts the token after next (multi-token prediction)."""
    layers = LAYERS + head
    metadata = common_metadata("qwen35", context) | attention_metadata("qwen35")
    metadata |= {
        "qwen35.block_count": layers,
        "qwen35.nextn_predict_layers": int(head),
        "qwen35.full_attention_interval": 2,
        "qwen35.rope.dimension_sections": [8, 4, 4, 0],
        "qwen35.ssm.conv_kernel": KERNEL,
        "qwen35.ssm.inner_size": 2 * STATE,
        "qwen35.ssm.state_size": STATE,
        "qwen35.ssm.time_step_rank": 2,
        "qwen35.ssm.group_count": 2,
    }
    random = random_weights()
    tensors = ends(random)
    for layer in range(layers):
        at = f"blk.{layer}."
        tensors |= feed_forward(random, at)
        tensors[f"{at}post_attention_norm.weight"] = tensors.pop(f"{at}ffn_norm.weight")
        if layer % 2 or layer == LAYERS:
            tensors |= attention_tensors(random, at)
            # The query projection also gives a gate.
            tensors[f"{at}attn_q.weight"] = random(2 * EMBEDDING, EMBEDDING)
            tensors |= {f"{at}{name}.weight": ones(HEAD) for name in ("attn_q_norm", "attn_k_norm")}
        else:
            tensors |= {
                f"{at}attn_norm.weight": ones(EMBEDDING),
                f"{at}attn_qkv.weight": random(6 * STATE, EMBEDDING),
                f"{at}attn_gate.weight": random(2 * STATE, EMBEDDING),
                f"{at}ssm_conv1d.weight": random(6 * STATE, KERNEL),
                f"{at}ssm_dt.bias": random(2),
                f"{at}ssm_a": -np.abs(random(2)) - np.float32(0.1),
                f"{at}ssm_beta.weight": random(2, EMBEDDING),
                f"{at}ssm_alpha.weight": random(2, EMBEDDING),
                f"{at}ssm_norm.weight": ones(STATE),
                f"{at}ssm_out.weight": random(EMBEDDING, 2 * STATE),
            }
    if head:
        at = f"blk.{LAYERS}.nextn."
        tensors |= {
            f"{at}eh_proj.weight": random(EMBEDDING, 2 * EMBEDDING),
            f"{at}enorm.weight": ones(EMBEDDING),
            f"{at}hnorm.weight": ones(EMBEDDING),
        }
    return write_gguf(path, metadata, tensors)


def mamba2(path: Path, *, context: int = 512) -> Path:
    """Architecture nemotron_h: Mamba 2, attention and feed-forward in layers of their own."""
    inner, heads = 2 * EMBEDDING, 4
    channels = inner + 2 * STATE
    metadata: dict[str, Any] = common_metadata("nemotron_h", context) | attention_metadata("nemotron_h")
    metadata |= {
        "nemotron_h.attention.layer_norm_epsilon": 1e-5,
        "nemotron_h.attention.head_count_kv": [0, HEADS, 0, 0],
        "nemotron_h.feed_forward_length": [0, 0, 2 * EMBEDDING, 0],
        "nemotron_h.ssm.conv_kernel": KERNEL,
        "nemotron_h.ssm.inner_size": inner,
        "nemotron_h.ssm.state_size": STATE,
        "nemotron_h.ssm.time_step_rank": heads,
        "nemotron_h.ssm.group_count": 1,
    }
    random = random_weights()
    tensors = ends(random) | attention_tensors(random, "blk.1.")
    tensors |= {"blk.2.attn_norm.weight": ones(EMBEDDING)} | feed_forward(random, "blk.2.")
    del tensors["blk.2.ffn_norm.weight"], tensors["blk.2.ffn_gate.weight"]
    for at in ("blk.0.", "blk.3."):
        tensors |= {
            f"{at}attn_norm.weight": ones(EMBEDDING),
            f"{at}ssm_in.weight": random(inner + channels + heads, EMBEDDING),
            f"{at}ssm_conv1d.weight": random(channels, KERNEL),
            f"{at}ssm_conv1d.bias": random(channels),
            f"{at}ssm_dt.bias": random(heads),
            f"{at}ssm_a": -np.abs(random(heads, 1)) - np.float32(0.1),
            f"{at}ssm_d": random(heads, 1),
            f"{at}ssm_norm.weight": np.ones((1, inner), np.float32),
            f"{at}ssm_out.weight": random(EMBEDDING, inner),
        }
    return write_gguf(path, metadata, tensors)


def rwkv(path: Path, *, context: int = 512) -> Path:
    """Architecture rwkv7: no attention at all."""
    metadata = common_metadata("rwkv7", context) | {
        "rwkv7.attention.head_count": 0,
        "rwkv7.feed_forward_length": 2 * EMBEDDING,
        "rwkv7.attention.layer_norm_epsilon": 1e-5,
        # With heads narrower than 64, llama.cpp's AVX-512 kernel reads and writes past them.
        "rwkv7.wkv.head_size": EMBEDDING,
        "rwkv7.token_shift_count": 2,
    }
    metadata |= {f"rwkv7.attention.{name}_lora_rank": RANK for name in ("decay", "iclr", "value_residual_mix", "gate")}
    random = random_weights()
    tensors = ends(random) | _norm("output_norm") | _norm("token_embd_norm")
    tensors["output.weight"] = random(*tensors["token_embd.weight"].shape)
    for layer in range(LAYERS):
        at = f"blk.{layer}."
        tensors |= _norm(f"{at}attn_norm") | _norm(f"{at}attn_norm_2") | _norm(f"{at}time_mix_ln")
        for name in ("w0", "a0", "v0", "k_k", "k_a", "r_k"):
            tensors[f"{at}time_mix_{name}.weight"] = random(EMBEDDING)
        for name in "wavg":
            tensors[f"{at}time_mix_{name}1.weight"] = random(RANK, EMBEDDING)
            tensors[f"{at}time_mix_{name}2.weight"] = random(EMBEDDING, RANK)
        for name in ("key", "value", "receptance", "output"):
            tensors[f"{at}time_mix_{name}.weight"] = random(EMBEDDING, EMBEDDING)
        tensors |= {
            f"{at}time_mix_lerp_fused.weight": random(6, 1, 1, EMBEDDING),
            f"{at}channel_mix_lerp_k.weight": random(1, 1, EMBEDDING),
            f"{at}channel_mix_key.weight": random(2 * EMBEDDING, EMBEDDING),
            f"{at}channel_mix_value.weight": random(EMBEDDING, 2 * EMBEDDING),
        }
    return write_gguf(path, metadata, tensors)


def _norm(name: str) -> Tensors:
    return {f"{name}.weight": ones(EMBEDDING), f"{name}.bias": np.zeros(EMBEDDING, np.float32)}
