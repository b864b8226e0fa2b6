from pathlib import Path
from typing import Any

import pytest

from slipstream.core.errors import RequestError, UnknownName
from slipstream.engine.options import ModelOptions


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"threads": 0}, "threads is 0"),
        ({"context_length": -1}, "context_length is -1"),
        ({"slots": 0}, "slots is 0"),
        ({"slots": 9, "batch_size": 8}, "do not fit a batch"),
        ({"value_type": "q8_0", "flash_attention": "off"}, "needs flash attention"),
        ({"kv_overrides": {"x" * 200: 1}}, "metadata key"),
        ({"kv_overrides": {"key": "x" * 200}}, "override of key"),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        ModelOptions(**{"path": Path("m.gguf"), "threads": 1, **changes})


def test_unknown_names_get_a_suggestion() -> None:
    with pytest.raises(UnknownName, match="did you mean 'q8_0'"):
        ModelOptions(Path("m.gguf"), 1, key_type="q8")


def test_a_quantized_key_cache_needs_no_flash_attention() -> None:
    assert ModelOptions(Path("m.gguf"), 1, key_type="q8_0", flash_attention="off").key_type == "q8_0"
