"""An engine in Python that says the prompt's tokens again, two at a time, unless it is told to fail."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ENDS = frozenset({2})


def open_engine(
    model: Path,
    *,
    draft_model: Path | None,
    threads: int,
    context_length: int,
    ends: frozenset[int],
    fails: str = "",
) -> Callable[[Sequence[int], int, Callable[[Sequence[int]], None]], Mapping[str, Any]]:
    """Fails when it is opened or when it answers."""
    assert (threads, context_length, ends) == (1, 256, ENDS)
    if fails == "open":
        raise ValueError("no such\n  format")

    def generate(tokens: Sequence[int], limit: int, take: Callable[[Sequence[int]], None]) -> Mapping[str, Any]:
        if fails == "answer" and len(tokens) > 2:
            raise RuntimeError("out of memory")
        for at in range(0, min(limit, len(tokens)), 2):
            take(tokens[at : at + 2])
        return {"engine_rate": 50.0, "drafted": 4}

    return generate
