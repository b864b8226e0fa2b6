"""Which tokens each slot's KV holds: plain bookkeeping, so that prefixes can be reused and rejected drafts dropped."""

from collections.abc import Sequence

LONGEST_REPLAY = 8
"""Tokens to decode again after a restored checkpoint ride along with the next pass; more than this get their own."""


class KVLedger:
    """One list of tokens per slot, kept equal to llama.cpp's memory by the target."""

    def __init__(self, slots: int) -> None:
        self._held: list[list[int]] = [[] for _ in range(slots)]

    def length(self, slot: int) -> int:
        """Tokens in the slot's KV."""
        return len(self._held[slot])

    def tokens(self, slot: int, start: int = 0, stop: int | None = None) -> list[int]:
        """A copy of the slot's tokens from `start` to `stop`."""
        return self._held[slot][start:stop]

    def extend(self, slot: int, tokens: Sequence[int]) -> None:
        """A pass has added `tokens`."""
        self._held[slot].extend(tokens)

    def cut(self, slot: int, length: int) -> None:
        """Only the first `length` tokens are left."""
        del self._held[slot][length:]

    def common(self, slot: int, tokens: Sequence[int]) -> int:
        """Longest prefix of `tokens` that the slot holds, at most all but the last: one token has to be fed, or there
        are no logits to sample from."""
        held = self._held[slot]
        limit = min(len(held), len(tokens) - 1)
        for position in range(limit):
            if held[position] != tokens[position]:
                return position
        return max(limit, 0)
