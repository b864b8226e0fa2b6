"""A long text in windows that a model reads one by one, as llama.cpp's perplexity tool does."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from slipstream.core.errors import RequestError
from slipstream.core.ports import Feed


class Reads(Protocol):
    """What reading needs of a model: slot 0 of a target."""

    @property
    def vocabulary_size(self) -> int: ...
    @property
    def context_length(self) -> int: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def output_rows(self) -> int:
        """Most positions of one pass that may want logits."""
        ...

    def decode(self, feeds: Sequence[Feed]) -> None: ...
    def logits(self, row: int) -> Any: ...
    def rewind(self, slot: int, length: int) -> None: ...


def windows(tokens: Sequence[int], length: int, stride: int = 0, begin: int | None = None) -> list[tuple[int, ...]]:
    """Stretches of `length` tokens, each `stride` further on (0: `length`, so none overlap); what is left over at the
    end is not read. Every first token is replaced by `begin`, if the model wants a text to begin with it.

    RequestError if the text is shorter than a window, or the numbers make no sense.
    """
    if length < 4 or not 0 <= stride <= length:
        raise RequestError(
            f"a window of {length} tokens in steps of {stride}", hint="at least 4, in steps of at most a window"
        )
    if len(tokens) < length:
        raise RequestError(
            f"the text has {len(tokens)} tokens and a window {length}", hint="give a longer text, or a shorter window"
        )
    starts = range(0, len(tokens) - length + 1, stride or length)
    first = () if begin is None else (begin,)
    return [(*first, *tokens[start + len(first) : start + length]) for start in starts]


def scored(length: int, stride: int = 0) -> int:
    """Tokens of a window that count: those of its second half, which have enough before them; fewer if windows overlap
    by more than that, so that none counts twice."""
    return min(length - 1 - length // 2, stride or length)


def read(model: Reads, window: Sequence[int], count: int) -> Iterator[tuple[int, Any]]:
    """The last `count` tokens of a window, each with the logits (vocabulary_size,) that should have told it.

    The logits are a view that the next step overwrites. Slot 0 is empty afterwards.
    """
    text = window[:-1]
    first = len(text) - count
    model.rewind(0, 0)
    try:
        position = 0
        while position < len(text):
            # A pass either wants no logits or all of them: as many rows as the model gives.
            most, stop = (model.batch_size, first) if position < first else (model.output_rows, len(text))
            chunk = text[position : min(position + most, stop)]
            rows = len(chunk) if position >= first else 0
            model.decode([Feed(0, position, chunk, rows)])
            for row in range(rows):
                yield window[position + row + 1], model.logits(row)
            position += len(chunk)
    finally:
        model.rewind(0, 0)


def require_context(model: Reads, length: int) -> None:
    """RequestError if a window doesn't fit the model's context."""
    if length > model.context_length:
        raise RequestError(
            f"a window of {length} tokens exceeds the context of {model.context_length}", hint="use a shorter window"
        )
