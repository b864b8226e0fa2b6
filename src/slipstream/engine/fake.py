"""A deterministic target with a table for a model and a price list for a CPU: every fast test runs on it.

Its logits depend on what its KV really holds, so a wrong rewind changes the output; its clock moves only by the cost of
its passes, so a policy can be judged exactly.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from slipstream.core.errors import ContextOverflow, EngineError
from slipstream.core.ports import Capabilities, Feed
from slipstream.core.request import Sampling
from slipstream.engine.kv import LONGEST_REPLAY

Logits = NDArray[np.float32]
LogitTable = Callable[[Sequence[int]], Logits]
CostTable = Callable[[int, int], float]


@dataclass(slots=True)
class FakeClock:
    """Seconds that pass only when told."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def random_table(seed: int, vocabulary_size: int, order: int = 2, spread: float = 3.0) -> LogitTable:
    """Normal logits with standard deviation `spread`, fixed by the last `order` tokens: low orders loop and repeat."""
    known: dict[tuple[int, ...], Logits] = {}

    def table(context: Sequence[int]) -> Logits:
        key = tuple(context[-order:])
        if key not in known:
            generator = np.random.default_rng((seed, *key))
            known[key] = (generator.standard_normal(vocabulary_size) * spread).astype(np.float32)
        return known[key]

    return table


def scripted_table(script: Sequence[int], start: int, vocabulary_size: int) -> LogitTable:
    """Logits whose maximum at context length `start + i` is `script[i]`, and token 0 past its end."""

    def table(context: Sequence[int]) -> Logits:
        logits = np.zeros(vocabulary_size, np.float32)
        index = len(context) - start
        logits[script[index] if 0 <= index < len(script) else 0] = 10
        return logits

    return table


@dataclass
class FakeTarget:
    """Implements `core.ports.Target`. `cost(width, depth)` is the milliseconds of a pass; with rewind "checkpoint" or
    "bounded" its width counts the tokens that the slots owe, as on `LlamaTarget`. `passes` are the widths."""

    table: LogitTable
    vocabulary_size: int
    context_length: int = 4096
    slots: int = 4
    batch_size: int = 512
    cost: CostTable = lambda width, depth: 10.0 + width
    clock: FakeClock = field(default_factory=FakeClock)
    capabilities: Capabilities = field(default_factory=Capabilities)
    passes: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.kv: list[list[int]] = [[] for _ in range(self.slots)]
        self._rows: list[Logits] = []
        self._owed = [0] * self.slots
        self._saved = [0] * self.slots
        self._droppable = [0] * self.slots

    def decode(self, feeds: Sequence[Feed]) -> None:
        width = sum(len(feed.tokens) for feed in feeds)
        if width > self.batch_size:
            raise EngineError(f"a pass of {width} tokens exceeds the batch size {self.batch_size}")
        depth = max(feed.position for feed in feeds)
        width += self._redone(feeds, depth)
        self._rows = []
        for feed in feeds:
            held = self.kv[feed.slot]
            if feed.position != len(held):
                raise EngineError(f"slot {feed.slot} holds {len(held)} tokens but was fed at position {feed.position}")
            if len(held) + len(feed.tokens) > self.context_length:
                raise ContextOverflow(f"slot {feed.slot} is full at {self.context_length} tokens")
            for index, token in enumerate(feed.tokens):
                held.append(token)
                if index >= len(feed.tokens) - feed.logits:
                    self._rows.append(self.table(held))
        self._pass(width, depth)

    def logits(self, row: int) -> Logits:
        return self._rows[row]

    def sampler(self, slot: int, sampling: Sampling, prompt: Sequence[int]) -> "FakeSampler":
        return FakeSampler(self, sampling, list(prompt))

    def reuse(self, slot: int, tokens: Sequence[int]) -> int:
        held = self.kv[slot]
        limit = min(len(held), len(tokens) - 1)
        same = next((i for i in range(limit) if held[i] != tokens[i]), limit)
        if same < len(held) and self._replays and len(held) - same > self._droppable[slot]:
            same = self._saved[slot] if self._saved[slot] <= same else 0
        self.rewind(slot, same)
        return same

    def rewind(self, slot: int, length: int) -> None:
        if self.capabilities.rewind == "none" and 0 < length < len(self.kv[slot]):
            raise EngineError(f"slot {slot} can't go back to {length} tokens")
        if length > len(self.kv[slot]):
            raise EngineError(f"slot {slot} holds {len(self.kv[slot])} tokens, not {length}")
        dropped = len(self.kv[slot]) - length
        if self._replays and dropped:
            self._saved[slot] = self._saved[slot] if self._saved[slot] <= length else 0
            if dropped > self._droppable[slot]:
                self._owed[slot] = length - self._saved[slot]
            self._droppable[slot] = 0
        del self.kv[slot][length:]

    def owed(self, slot: int) -> int:
        return self._owed[slot]

    @property
    def _replays(self) -> bool:
        return self.capabilities.rewind in ("bounded", "checkpoint")

    def _redone(self, feeds: Sequence[Feed], depth: int) -> int:
        """Tokens that go along with this pass because a slot was taken back; what can't go along gets its own pass."""
        if not self._replays:
            return 0
        redone = 0
        for feed in feeds:
            owed = self._owed[feed.slot]
            if owed > LONGEST_REPLAY:
                self._pass(owed, depth)
                self._owed[feed.slot] = 0
            redone += self._owed[feed.slot]
        lengths = [len(feed.tokens) + self._owed[feed.slot] for feed in feeds]
        bound = self.capabilities.rollback if len(set(lengths)) == 1 else 0
        self._droppable = [0] * self.slots
        for feed, length in zip(feeds, lengths, strict=True):
            if feed.logits - 1 > bound:
                self._saved[feed.slot] = feed.position - self._owed[feed.slot]
            self._owed[feed.slot] = 0
            self._droppable[feed.slot] = min(bound, length - 1)
        return redone

    def _pass(self, width: int, depth: int) -> None:
        self.passes.append(width)
        self.clock.now += self.cost(width, depth) / 1000


@dataclass
class FakeSampler:
    """Bias, repeat penalty, temperature, top-k, top-p and min-p in numpy, with a seed: stateful like a real chain."""

    target: FakeTarget
    sampling: Sampling
    history: list[int]
    closed: bool = False

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.sampling.seed)

    def sample(self, row: int) -> int:
        token = self._draw(self.target.logits(row).astype(np.float64))
        self.history.append(token)
        return token

    def _draw(self, logits: NDArray[np.float64]) -> int:
        sampling = self.sampling
        for token, bias in sampling.logit_bias:
            logits[token] += bias
        recent = self.history[-sampling.repeat_last_n :] if sampling.repeat_last_n else []
        for token in set(recent):
            logits[token] *= 1 / sampling.repeat_penalty if logits[token] > 0 else sampling.repeat_penalty
            logits[token] -= sampling.presence_penalty + sampling.frequency_penalty * recent.count(token)
        if sampling.temperature == 0:
            return int(logits.argmax())
        order = np.argsort(-logits, kind="stable")[: sampling.top_k or None]
        weights = np.exp((logits[order] - logits[order[0]]) / sampling.temperature)
        weights /= weights.sum()
        keep = max(1, math.ceil(float((weights.cumsum() < sampling.top_p).sum() + (sampling.top_p < 1))))
        keep = len(weights) if sampling.top_p == 1 else keep
        weights = np.where(weights >= sampling.min_p * weights[0], weights, 0)[:keep]
        return int(order[self._random.choice(len(weights), p=weights / weights.sum())])

    def close(self) -> None:
        self.closed = True
