"""A real mixture of experts to measure on, made of the embedded model: `models.split_experts` fed with text of ours."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from slipstream.bench.workload import built_in
from slipstream.models.embedded import embedded_model
from slipstream.models.split_experts import write_split

LONGEST = 512
"""Tokens of one context: attention's cost grows with its square."""
HEAVY = 8
"""Copies of every routed neuron in the variant whose experts are most of its work, as in large models."""


def make(destination: Path, *, source: Path | None = None, copies: int = 1, experts: int = 8) -> Path:
    """Write it and return `destination`; in some fifteen seconds. Raises what `write_split` raises.

    Made of the embedded model, perplexity on the sample that ships is the dense one's with all eight experts, 1.15
    times that with six, 1.41 with four and 1.98 with two.
    """
    file = source or embedded_model()
    return write_split(file, destination, calibration(file), experts=experts, copies=copies)


def calibration(model: Path) -> list[list[int]]:
    """The text that neurons are measured on, in the model's tokens: what ships for other measurements, but not the
    sample that perplexity is measured on."""
    # Imported here: loading llama.cpp takes a while.
    from slipstream.engine.model import LlamaModel
    from slipstream.engine.tokenizer import LlamaTokenizer

    with LlamaModel.load_vocabulary(model) as vocabulary:
        tokens = LlamaTokenizer(vocabulary).encode("\n\n".join(_texts()))
    return [tokens[start : start + LONGEST] for start in range(0, len(tokens), LONGEST)]


def _texts() -> Sequence[str]:
    sources = sorted(
        (one for one in resources.files("slipstream.drafters").iterdir() if one.name.endswith(".py")),
        key=lambda one: one.name,
    )
    return [*(prompt.text for prompt in built_in()), *(one.read_text("utf-8")[:1000] for one in sources)]
