"""What the loaded model can do, found out by trying it: can it drop a suffix of KV, wind a state back, restore one?"""

import numpy as np

from slipstream.core.errors import EngineError
from slipstream.core.ports import Capabilities, Feed
from slipstream.engine.context import LlamaContext, Logits

PREFIX = 4
TOLERANCE = 1e-3
NEAR = 0.25
"""A state wound back was computed in a wider pass, which moves logits a little: by less than this share of what a wrong
state moves them by."""


def probe(context: LlamaContext, window: int) -> Capabilities:
    """Decode a few tokens, go back, decode again, compare the logits. Leaves KV empty."""
    try:
        return _Probe(context).run(window)
    finally:
        context.clear(0)


class _Probe:
    """A prefix, one token after it, and what the logits are there."""

    def __init__(self, context: LlamaContext) -> None:
        self._context = context
        self._held = max(1, min(PREFIX, context.batch_size - context.rollback))
        self._prefix = self._tokens(1, self._held)
        self._first = self._prefix[0]
        context.run([Feed(0, 0, self._prefix, 0)])
        self._state = context.save(0)
        self._state_bytes = context.state_size(0)
        self._before = self._next()

    def run(self, window: int) -> Capabilities:
        context, held = self._context, self._held
        context.run([Feed(0, held + 1, self._prefix[-1:], 0)])
        if not context.rollback and context.remove(0, held) and context.length(0) == held and self._same_again():
            return Capabilities("full", window)
        restored = self._restored()
        if self._winds_back():
            return Capabilities("bounded", window, context.rollback, self._state_bytes)
        return Capabilities("none" if restored else "checkpoint", window, 0, self._state_bytes, restored)

    def _restored(self) -> str:
        """Why a saved state can't be gone back to; empty if it can."""
        if self._state is None:
            return "drafts are off: this model's state can't be saved, so a wrong draft could not be taken back"
        if not self._context.restore(0, self._state, self._held):
            return "drafts are off: a saved state can't be restored, so a wrong draft could not be taken back"
        if not self._same_again():
            return "drafts are off: with its state restored, this model computes other logits than before"
        return ""

    def _winds_back(self) -> bool:
        """Whether both the least and the most tokens that llama.cpp promises to drop really leave no trace."""
        limit = self._context.rollback
        if not limit:
            return False
        wrong = self._after(self._tokens(3, limit), 0)
        return wrong is not None and all(self._no_trace(dropped, wrong) for dropped in sorted({1, limit}))

    def _no_trace(self, dropped: int, wrong: Logits) -> bool:
        """Whether what was dropped doesn't matter, and the logits are much nearer to the right ones than `wrong`."""
        one, other = (self._after(self._tokens(seed, dropped), dropped) for seed in (3, 5))
        if one is None or other is None or not np.allclose(one, other, rtol=0, atol=TOLERANCE):
            return False
        return bool(np.abs(one - self._before).mean() < NEAR * np.abs(wrong - self._before).mean())

    def _after(self, draft: list[int], dropped: int) -> Logits | None:
        """Logits at the usual place after a pass of prefix and `draft`, of which `dropped` tokens are dropped; None if
        llama.cpp refuses."""
        self._context.clear(0)
        self._context.run([Feed(0, 0, [*self._prefix, *draft], 0)])
        held = self._held + len(draft) - dropped
        if dropped and not (self._context.remove(0, held) and self._context.length(0) == held):
            return None
        return self._next(held)

    def _next(self, held: int | None = None) -> Logits:
        self._context.run([Feed(0, self._held if held is None else held, [self._first], 1)])
        return self._context.logits(0).copy()

    def _same_again(self) -> bool:
        # The same width at the same place: kernels repeat themselves exactly, so any doubt means a wrong state.
        try:
            return bool(np.allclose(self._next(), self._before, rtol=0, atol=TOLERANCE))
        except EngineError:
            return False

    def _tokens(self, step: int, count: int) -> list[int]:
        size = self._context.vocabulary_size - 1
        return [1 + (step * (index + 1)) % size for index in range(count)]
