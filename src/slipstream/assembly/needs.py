"""What opening a model will take of memory, by its header."""

from typing import TYPE_CHECKING, Any

from slipstream.models.gguf import Header

if TYPE_CHECKING:
    from slipstream.engine.memory import MemoryEstimate


def memory_needed(header: Header, context_length: int, **options: Any) -> "MemoryEstimate":
    """The engine's estimate for this file; `options` are further ones of `engine.memory.estimate`."""
    from slipstream.engine.memory import estimate

    return estimate(
        file_bytes=header.file_size,
        layers=header.block_count,
        kv_heads=header.head_count_kv,
        key_size=header.key_length,
        value_size=header.value_length,
        embedding_size=header.embedding_length,
        vocabulary_size=header.vocabulary_size,
        context_length=context_length,
        **options,
    )
