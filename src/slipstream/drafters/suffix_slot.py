"""A running request as the suffix drafter sees it."""

from collections.abc import Sequence

import numpy as np

from slipstream.drafters.suffix_heat import Heat
from slipstream.drafters.suffix_index import BREAK, NOTHING, SuffixIndex, Tokens
from slipstream.drafters.suffix_vote import Vote


class SuffixSlot:
    """The request's own text in an index, its output as the memory would hold it (behind a BREAK, so that the start of
    an answer finds the starts of earlier ones), and the heat of both indexes. `seen` are the votes of the last draft,
    with the index's `moved` at that time."""

    __slots__ = ("_end", "_output", "heats", "index", "remember", "seen")

    def __init__(self, index: SuffixIndex, remember: bool, decay: float) -> None:
        self.index = index
        self.remember = remember
        self.heats = (Heat(decay), Heat(decay))
        self.seen: list[tuple[int, list[Vote]]] = []
        self._output: Tokens = np.full(index.depth + 512, NOTHING, np.int32)
        self._output[index.depth - 1] = BREAK
        self._end = index.depth

    def extend(self, tokens: Sequence[int]) -> None:
        """Emitted tokens: warm the places that foretold them, then index them."""
        for heat, (moved, votes) in zip(self.heats, self.seen, strict=False):
            heat.cool(len(tokens))
            heat.add([vote[0] + moved for vote in votes if vote[1] == tokens[0]])
        self.seen = []
        self.index.extend(tokens)
        end = self._end + len(tokens)
        if end > len(self._output):
            self._output = np.concatenate((self._output, np.zeros(end, np.int32)))
        self._output[self._end : end] = tokens
        self._end = end

    @property
    def tail(self) -> Tokens:
        """The end of the output, `depth` tokens: what to look for in the memory."""
        return self._output[self._end - self.index.depth : self._end]

    @property
    def output(self) -> list[int]:
        """Every token emitted so far."""
        tokens: list[int] = self._output[self.index.depth : self._end].tolist()
        return tokens
