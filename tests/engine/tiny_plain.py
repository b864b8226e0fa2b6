"""Tiny random models of plain attention in pieces, for tests that change something before they write them."""

from typing import Any

from tests.engine.tiny_gguf import (
    EMBEDDING,
    HEAD,
    LAYERS,
    Tensors,
    attention_metadata,
    attention_tensors,
    common_metadata,
    ends,
    feed_forward,
    ones,
    random_weights,
)

Pieces = tuple[dict[str, Any], Tensors]


def plain(architecture: str, *, window: int = 0, blocks: int = LAYERS) -> Pieces:
    """Metadata and tensors of llama, qwen2 (biases, positions half a head apart) or gemma3, no two tensors alike."""
    metadata = common_metadata(architecture, 512) | attention_metadata(architecture)
    metadata[f"{architecture}.block_count"] = blocks
    if window:
        metadata[f"{architecture}.attention.sliding_window"] = window
    random = random_weights()
    tensors = ends(random)
    for block in range(blocks):
        at = f"blk.{block}."
        tensors |= attention_tensors(random, at) | feed_forward(random, at)
        if architecture == "qwen2":
            tensors |= {f"{at}{name}.bias": random(EMBEDDING) for name in ("attn_q", "attn_k", "attn_v")}
        if architecture == "gemma3":
            tensors |= {f"{at}{name}.weight": ones(HEAD) for name in ("attn_q_norm", "attn_k_norm")}
            tensors |= {f"{at}{name}.weight": ones(EMBEDDING) for name in ("post_attention_norm", "post_ffw_norm")}
    return metadata, {name: one + random(*one.shape) if "norm" in name else one for name, one in tensors.items()}
