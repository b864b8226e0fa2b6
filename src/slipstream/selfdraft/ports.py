"""What the searches need of a model: `engine.masked.MaskedModel`, or a fake."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from slipstream.core.ports import Feed
from slipstream.core.skip import SkipSet

State = NDArray[np.float32]


class Masked(Protocol):
    """A model whose sub-layers can be made to add nothing. Sub-layer 2n is the attention of block n, 2n + 1 its
    feed-forward."""

    @property
    def block_count(self) -> int: ...
    @property
    def has_middles(self) -> bool:
        """Whether hidden states between attention and feed-forward can be read."""
        ...

    @property
    def batch_size(self) -> int:
        """Most tokens in one pass, and most rows of logits."""
        ...

    def mask(self, skip: SkipSet) -> None:
        """From the next pass on exactly these sub-layers add nothing."""
        ...

    def hold(self, slot: int, tokens: Sequence[int]) -> None:
        """Make the slot's KV hold exactly these tokens as the full model computes them."""
        ...

    def run(self, feeds: Sequence[Feed], *, watch: bool = False) -> None:
        """One pass; with `watch` its hidden states are kept for reading."""
        ...

    def rewind(self, slot: int, length: int) -> None:
        """Make the slot's KV hold exactly its first `length` tokens."""
        ...

    def logits(self, row: int) -> Any:
        """Output row of the latest pass, shape (vocabulary,)."""
        ...

    def predictions(self, rows: int) -> NDArray[np.int64]:
        """The likeliest token of each of the first `rows` output rows."""
        ...

    def state(self, sublayer: int) -> State:
        """Hidden states after a sub-layer in the latest watched pass, shape (rows, embedding)."""
        ...

    def times(self) -> Sequence[tuple[float, float]]:
        """Milliseconds of (attention, feed-forward) of every block in the latest watched pass."""
        ...
