"""Drafts of the model's own next-token head (multi-token prediction): one block that goes on from the hidden state.

DeepSeek-V3 (Liu et al. 2024) trains such heads; here one head is applied again and again, as in EAGLE (Li et al. 2024).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np

from slipstream.core.errors import EngineError
from slipstream.core.ports import Feed
from slipstream.engine.head_context import HeadContext, HiddenStates, Rows, why_not
from slipstream.engine.target import LlamaTarget


@dataclass(frozen=True, slots=True)
class HeadDraft:
    """Drafted tokens and the head's probability of each."""

    tokens: tuple[int, ...] = ()
    probabilities: tuple[float, ...] = ()


@dataclass(slots=True)
class _Seen:
    """Hidden states of a slot's positions `base` to `end` - 1, and up to where the head has read the tokens."""

    base: int = 0
    end: int = 0
    read: int = 0
    chunks: list[Rows] = field(default_factory=list)

    def cut(self, length: int) -> None:
        """The slot holds only `length` tokens."""
        if length < self.end:
            left = max(0, length - self.base) if self.chunks else 0
            self.chunks, self.end = ([self.rows()[:left]] if left else []), length
        self.read = min(self.read, length)

    def rows(self) -> Rows:
        """All of them, shape (end - base, width)."""
        if len(self.chunks) > 1:
            self.chunks = [np.concatenate(self.chunks)]
        return self.chunks[0]


class NativeHead:
    """Follows every pass of a target and drafts for its slots. Close it before the target.

    The head's KV holds, at position p, token p together with the target's hidden state at p - 1. It reads what the
    target has accepted only when it is asked for a draft, so a slot that never asks costs a copy of its hidden states.
    """

    def __init__(self, target: LlamaTarget) -> None:
        """EngineError with the reason if this model or engine can't (`why_not`)."""
        reason = why_not(target.model)
        if reason:
            raise EngineError(reason, hint="draft without it")
        self._target = target
        self._head = HeadContext(target.context, target.model, target.options)
        self._states = HiddenStates(target.context.pointer, self._head.width, wanted_only=False)
        self._seen = [_Seen() for _ in range(target.slots)]
        target.context.listener = self._follow

    def behind(self, slot: int) -> int:
        """Tokens the head reads first when it is asked for a draft."""
        return max(0, len(self._target.held(slot)) - self._seen[slot].read)

    def draft(
        self, slot: int, token: int, limit: int, go_on: Callable[[int, float], bool] = lambda token, probability: True
    ) -> HeadDraft:
        """At most `limit` tokens expected after `token`, which itself follows what the slot holds; `go_on` is asked
        after each. Empty if the slot's last hidden state is unknown."""
        held = self._target.held(slot)
        seen, length = self._seen[slot], len(held)
        seen.cut(length)
        limit = min(limit, self._target.context_length - length - 1)
        if not seen.chunks or seen.end != length or limit <= 0:
            return HeadDraft()
        self._head.cut(slot, seen.read)
        try:
            return self._draft(slot, [*held[seen.read :], token], limit, go_on)
        except BaseException:
            self._forget(slot)
            raise
        finally:
            self._head.cut(slot, length)

    def close(self) -> None:
        """Free the head's context. Safe to call again."""
        self._target.context.listener = None
        self._head.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _draft(self, slot: int, tokens: Sequence[int], limit: int, go_on: Callable[[int, float], bool]) -> HeadDraft:
        """Read `tokens`, of which all but the last are held by the slot, and go on from there."""
        seen, size = self._seen[slot], self._head.batch_size
        start = seen.read
        hidden = seen.rows()[start - 1 - seen.base :]
        for at in range(0, len(tokens) - 1, size):
            stop = min(at + size, len(tokens) - 1)
            self._head.read(slot, start + at, tokens[at:stop], hidden[at:stop])
        self._head.predict(slot, seen.end, tokens[-1], hidden[-1:])
        seen.chunks, seen.base, seen.read = [hidden[-1:].copy()], seen.end - 1, seen.end
        drafted: list[int] = []
        probabilities: list[float] = []
        while True:
            token, probability = _likeliest(self._head.logits())
            drafted.append(token)
            probabilities.append(probability)
            if not go_on(token, probability) or len(drafted) == limit:
                break
            self._head.predict(slot, seen.end + len(drafted), token, self._head.hidden())
        return HeadDraft(tuple(drafted), tuple(probabilities))

    def _follow(self, feeds: Sequence[Feed]) -> None:
        """The target has had a pass over `feeds`."""
        rows = self._states.rows(sum(len(feed.tokens) for feed in feeds))
        start = 0
        for feed in feeds:
            self._add(feed, rows[start : start + len(feed.tokens)])
            start += len(feed.tokens)

    def _add(self, feed: Feed, rows: Rows) -> None:
        seen, position = self._seen[feed.slot], feed.position
        # Tokens that the slot held before the pass are only there because its state was restored: they are known.
        held = len(self._target.held(feed.slot))
        if position < held <= seen.end and seen.chunks:
            position, rows = held, rows[held - position :]
        seen.cut(position)
        if not position:
            # Nothing is in front of the first token: a hidden state of zeros, as llama.cpp's own driver has it.
            seen.base, seen.chunks = -1, [np.zeros((1, self._head.width), np.float32)]
        elif not seen.chunks or seen.end != position:
            # The token in front is not known, so the head starts with the second of these.
            self._head.cut(feed.slot, -1)
            seen.base, seen.read, seen.chunks = position, position + 1, []
        if len(rows):
            seen.chunks.append(rows.copy())
        seen.end = position + len(rows)

    def _forget(self, slot: int) -> None:
        self._head.cut(slot, -1)
        self._seen[slot] = _Seen()


def _likeliest(logits: Rows) -> tuple[int, float]:
    token = int(logits.argmax())
    return token, float(1 / np.exp(logits - logits[token]).sum())
