"""Hidden states of the last tokens of texts, with any sub-layers left out, and how like the full model's they are."""

from collections.abc import Sequence

import numpy as np

from slipstream.core.errors import RequestError
from slipstream.core.ports import Feed
from slipstream.core.skip import SkipSet
from slipstream.selfdraft.ports import Masked, State
from slipstream.selfdraft.texts import Text

TOKENS_EACH = 8


class HiddenStates:
    """Reads states of the last tokens of every text (text n in slot n) in one pass; all before them is context, whose
    KV the full model computed.

    CLaSp (arXiv 2505.24196) looks at the last accepted token alone because it chooses a new set after every
    verification. Here one set serves a whole task, so similarities are averaged over places: a few tokens of each
    text, which a pass computes for little more than one, since reading the weights is what it costs.
    """

    def __init__(self, model: Masked, texts: Sequence[Text], *, tokens_each: int = TOKENS_EACH) -> None:
        """RequestError if there is no text."""
        self.model = model
        self.has_middles = model.has_middles
        self.block_count = model.block_count
        self._texts = [(*text.prompt, *text.answer) for text in texts]
        if not self._texts:
            raise RequestError("there is no text to read hidden states of", hint="give prompts")
        self._each = max(1, min(tokens_each, model.batch_size // len(texts), *(len(t) - 1 for t in self._texts)))
        self.passes = 0
        self.reference = self.read(SkipSet())

    def read(self, skip: SkipSet) -> dict[int, State]:
        """States by sub-layer, each of shape (rows, embedding). Those in the middle of blocks only if they show."""
        model = self.model
        for slot, text in enumerate(self._texts):
            model.hold(slot, text[: -self._each])
        model.mask(skip)
        try:
            model.run(
                [
                    Feed(slot, len(text) - self._each, text[-self._each :], self._each)
                    for slot, text in enumerate(self._texts)
                ],
                watch=True,
            )
        finally:
            model.mask(SkipSet())
            for slot, text in enumerate(self._texts):
                model.rewind(slot, len(text) - self._each)
        self.passes += 1
        shown = range(2 * model.block_count) if self.has_middles else range(1, 2 * model.block_count, 2)
        return {sublayer: model.state(sublayer) for sublayer in shown}

    def likeness(self, states: State, sublayer: int) -> float:
        """Cosine between `states` and the full model's after a sub-layer, averaged over tokens; -1 to 1."""
        return cosine(states, self.reference[sublayer])


def cosine(left: State, right: State) -> float:
    """Mean over rows of the cosine between them; a row of zeros is unlike anything."""
    product = (left * right).sum(axis=1)
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return float((product / np.maximum(norms, 1e-12)).mean())
