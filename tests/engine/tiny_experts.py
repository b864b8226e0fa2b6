"""A tiny mixture of experts of random weights: a tiny dense model, split."""

from pathlib import Path

import numpy as np

from slipstream.models.split_experts import write_split
from tests.engine.tiny_gguf import EMBEDDING, LAYERS, TOKENS, random_weights, write_gguf
from tests.engine.tiny_plain import plain

WIDTH = 512
EXPERTS = 8


def wide(path: Path, template: str = "") -> Path:
    """A dense model with room for eight experts in its feed-forwards."""
    metadata, tensors = plain("llama")
    metadata["llama.feed_forward_length"] = WIDTH
    if template:
        metadata["tokenizer.chat_template"] = template
    random = random_weights()
    for block in range(LAYERS):
        for name in ("ffn_gate", "ffn_up"):
            tensors[f"blk.{block}.{name}.weight"] = random(WIDTH, EMBEDDING)
        tensors[f"blk.{block}.ffn_down.weight"] = random(EMBEDDING, WIDTH)
    return write_gguf(path, metadata, tensors)


def texts(count: int = 4, length: int = 64) -> list[list[int]]:
    """Tokens to measure neurons on."""
    generator = np.random.default_rng(3)
    return [generator.integers(3, len(TOKENS), length).tolist() for _ in range(count)]


def moe(path: Path, *, copies: int = 1, template: str = "") -> Path:
    """Eight experts, all used, and as many neurons shared."""
    dense = wide(path.with_name(f"{path.stem}-dense.gguf"), template)
    return write_split(dense, path, texts(), experts=EXPERTS, copies=copies)
