"""Doubles shared by tests: a letter tokenizer, a guessing drafter, an eager policy, a target with uneven kernels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

from slipstream.core.draft import Draft
from slipstream.core.plan import Choice, Plan, Snapshot, Wish
from slipstream.core.ports import Feed
from slipstream.core.request import Request
from slipstream.core.stats import RoundRecord
from slipstream.engine.fake import FakeTarget, LogitTable, random_table


@dataclass
class LetterTokenizer:
    """Token n is the n-th letter; `ends` are control tokens without text."""

    ends: frozenset[int] = frozenset()

    @property
    def end_tokens(self) -> frozenset[int]:
        return self.ends

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        return [ord(letter) - ord("a") for letter in text]

    def piece(self, token: int) -> bytes:
        return b"" if token in self.ends else bytes([ord("a") + token % 26])


@dataclass
class GuessingDrafter:
    """Drafts random tokens from a small vocabulary, so that some are right by luck."""

    vocabulary_size: int
    seed: int
    name: str = "guess"
    by_match: bool = False
    open_slots: set[int] = field(default_factory=set)
    committed: dict[int, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)

    def begin(self, slot: int, request: Request) -> bool:
        self.open_slots.add(slot)
        self.committed[slot] = []
        return True

    def propose(self, slot: int, limit: int, after: Sequence[int] = ()) -> Draft:
        length = int(self._random.integers(0, min(limit, 6) + 1))
        tokens = tuple(int(token) for token in self._random.integers(0, self.vocabulary_size, length))
        return Draft(self.name, tokens, (0.9,) * length, match_length=3, support=1)

    def commit(self, slot: int, tokens: Sequence[int]) -> None:
        self.committed[slot].extend(tokens)

    def end(self, slot: int) -> None:
        self.open_slots.discard(slot)


@dataclass
class EagerPolicy:
    """Verifies all of the first draft on offer, whatever it costs; `padding` filler tokens go with every pass."""

    padding: int = 0
    records: list[RoundRecord] = field(default_factory=list)

    def begin(self, slot: int, request: Request) -> None: ...

    def wishes(self, snapshot: Snapshot) -> Sequence[Wish]:
        """Every paid draft, as long as there is room."""
        return [
            Wish(view.slot, source, min(view.room, 8), lambda probability, follow: True)
            for view in snapshot.slots
            for source, _ in view.paid
            if view.room
        ]

    def plan(self, snapshot: Snapshot) -> Plan:
        choices = tuple(Choice(view.slot, view.drafts[0] if view.drafts else Draft("plain")) for view in snapshot.slots)
        return Plan(choices, "eager", self.padding)

    def observe(self, record: RoundRecord) -> None:
        self.records.append(record)

    def end(self, slot: int) -> None: ...


WidthClass = Callable[[int, int], int]
"""(width of a pass, depth at which it starts) to the number of the kernel that computes it."""


@dataclass
class WidthSensitiveTarget(FakeTarget):
    """Computes like llama.cpp on a CPU: passes of different width classes differ in the last bits, so that a near-tie
    flips. Where a pass crosses `split` into a region of another class, what it computes there is of neither."""

    kernel: WidthClass = lambda width, depth: 0
    split: int = 512
    noise: float = 1e-4
    widths_at: list[tuple[int, int]] = field(default_factory=list)

    def decode(self, feeds: Sequence[Feed]) -> None:
        super().decode(feeds)
        width, depth = self.passes[-1], max(feed.position for feed in feeds)
        row = 0
        for feed in feeds:
            first = len(feed.tokens) - feed.logits
            for place in range(first, len(feed.tokens)):
                position = feed.position + place
                kernel = self.kernel(width, depth)
                if feed.position < self.split <= position and kernel != self.kernel(width, position):
                    kernel = 1000 + width
                self._rows[row] = self._rows[row] + _bits(kernel, feed.tokens[place], self.vocabulary_size, self.noise)
                row += 1
        if row:
            self.widths_at.append((depth, width))


@cache
def _bits(kernel: int, token: int, size: int, noise: float) -> NDArray[np.float32]:
    return (np.random.default_rng((kernel, token)).uniform(-noise, noise, size)).astype(np.float32)


def near_ties(seed: int, vocabulary_size: int, order: int = 2) -> LogitTable:
    """Like `random_table`, but in whole numbers: the two likeliest tokens are often equal."""
    table = random_table(seed, vocabulary_size, order, spread=1.0)
    return lambda context: np.round(table(context))
