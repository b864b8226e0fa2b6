"""Slipstream: local LLMs on CPU, faster with the same output.

import slipstream

with slipstream.open("model.gguf") as llm:
    for text in llm.stream("Add type hints to this function: ..."):
        print(text, end="", flush=True)
    print(llm.stats.tokens_per_second, llm.stats.tokens_per_round)
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slipstream.session import Session

__version__ = "0.1.0"
__all__ = ["__version__", "open"]


def open(model: str | Path | None = None, **options: Any) -> "Session":
    """Open a GGUF model (None: the configured one, else the embedded SmolLM2) with its whole stack.

    `options` are the fields of `slipstream.assembly.Options`: context_length, slots, threads, memory, exact,
    drafters, ... The first use of a model on a machine measures its verify-cost curve, which takes seconds. Close the
    session, or use it as a context manager. Every expected failure is a `slipstream.core.errors.SlipstreamError`.
    """
    from slipstream.assembly import Options, open_session

    return open_session(Options(model=Path(model) if model is not None else None, **options))
