"""A model of layers that add a known amount to the hidden state: small enough to see what a search should find."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slipstream.core.ports import Feed
from slipstream.core.skip import SkipSet

VOCABULARY, WIDTH = 32, 48


class ToyModel:
    """Every sub-layer adds its own direction times its strength, with a share that depends on the state: the stronger a
    sub-layer, the more is lost without it. Predictions depend on token and position only, as KV has no content here.

    `exact` False breaks it: passes differ by themselves.
    """

    def __init__(self, strengths: Sequence[float], *, seed: int = 5, batch_size: int = 64, slots: int = 4) -> None:
        random = np.random.default_rng(seed)
        self.strengths = list(strengths)
        self.block_count = len(strengths) // 2
        self.has_middles = True
        self.batch_size = batch_size
        self.exact = True
        self.obeys = True
        self.passes = 0
        self.held: list[list[int]] = [[] for _ in range(slots)]
        self._skip = SkipSet()
        self._embedding = random.standard_normal((VOCABULARY, WIDTH))
        self._places = random.standard_normal((512, WIDTH))
        self._layers = [random.standard_normal((WIDTH, WIDTH)) / np.sqrt(WIDTH) for _ in strengths]
        self._head = random.standard_normal((VOCABULARY, WIDTH))
        self._states: list[NDArray[np.float32]] = []
        self._logits: NDArray[np.float64] = np.zeros((0, VOCABULARY))

    def mask(self, skip: SkipSet) -> None:
        self._skip = skip if self.obeys else SkipSet()

    def hold(self, slot: int, tokens: Sequence[int]) -> None:
        self.held[slot] = list(tokens)

    def rewind(self, slot: int, length: int) -> None:
        assert length <= len(self.held[slot])
        del self.held[slot][length:]

    def run(self, feeds: Sequence[Feed], *, watch: bool = False) -> None:
        self.passes += 1
        rows = []
        for feed in feeds:
            assert feed.position == len(self.held[feed.slot])
            self.held[feed.slot].extend(feed.tokens)
            places = range(feed.position, feed.position + len(feed.tokens))
            state = self._embedding[list(feed.tokens)] + self._places[list(places)]
            rows.append(state[len(feed.tokens) - feed.logits :])
        state = np.concatenate(rows)
        if not self.exact:
            state = state + self.passes
        self._states = []
        for number, (strength, layer) in enumerate(zip(self.strengths, self._layers, strict=True)):
            skipped = self._skip.feed_forward if number % 2 else self._skip.attention
            if number // 2 not in skipped:
                state = state + strength * np.tanh(state @ layer)
            self._states.append(state.astype(np.float32))
        self._logits = state @ self._head.T

    def logits(self, row: int) -> Any:
        return self._logits[row]

    def predictions(self, rows: int) -> NDArray[np.int64]:
        return np.array(self._logits[:rows].argmax(axis=1), np.int64)

    def state(self, sublayer: int) -> NDArray[np.float32]:
        return self._states[sublayer]

    def times(self) -> list[tuple[float, float]]:
        return [(1.0, 3.0)] * self.block_count


def prompts(count: int = 3, length: int = 9) -> list[tuple[int, ...]]:
    """Prompts of random tokens."""
    random = np.random.default_rng(11)
    return [tuple(int(token) for token in random.integers(0, VOCABULARY, length)) for _ in range(count)]
