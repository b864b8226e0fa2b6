"""The same settings in upstream's words."""

from typing import Any

import pytest

from slipstream.tune.command_line import command_line, shown

DEFAULT = "-c 4096 -t 8 -tb 8 -b 512 -ub 512 -fa auto -ctk f16 -ctv f16"


def words(**options: Any) -> str:
    return " ".join(command_line("/m/a.gguf", options, threads=8, context=4096))


def test_the_default_settings() -> None:
    assert words() == f"llama-server -m /m/a.gguf {DEFAULT} --spec-type ngram-mod"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model": "/m/b.gguf"}, "-m /m/b.gguf"),
        ({"threads": 4, "batch_threads": 8}, "-t 4 -tb 8"),
        ({"threads": 4}, "-t 4 -tb 4"),
        ({"batch_size": 2048, "micro_batch": 1024}, "-b 2048 -ub 1024"),
        ({"flash_attention": "off"}, "-fa off"),
        ({"key_type": "q8_0", "value_type": "q8_0"}, "-ctk q8_0 -ctv q8_0"),
        ({"mmap": False, "mlock": True, "repack": False}, "--no-mmap --mlock --no-repack"),
        ({"numa": "distribute"}, "--numa distribute"),
        ({"kv_overrides": {"m.expert_used_count": 4}}, "--override-kv m.expert_used_count=int:4"),
        ({"kv_overrides": {"m.on": True}}, "--override-kv m.on=bool:true"),
        ({"draft_model": "/m/d.gguf"}, "-md /m/d.gguf --spec-draft-n-max 16 --spec-type draft-simple,ngram-mod"),
        ({"drafters": ["prompt_lookup"]}, "--spec-type ngram-simple"),
        ({"drafters": ["draft_model"], "draft_model": "d.gguf"}, "--spec-draft-n-max 16 --spec-type draft-simple"),
    ],
    ids=str,
)
def test_each_option(options: dict[str, Any], says: str) -> None:
    assert says in words(**options)


def test_without_drafting() -> None:
    assert "spec" not in words(drafters=[])


def test_for_a_shell() -> None:
    assert shown(["llama-server", "-m", "my model.gguf"]) == "llama-server -m 'my model.gguf'"
