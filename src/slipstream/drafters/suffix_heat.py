"""Where copying has worked lately: text near it is likelier to be right again."""

from collections import defaultdict
from collections.abc import Iterable

BLOCK_BITS = 6
"""Heat is kept per block of 64 positions."""


class Heat:
    """A decaying score per block of positions, zero at first. Half of what a block gains reaches its neighbours.

    `scores` are kept as if nothing decayed; the true one is scores[position >> BLOCK_BITS] / grown, so that a decay by
    `decay` a token costs one multiplication, not one per block.
    """

    __slots__ = ("_growth", "grown", "scores")

    def __init__(self, decay: float) -> None:
        self.scores: defaultdict[int, float] = defaultdict(float)
        self.grown = 1.0
        self._growth = 1 / decay

    def cool(self, tokens: int) -> None:
        """Let `tokens` tokens pass."""
        self.grown *= self._growth**tokens
        if self.grown > 1e100:
            for block, score in self.scores.items():
                self.scores[block] = score / self.grown
            self.grown = 1.0

    def add(self, positions: Iterable[int]) -> None:
        """These were right: each of their blocks gains one over the root of the number of blocks."""
        blocks = {position >> BLOCK_BITS for position in positions}
        if blocks:
            scores, gain = self.scores, self.grown / len(blocks) ** 0.5
            for block in blocks:
                scores[block] += gain
                scores[block - 1] += 0.5 * gain
                scores[block + 1] += 0.5 * gain
