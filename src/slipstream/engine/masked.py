"""A model whose sub-layers can be made to add nothing, and whose hidden states can be read: what layer skipping is
searched on. No file is written: the real quantized weights run on the real engine, at full cost."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from slipstream.core.errors import EngineError, RequestError
from slipstream.core.ports import Feed
from slipstream.core.skip import SkipSet
from slipstream.engine.context import Logits
from slipstream.engine.model import LlamaModel
from slipstream.engine.options import ModelOptions
from slipstream.engine.target import LlamaTarget
from slipstream.engine.watch import BLOCK_WEIGHT, State, Watch, Weight

ATTENTION_OUTPUTS = frozenset({"attn_output"})
FEED_FORWARD_OUTPUTS = frozenset({"ffn_down", "ffn_down_exps", "ffn_down_shexp", "ffn_down_chexps"})
"""What writes a sub-layer's result into the hidden state: with these at zero it adds exactly nothing."""

ATTENTION, FEED_FORWARD = 0, 1
PROOF_TOKENS = 4
CACHE_LINE = 64
HINT = "leave this model's layers alone: use another draft source"


class MaskedModel:
    """A target of its own, so that no other context ever sees a mask; a context manager. One thread at a time.

    A masked weight is not overwritten: the engine's pointer to it is led to zeros for as long as the mask holds. Zero
    bytes are the value zero in every block type of ggml, also in the layouts that its kernels repack weights into,
    because the scale of every block is zero then. `open` proves it on the model at hand.

    Sub-layers are numbered as they run: 2n is the attention of block n, 2n + 1 its feed-forward.
    """

    def __init__(self, target: LlamaTarget, watch: Watch) -> None:
        """Takes over a target whose model was loaded with `watch`. RequestError if sub-layers can't be told apart."""
        self.target = target
        self.skip = SkipSet()
        self._watch = watch
        self._outputs = _outputs(watch, target.model.path.name)
        self.block_count = len(self._outputs)
        rooms = [weight.room for block in self._outputs for part in block for weight in part]
        # Pages of zeros that are never written take no memory.
        self._zeros = np.zeros(max(rooms) + CACHE_LINE, np.uint8)
        self._zero_address = -(-self._zeros.ctypes.data // CACHE_LINE) * CACHE_LINE
        self.has_middles = self._prove()

    @classmethod
    def open(cls, options: ModelOptions, *, verbose: bool = False) -> Self:
        """Load the model. RequestError if it has layers that keep a running state, or blocks that do something else
        beside attention and feed-forward; else what `LlamaModel.load` raises."""
        watch = Watch()
        model = LlamaModel.load(options, verbose=verbose)
        try:
            model.watch = watch.callback
            target = LlamaTarget(model, options, owns_model=True)
        except BaseException:
            model.close()
            raise
        try:
            watch.scanning = False
            watch.check()
            if target.capabilities.rewind != "full":
                raise RequestError(f"{options.path.name} has layers that keep a running state", hint=HINT)
            return cls(target, watch)
        except BaseException:
            target.close()
            raise

    def mask(self, skip: SkipSet) -> None:
        """From the next pass on exactly these sub-layers add nothing; KV of earlier passes stays as it is.

        RequestError for a block that the model doesn't have.
        """
        if any(block >= self.block_count for block in (*skip.attention, *skip.feed_forward)):
            raise RequestError(f"{skip} names blocks beyond the {self.block_count} of {self.target.model.path.name}")
        for kind, skipped in ((ATTENTION, set(skip.attention)), (FEED_FORWARD, set(skip.feed_forward))):
            for block, parts in enumerate(self._outputs):
                for weight in parts[kind]:
                    weight.point_to(self._zero_address if block in skipped else weight.data)
        self.skip = skip

    def run(self, feeds: Sequence[Feed], *, watch: bool = False) -> None:
        """One pass, as `LlamaTarget.decode`. With `watch` its hidden states and times are kept for reading; the last
        block's only have the rows that logits were wanted for."""
        self._watch.run(lambda: self.target.decode(feeds), wanted=watch)

    @property
    def batch_size(self) -> int:
        """Most tokens in one pass, and most rows of logits."""
        return min(self.target.batch_size, self.target.output_rows)

    def hold(self, slot: int, tokens: Sequence[int]) -> None:
        """Make the slot's KV hold exactly these tokens as the full model computes them. A pass under a mask has to be
        rewound by whoever made it."""
        skip = self.skip
        # One more token, that no text holds: `reuse` always leaves the last one to be fed.
        held = self.target.reuse(slot, [*tokens, -1])
        if held < len(tokens):
            self.mask(SkipSet())
            while held < len(tokens):
                chunk = tokens[held : held + self.target.batch_size]
                self.run([Feed(slot, held, chunk, 0)])
                held += len(chunk)
            self.mask(skip)

    def rewind(self, slot: int, length: int) -> None:
        """Make the slot's KV hold exactly its first `length` tokens."""
        self.target.rewind(slot, length)

    def logits(self, row: int) -> Logits:
        """View of an output row of the latest pass, shape (vocabulary_size,)."""
        return self.target.logits(row)

    def predictions(self, rows: int) -> NDArray[np.int64]:
        """The likeliest token of each of the first `rows` output rows of the latest pass."""
        return np.array([int(self.logits(row).argmax()) for row in range(rows)], np.int64)

    def state(self, sublayer: int) -> State:
        """Hidden states after a sub-layer in the latest watched pass, shape (rows, embedding). EngineError if the
        architecture doesn't show them there."""
        block, kind = divmod(sublayer, 2)
        parts = self._watch.ends.get(block) if kind == FEED_FORWARD else self._watch.middles.get(block)
        if not parts or (kind == ATTENTION and not self.has_middles):
            where = "after" if kind == FEED_FORWARD else "in the middle of"
            raise EngineError(
                f"{self.target.model.path.name} shows no hidden state {where} block {block}",
                hint="choose a method that needs none: swift",
            )
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def times(self) -> list[tuple[float, float]]:
        """Milliseconds of (attention, feed-forward) of every block in the latest watched pass; the first attention's
        include the embedding. Where the middle of a block is not shown, its time is split by weight bytes. EngineError
        if the architecture shows no ends of blocks."""
        moments, before = self._watch.moments, self._watch.begun
        times = []
        for block, (attention_bytes, feed_forward_bytes) in enumerate(self.weight_bytes()):
            end = moments.get((block, True))
            if end is None:
                raise EngineError(f"{self.target.model.path.name} shows no hidden state after block {block}", hint=HINT)
            share = attention_bytes / max(1, attention_bytes + feed_forward_bytes)
            middle = moments[block, False] if self.has_middles else before + share * (end - before)
            times.append((1000 * (middle - before), 1000 * (end - middle)))
            before = end
        return times

    def weight_bytes(self) -> list[tuple[int, int]]:
        """Bytes that one token reads of (attention, feed-forward) of every block; of experts, those used."""
        total, used = (int(self._metadata(f"expert{name}_count") or 1) for name in ("", "_used"))
        sizes = [[0, 0] for _ in range(self.block_count)]
        for weight in self._watch.weights.values():
            if match := BLOCK_WEIGHT.fullmatch(weight.name):
                kind = FEED_FORWARD if match[2].startswith("ffn") else ATTENTION
                sizes[int(match[1])][kind] += weight.size * used // total if "_exps" in match[2] else weight.size
        return [(attention, feed_forward) for attention, feed_forward in sizes]

    def close(self) -> None:
        """Free the model, its weights unmasked. Safe to call again."""
        if not self.target.context.closed:
            self.mask(SkipSet())
        self.target.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _metadata(self, key: str) -> str | None:
        model = self.target.model
        return model.metadata(f"{model.metadata('general.architecture')}.{key}")

    def _prove(self) -> bool:
        """With every sub-layer masked the hidden state must come out of every block as it went in, bit for bit: that
        checks the pointers, the zeros and the architecture at once. Where an architecture doesn't show it, one token
        must give the same logits at all places. Returns whether states in the middle of blocks can be read."""
        count = min(PROOF_TOKENS, self.batch_size)
        self.mask(SkipSet.of_blocks(tuple(range(self.block_count))))
        try:
            self.run([Feed(0, 0, [1] * count, count)], watch=True)
            rows = [self.logits(row).copy() for row in range(count)]
        finally:
            self.mask(SkipSet())
            self.rewind(0, 0)
        ends, middles = self._watch.ends, self._watch.middles
        blocks = range(self.block_count)
        first = np.concatenate(ends[0]) if 0 in ends else None
        unmoved = (
            all(np.array_equal(row, rows[0]) for row in rows)
            if first is None
            else all(_same(ends, block, first) for block in blocks)
        )
        if not unmoved:
            name = self.target.model.path.name
            raise RequestError(f"blocks of {name} do more than attention and feed-forward", hint=HINT)
        return first is not None and all(_same(middles, block, first) for block in blocks)


def _same(states: dict[int, list[State]], block: int, first: State) -> bool:
    return block in states and np.array_equal(np.concatenate(states[block]), first)


def _outputs(watch: Watch, name: str) -> list[tuple[list[Weight], list[Weight]]]:
    """Weights to mask by block and kind. RequestError if a block lacks one."""
    found: dict[int, tuple[list[Weight], list[Weight]]] = {}
    for weight in watch.weights.values():
        match = BLOCK_WEIGHT.fullmatch(weight.name)
        if match is None:
            continue
        parts = found.setdefault(int(match[1]), ([], []))
        for kind, names in ((ATTENTION, ATTENTION_OUTPUTS), (FEED_FORWARD, FEED_FORWARD_OUTPUTS)):
            if match[2] in names:
                parts[kind].append(weight)
    blocks = [found.get(block, ([], [])) for block in range(max(found, default=-1) + 1)]
    lacking = [block for block, parts in enumerate(blocks) if not all(parts)]
    if lacking or not blocks:
        where = f"block {lacking[0]}" if lacking else "any block"
        raise RequestError(f"attention and feed-forward can't be told apart in {where} of {name}", hint=HINT)
    return blocks
