from typing import Any

import pytest

from slipstream.core.errors import MemoryShortage, UnknownName
from slipstream.engine.memory import MemoryEstimate, estimate

SMOLLM2: dict[str, Any] = {
    "file_bytes": 98_362_432, "layers": 30, "kv_heads": 3, "key_size": 64, "value_size": 64, "embedding_size": 576,
    "vocabulary_size": 49152, "feed_forward_size": 1536,
}  # fmt: skip


def test_kv_is_what_llama_cpp_allocates() -> None:
    # llama.cpp logs "KV buffer size = 45.00 MiB" for this model at 2048 tokens in f16.
    assert estimate(**SMOLLM2, context_length=2048).kv == 45 * 1024 * 1024
    assert estimate(**SMOLLM2, context_length=1024, slots=4).kv == 90 * 1024 * 1024
    assert estimate(**SMOLLM2, context_length=1000).kv == estimate(**SMOLLM2, context_length=1024).kv
    small = estimate(**SMOLLM2, context_length=2048, key_type="q8_0", value_type="q4_0")
    assert small.kv == 45 * 1024 * 1024 * (34 / 64 + 18 / 64) / 2


def test_shortage_gives_the_numbers() -> None:
    needed = MemoryEstimate(weights=60 * 10**9, kv=8 * 10**9, compute=10**9, headroom=3 * 10**9)
    assert needed.total == 72 * 10**9
    needed.require(72 * 10**9, "big.gguf")
    with pytest.raises(MemoryShortage, match=r"big.gguf needs about 72.0 GB \(weights 60.0, .*but 64.0 GB are free"):
        needed.require(64 * 10**9, "big.gguf")


def test_unknown_cache_type() -> None:
    with pytest.raises(UnknownName, match="value cache type"):
        estimate(**SMOLLM2, context_length=1, value_type="f8")
