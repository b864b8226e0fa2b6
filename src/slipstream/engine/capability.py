"""What the loaded model can do, found out by trying it: can it drop a suffix of KV, or restore a checkpoint?"""

import numpy as np

from slipstream.core.ports import Capabilities, Feed, Rewind
from slipstream.engine.context import LlamaContext

PREFIX = 4
TOLERANCE = 1e-3


def probe(context: LlamaContext, window: int) -> Capabilities:
    """Decode a few tokens, go back, decode again, compare the logits. Leaves KV empty."""
    try:
        return Capabilities(_rewind(context), window)
    finally:
        context.clear(0)


def _rewind(context: LlamaContext) -> Rewind:
    prefix = [1 + index % (context.vocabulary_size - 1) for index in range(PREFIX)]
    first, second = prefix[0], prefix[-1]
    context.run([Feed(0, 0, prefix[: context.batch_size], 0)])
    held = min(PREFIX, context.batch_size)
    state = context.save(0)
    context.run([Feed(0, held, [first], 1)])
    before = context.logits(0).copy()

    def same_again() -> bool:
        # The same width at the same place: kernels repeat themselves exactly, so any doubt means a wrong state.
        context.run([Feed(0, held, [first], 1)])
        return bool(np.allclose(context.logits(0), before, rtol=0, atol=TOLERANCE))

    context.run([Feed(0, held + 1, [second], 0)])
    if context.remove(0, held) and context.length(0) == held and same_again():
        return "full"
    if state is not None and context.restore(0, state, held) and same_again():
        return "checkpoint"
    return "none"
