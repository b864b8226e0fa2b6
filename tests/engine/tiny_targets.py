"""Tiny models opened so that right states can be told from wrong ones by a thousandth of a logit."""

from pathlib import Path
from typing import Any

from slipstream.engine.options import ModelOptions
from slipstream.engine.target import LlamaTarget

KINDS = ("dense", "window", "recurrent", "hybrid", "hybrid_window", "delta_net", "mamba2", "rwkv")
BOUNDED = ("hybrid", "hybrid_window", "delta_net", "mamba2")
SLOTS, LONGEST, VOCABULARY = 3, 120, 269
TOLERANCE = 1e-3
"""With an f32 cache and no flash attention, widths differ by a millionth; a wrong state differs by whole logits."""


def open_target(folder: Path, kind: str, **changes: Any) -> LlamaTarget:
    usual: dict[str, Any] = {"threads": 1, "context_length": 128, "slots": SLOTS, "batch_size": 64, "micro_batch": 24}
    usual |= {"key_type": "f32", "value_type": "f32", "rollback": 6, "flash_attention": "off"}
    return LlamaTarget.open(ModelOptions(folder / f"{kind}.gguf", **(usual | changes)))
