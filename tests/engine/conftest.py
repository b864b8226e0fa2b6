"""Models for the engine's tests: tiny random ones written on the spot, and SmolLM2 where it is on this machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from slipstream.engine.options import ModelOptions
from slipstream.engine.target import LlamaTarget
from slipstream.engine.tokenizer import LlamaTokenizer
from tests.engine import tiny_gguf, tiny_states

TEMPLATE = (
    "{% for m in messages %}<s>{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}a:{% endif %}"
)


@pytest.fixture(scope="session")
def smollm2(smollm2_path: Path) -> Iterator[LlamaTarget]:
    # One thread: threads that wait for each other crawl when other work has the processors.
    with LlamaTarget.open(ModelOptions(smollm2_path, threads=1, context_length=1024, slots=3)) as target:
        yield target


@pytest.fixture(scope="session")
def smollm2_tokenizer(smollm2: LlamaTarget) -> LlamaTokenizer:
    return LlamaTokenizer(smollm2.model)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """dense, window (8 tokens), recurrent, hybrid, hybrid_window (8), delta_net, mamba2 and rwkv.gguf, all trained for
    512 tokens."""
    folder = tmp_path_factory.mktemp("tiny")
    tiny_gguf.dense(folder / "dense.gguf", template=TEMPLATE)
    tiny_gguf.dense(folder / "window.gguf", window=8)
    tiny_gguf.recurrent(folder / "recurrent.gguf")
    tiny_gguf.hybrid(folder / "hybrid.gguf")
    tiny_gguf.hybrid(folder / "hybrid_window.gguf", window=8)
    tiny_states.delta_net(folder / "delta_net.gguf")
    tiny_states.mamba2(folder / "mamba2.gguf")
    tiny_states.rwkv(folder / "rwkv.gguf")
    return folder


@pytest.fixture
def dense(tiny_folder: Path) -> Iterator[LlamaTarget]:
    with LlamaTarget.open(ModelOptions(tiny_folder / "dense.gguf", threads=1, context_length=64, slots=2)) as target:
        yield target
