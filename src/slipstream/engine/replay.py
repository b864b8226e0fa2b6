"""Going back where a suffix of KV can't always be dropped: recurrent states, and sliding windows in a shared cache."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from slipstream.core.ports import Capabilities, Feed
from slipstream.engine.context import LlamaContext
from slipstream.engine.kv import LONGEST_REPLAY, KVLedger
from slipstream.engine.options import ModelOptions


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Recurrent state of a slot when it held `length` tokens."""

    length: int
    state: Any


class Replay:
    """Lets the ledger run ahead of KV: tokens that a restored state lacks are decoded together with the slot's next
    feed, so going back never costs a pass of its own.

    llama.cpp winds a recurrent state back (`rollback`) to snapshots it took in the slot's latest micro batch, but it
    doesn't check that there is one: it takes whatever an older pass has left there. And a later micro batch with other
    slots may move a state to another cell without its snapshots. So it is only asked for what the latest pass wrote,
    and only if that pass was one micro batch; everything else goes back by checkpoint.

    In a cache that slots share, llama.cpp gives cells behind a slot's sliding window to other slots, even in a cache of
    full size. A slot that goes back to where it would see them again starts from nothing.
    """

    def __init__(
        self, context: LlamaContext, ledger: KVLedger, capabilities: Capabilities, options: ModelOptions
    ) -> None:
        self._context = context
        self._ledger = ledger
        self._cuts = capabilities.rewind == "full"
        self._window = capabilities.window
        self._rollback = capabilities.rollback
        self._micro_batch = options.micro_batch
        self._missing = [0] * options.slots
        self._droppable = [0] * options.slots
        self._checkpoints: list[Checkpoint | None] = [None] * options.slots

    def owed(self, slot: int) -> int:
        """Tokens of the ledger that KV lacks."""
        return self._missing[slot]

    def reachable(self, slot: int, length: int) -> int:
        """The longest length up to `length` that the slot can go back to without decoding anything again."""
        if self._cuts:
            return length if not self._missing[slot] and self._intact(slot, length) else 0
        if self._ledger.length(slot) - length <= self._droppable[slot]:
            return length
        checkpoint = self._checkpoints[slot]
        return checkpoint.length if checkpoint and checkpoint.length <= length else 0

    def completed(self, feeds: Sequence[Feed]) -> list[Feed]:
        """Feeds that first make up for what KV lacks, with checkpoints taken where this pass may be taken back."""
        completed = [self._with_missing(feed, feeds) for feed in feeds]
        bound = self._rollback if self._one_micro_batch(completed) else 0
        for feed in feeds:
            if feed.logits - 1 > bound and not self._cuts:
                self._take_checkpoint(feed.slot)
        return completed

    def passed(self, completed: Sequence[Feed]) -> None:
        """The pass over `completed` has run."""
        self._run_over()
        safe = self._one_micro_batch(completed)
        for feed in completed:
            self._missing[feed.slot] = 0
            self._droppable[feed.slot] = min(self._rollback, len(feed.tokens) - 1) if safe else 0

    def go_back(self, slot: int, length: int) -> None:
        """Drop the tokens past `length`, wind the state back, restore the checkpoint, or start from nothing; note which
        of the first `length` tokens are missing then."""
        if self._cuts and not self._missing[slot] and self._intact(slot, length) and self._context.remove(slot, length):
            return
        dropped = self._ledger.length(slot) - length
        saved = self._checkpoints[slot]
        if saved and saved.length > length:
            saved = self._checkpoints[slot] = None
        if 0 < dropped <= self._droppable[slot] and self._context.remove(slot, length):
            # llama.cpp winds back once: the next pass has to come first.
            self._droppable[slot] = 0
            return
        self._droppable[slot] = 0
        if saved and self._context.restore(slot, saved.state, saved.length):
            self._missing[slot] = length - saved.length
            return
        self.forget(slot)
        self._missing[slot] = length

    def forget(self, slot: int) -> None:
        """The slot holds nothing any more."""
        self._context.clear(slot)
        self._checkpoints[slot] = None
        self._missing[slot] = self._droppable[slot] = 0

    def repair(self) -> None:
        """After a failed pass no state can be trusted: it may have moved slots that were not fed, and llama.cpp may
        have wound back to snapshots that were never written."""
        self._run_over()
        for slot in range(len(self._missing)):
            length = self._ledger.length(slot)
            if length:
                self.go_back(slot, length)
            else:
                self.forget(slot)

    def _intact(self, slot: int, length: int) -> bool:
        """Whether KV still holds all that the token after the first `length` may see."""
        return self._context.first(slot) <= max(0, length - self._window) and self._context.length(slot) >= length

    def _run_over(self) -> None:
        self._droppable = [0] * len(self._droppable)

    def _one_micro_batch(self, feeds: Sequence[Feed]) -> bool:
        """Whether llama.cpp runs `feeds` as one graph, or, for one slot, ends with one that holds the last tokens."""
        if len(feeds) == 1:
            return True
        count = len(feeds[0].tokens)
        equal = all(len(feed.tokens) == count for feed in feeds)
        # With a cache per slot, slots that aren't neighbours never share a micro batch.
        return self._context.one_cache and equal and count * len(feeds) <= self._micro_batch

    def _with_missing(self, feed: Feed, feeds: Sequence[Feed]) -> Feed:
        """`feed` with the tokens in front that a restored checkpoint still lacks."""
        missing = self._missing[feed.slot]
        if not missing:
            return feed
        width = sum(len(other.tokens) + min(self._missing[other.slot], LONGEST_REPLAY) for other in feeds)
        if missing > LONGEST_REPLAY or width > self._context.batch_size:
            self._replay(feed.slot)
            return feed
        start = feed.position - missing
        return Feed(feed.slot, start, [*self._ledger.tokens(feed.slot, start), *feed.tokens], feed.logits)

    def _replay(self, slot: int) -> None:
        """Decode what the slot's KV lacks, without logits."""
        self._run_over()
        while self._missing[slot]:
            start = self._ledger.length(slot) - self._missing[slot]
            tokens = self._ledger.tokens(slot, start, start + self._context.batch_size)
            self._context.run([Feed(slot, start, tokens, 0)])
            self._missing[slot] -= len(tokens)

    def _take_checkpoint(self, slot: int) -> None:
        length = self._ledger.length(slot) - self._missing[slot]
        checkpoint = self._checkpoints[slot]
        if length and not (checkpoint and checkpoint.length == length):
            state = self._context.save(slot)
            self._checkpoints[slot] = None if state is None else Checkpoint(length, state)
