"""A second, smaller model drafts (speculative decoding, arXiv 2211.17192): greedily, until the policy has enough.

Its own KV follows each slot lazily: it takes tokens in when it is asked for a draft, not when they are emitted, so a
source that isn't used costs nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from slipstream.core.draft import Draft
from slipstream.core.errors import RequestError
from slipstream.core.ports import Ask, Clock, Drafted, Drafter, Feed, Target
from slipstream.core.request import Request
from slipstream.drafters.bridge import Bridge, Identity

RIDES_ALONG = 4
"""Tokens to take in that go with the first draft token's pass; more get passes of their own, without logits."""
WINDOW = 256


@dataclass(frozen=True, slots=True)
class DraftModelConfig:
    """How the model is opened. `path`: its file. `threads` and `context_length` 0: the target's. `quantization`: a copy
    of the file in this kind of weights is made and used (Q4_0, Q8_0, F16, BF16); empty: as it is. `key_type` and
    `value_type` of its KV cache. `window`: most tokens of context taken in at once; 0: all. What is further back hardly
    helps to tell the next tokens, and a draft model that has missed much costs as much to catch up. `experts`: of a
    mixture of experts, how many a token uses; 0: as the file says. Without a `path`, the target itself drafts with so
    many."""

    path: str = ""
    threads: int = 0
    context_length: int = 0
    quantization: str = ""
    window: int = WINDOW
    key_type: str = "f16"
    value_type: str = "f16"
    experts: int = 0

    def __post_init__(self) -> None:
        for name, value in (
            ("threads", self.threads), ("context_length", self.context_length), ("window", self.window),
            ("experts", self.experts),
        ):  # fmt: skip
            if value < 0:
                raise RequestError(f"draft model: {name} is {value}", hint="0 or more")


@dataclass(slots=True)
class _Slot:
    """`fed` are the tokens in KV; they stand for the bridge's context from `start` on. The first `valid` of them are
    known to agree with it."""

    bridge: Bridge
    fed: list[int]
    start: int = 0
    valid: int = 0

    def agree(self, context: Sequence[int]) -> int:
        """Length of the common prefix of KV and the context from `start` on, all but its last token at most."""
        end = max(0, min(len(self.fed), len(context) - self.start - 1))
        at = min(self.valid, end)
        while at < end and self.fed[at] == context[self.start + at]:
            at += 1
        # What follows the bridge's context is only supposed.
        self.valid = max(0, min(at, len(self.bridge.context) - self.start))
        return at

    def missing(self, context: Sequence[int]) -> int:
        """Tokens between what KV has in common with the context and the context's last token."""
        return max(0, len(context) - 1 - self.start - self.agree(context))


@dataclass(slots=True)
class _Run:
    """One draft in the making: `pending` tokens are fed next."""

    ask: Ask
    slot: _Slot
    pending: list[int]
    limit: int
    tokens: list[int] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)


class DraftModel:
    """Drafts with `model`, whose slots are the target's. `bridge` makes a slot's way between the two vocabularies;
    `ends` are the draft model's end tokens, behind which nothing is drafted.

    `inner` is a free source whose drafts, at most `review` tokens long, this model verifies as the target would: a
    vertical cascade (CS-Drafting, arXiv 2312.11462), for models with the target's vocabulary. Not thread-safe.
    """

    def __init__(
        self,
        model: Target,
        clock: Clock,
        name: str = "draft_model",
        bridge: Callable[[], Bridge] = Identity,
        ends: frozenset[int] = frozenset(),
        inner: Drafter | None = None,
        review: int = 4,
        window: int = WINDOW,
    ) -> None:
        self.name = name
        self.model = model
        self.clock = clock
        self.ends = ends
        self.inner = inner
        self.review = review
        self.window = window
        self._bridge = bridge
        self._slots: dict[int, _Slot] = {}
        self._left: dict[int, list[int]] = {}

    @property
    def aligned(self) -> bool:
        """Whether both models have the same vocabulary."""
        return self._bridge is Identity

    def begin(self, slot: int, request: Request) -> bool:
        """Nothing is computed yet; what KV still holds of an earlier request is kept as far as it agrees."""
        bridge = self._bridge()
        bridge.begin(request.prompt)
        if self.model.capabilities.rewind == "none":
            return False
        self._slots[slot] = _Slot(bridge, self._left.pop(slot, []))
        return True

    def behind(self, slot: int) -> int:
        """Tokens to take in besides the last one."""
        state = self._slots[slot]
        missing = state.missing(state.bridge.context)
        return min(missing, self.window) if self.window else missing

    def draft(self, asks: Sequence[Ask]) -> Drafted:
        """Greedy drafts for several slots in shared passes."""
        started = self.clock()
        caught_up = 0
        runs = []
        for ask in asks:
            run = self._open(ask)
            if run.limit > 0:
                caught_up += self._catch_up(run)
                runs.append(run)
        ready = self.clock()
        live, steps = list(runs), 0
        while live:
            live = self._step(live)
            steps += 1
        step_ms = 1000 * (self.clock() - ready)
        made = {run.ask.slot: self._finished(run) for run in runs}
        drafts = tuple(made.get(ask.slot, Draft(self.name)) for ask in asks)
        return Drafted(drafts, steps, step_ms, caught_up, 1000 * (ready - started))

    def commit(self, slot: int, tokens: Sequence[int]) -> None:
        """Emitted tokens join the context."""
        state = self._slots[slot]
        state.valid = max(0, min(state.valid, state.bridge.commit(tokens) - state.start))

    def end(self, slot: int) -> None:
        """The request is over; KV stays, for a prompt that begins alike."""
        state = self._slots.pop(slot, None)
        if state is not None:
            if state.start:
                # It begins in the middle of a text: no other prompt can use it.
                self.model.rewind(slot, 0)
                state.fed.clear()
            self._left[slot] = state.fed

    def forget(self) -> None:
        """Empty the KV of slots without a request."""
        for slot in self._left:
            self.model.rewind(slot, 0)
        self._left.clear()

    def _open(self, ask: Ask) -> _Run:
        state = self._slots[ask.slot]
        known = len(state.bridge.context)
        context = [*state.bridge.context, *ask.after]
        if self.window and (state.missing(state.bridge.context) > self.window or state.start >= known):
            # Among known tokens: what is only supposed may be gone with the next draft.
            state.start, state.valid = max(0, known - 1 - self.window), 0
        room = self.model.context_length - (len(context) - state.start)
        if room < 1 and 0 < self.window < self.model.context_length:
            state.start, state.valid = max(0, known - 1 - self.window), 0
            room = self.model.context_length - (len(context) - state.start)
        if not context or room < 1:
            return _Run(ask, state, [], 0)
        kept = state.agree(context)
        if kept < len(state.fed):
            self.model.rewind(ask.slot, kept)
            del state.fed[kept:]
        return _Run(ask, state, context[state.start + kept :], min(ask.limit, room))

    def _catch_up(self, run: _Run) -> int:
        """Take in all but the last token, if they are too many to ride along. Returns how many."""
        if len(run.pending) <= RIDES_ALONG:
            return 0
        *earlier, last = run.pending
        for start in range(0, len(earlier), self.model.batch_size):
            chunk = earlier[start : start + self.model.batch_size]
            self.model.decode([Feed(run.ask.slot, len(run.slot.fed), chunk, 0)])
            run.slot.fed += chunk
        run.pending = [last]
        return len(earlier)

    def _step(self, runs: Sequence[_Run]) -> list[_Run]:
        """One pass: the likeliest next token of every run, and those behind it where the inner source foresaw it.
        Returns the runs that go on."""
        guesses = [self._guess(run) for run in runs]
        feeds = [
            Feed(run.ask.slot, len(run.slot.fed), [*run.pending, *guess], 1 + len(guess))
            for run, guess in zip(runs, guesses, strict=True)
        ]
        self.model.decode(feeds)
        live, row = [], 0
        for run, guess in zip(runs, guesses, strict=True):
            run.slot.fed += run.pending
            going, stood = True, 0
            while going:
                logits = self.model.logits(row + stood)
                going = self._take(run, int(logits.argmax()), logits)
                if stood == len(guess) or guess[stood] != run.tokens[-1]:
                    break
                stood += 1
            run.slot.fed += guess[:stood]
            if stood < len(guess):
                self.model.rewind(run.ask.slot, len(run.slot.fed))
            run.pending = run.tokens[-1:]
            row += 1 + len(guess)
            if going:
                live.append(run)
        return live

    def _guess(self, run: _Run) -> list[int]:
        room = min(self.review, run.limit - len(run.tokens) - 1)
        if self.inner is None or room < 1:
            return []
        return list(self.inner.propose(run.ask.slot, room, (*run.ask.after, *run.tokens)).tokens)

    def _take(self, run: _Run, token: int, logits: NDArray[np.float32]) -> bool:
        """Add a token to a draft; whether more is wanted."""
        probability = 1.0 / float(np.exp(logits - logits[token]).sum())
        run.tokens.append(token)
        run.probabilities.append(probability)
        bridge = run.slot.bridge
        more = run.ask.go_on(bridge.target_token(token), probability)
        return more and token not in self.ends and not bridge.stops(token) and len(run.tokens) < run.limit

    def _finished(self, run: _Run) -> Draft:
        tokens, probabilities = run.slot.bridge.translate(run.tokens, run.probabilities)
        limit = run.ask.limit
        return Draft(self.name, tuple(tokens[:limit]), tuple(probabilities[:limit]))
