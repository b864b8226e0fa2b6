"""A real mixture of experts to measure on, made of the embedded model: `models.split_experts` fed with text of ours."""

from importlib import resources
from pathlib import Path

from slipstream.models.embedded import embedded_model
from slipstream.models.split_experts import write_split

LONGEST = 512
"""Tokens of one context: attention's cost grows with its square."""
HEAVY = 8
"""Copies of every routed neuron in the variant whose experts are most of its work, as in large models."""


def make(destination: Path, *, source: Path | None = None, copies: int = 1, experts: int = 8) -> Path:
    """Write it and return `destination`; in some fifteen seconds. Raises what `write_split` raises.

    What is lost by the number of experts is in docs/decisions/0017 and in docs/concepts.md.
    """
    file = source or embedded_model()
    return write_split(file, destination, calibration(file), experts=experts, copies=copies)


def calibration(model: Path) -> list[list[int]]:
    """The text that neurons are measured on, in the model's tokens: prompts and the heads of source files of ours as
    they were when the published curve was measured. A file of its own, as another text makes other experts."""
    # Imported here: loading llama.cpp takes a while.
    from slipstream.engine.model import LlamaModel
    from slipstream.engine.tokenizer import LlamaTokenizer

    text = resources.files("slipstream.bench").joinpath("calibration.txt").read_text("utf-8")
    with LlamaModel.load_vocabulary(model) as vocabulary:
        tokens = LlamaTokenizer(vocabulary).encode(text)
    return [tokens[start : start + LONGEST] for start in range(0, len(tokens), LONGEST)]
