"""The binding's own generation, which peers of ours are measured as."""

from pathlib import Path

import pytest

from slipstream.engine.upstream import open_upstream
from tests.engine import tiny_gguf

PROMPT = [1, 40, 41, 42, 43, 40, 41]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf.dense(tmp_path_factory.mktemp("upstream") / "tiny.gguf")


def said(model: Path, ends: frozenset[int] = frozenset(), **options: int) -> list[int]:
    generate = open_upstream(model, draft_model=None, threads=1, context_length=64, ends=ends, **options)
    taken: list[int] = []
    for _ in range(2):
        taken.clear()
        assert generate(PROMPT, 24, taken.extend) == {}
    return taken


def test_its_prompt_lookup_says_what_it_says_plainly(model: Path) -> None:
    plain = said(model)
    assert len(plain) == 24
    assert said(model, match=2, length=4) == plain


def test_it_stops_at_an_end_token(model: Path) -> None:
    plain = said(model)
    end = plain[5]
    assert said(model, frozenset({end})) == plain[: plain.index(end) + 1]
