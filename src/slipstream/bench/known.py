"""Models whose answers are known: the real loop, policy and free drafters run on them, and time is what a curve says.

Greedy verification accepts exactly the drafted tokens that agree with the answer, so a recorded answer is all that a
replay needs of the target, and whether its likeliest token was right all that it needs of a draft model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from slipstream.control.curve import VerifyCost
from slipstream.core.draft import Draft
from slipstream.core.ports import Ask, Drafted
from slipstream.core.request import Request, Sampling
from slipstream.engine.fake import FakeClock, FakeSampler, FakeTarget, Logits

NONE = -1
"""A token that no model says."""
RIDES_ALONG = 4
"""Tokens to take in that go with a draft's first pass, as the real drafter does it."""


@dataclass(frozen=True, slots=True)
class Known:
    """A prompt and its answer, in tokens. `agree` and `chances` are an acceptance record: for each answer token whether
    the draft model's likeliest token was it, and the probability it gave that token; empty without a draft model."""

    id: str
    task: str
    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    agree: tuple[bool, ...] = ()
    chances: tuple[float, ...] = ()


def _place(context: Sequence[int]) -> Logits:
    """In place of logits: how much context there is. The sampler knows what comes next there."""
    return np.array([len(context)], np.float32)


class KnownTarget(FakeTarget):
    """Says the known answer to each known prompt. A pass takes what `curve` says, and `round_ms` on top, which stands
    for all that a round does besides."""

    def __init__(self, known: Sequence[Known], curve: VerifyCost, round_ms: float, clock: FakeClock) -> None:
        longest = max(len(one.prompt) + len(one.answer) for one in known)

        def cost(width: int, depth: int) -> float:
            costs = curve.costs(depth)
            return costs[min(width, len(costs) - 1)] * max(1.0, width / (len(costs) - 1)) + self.round_ms

        super().__init__(_place, 1, context_length=longest + 1, slots=1, cost=cost, clock=clock)
        self.round_ms = round_ms
        self.answers = {one.prompt: one.answer for one in known}

    def sampler(self, slot: int, sampling: Sampling, prompt: Sequence[int]) -> FakeSampler:
        return _KnownSampler(self, sampling, list(prompt), self.answers[tuple(prompt)])


class _KnownSampler(FakeSampler):
    """Is asked only along tokens that agree, so the place alone says what comes."""

    def __init__(self, target: FakeTarget, sampling: Sampling, prompt: list[int], answer: Sequence[int]) -> None:
        super().__init__(target, sampling, prompt)
        self._start, self._answer = len(prompt), answer

    def sample(self, row: int) -> int:
        return self._answer[int(self.target.logits(row)[0]) - self._start]


@dataclass(slots=True)
class _Slot:
    """`at`: answer tokens emitted; `taken`: tokens of prompt and answer in the draft model's KV."""

    known: Known
    at: int = 0
    taken: int = 0


@dataclass(slots=True)
class KnownDraft:
    """A draft model by its acceptance record, with the interface of `ports.PaidDrafter`. What it would say after a
    wrong token of its own isn't known: it goes on with the recorded probabilities and stays wrong."""

    known: Mapping[tuple[int, ...], Known]
    curve: VerifyCost
    clock: FakeClock
    window: int = 256
    name: str = "draft_model"
    _slots: dict[int, _Slot] = field(default_factory=dict)

    def begin(self, slot: int, request: Request) -> bool:
        known = self.known[request.prompt]
        self._slots[slot] = _Slot(known)
        return bool(known.agree)

    def behind(self, slot: int) -> int:
        state = self._slots[slot]
        missing = max(0, len(state.known.prompt) + state.at - 1 - state.taken)
        return min(missing, self.window) if self.window else missing

    def draft(self, asks: Sequence[Ask]) -> Drafted:
        start, steps, caught_up, catch_up_ms = self.clock(), 0, 0, 0.0
        drafts = []
        for ask in asks:
            state = self._slots[ask.slot]
            behind = self.behind(ask.slot)
            rides = behind if behind < RIDES_ALONG else 0
            if behind > rides:
                caught_up += behind
                catch_up_ms += self._pass(behind, state)
            draft = self._draft(ask, state, rides)
            steps += len(draft)
            drafts.append(draft)
        return Drafted(tuple(drafts), steps, 1000 * (self.clock() - start) - catch_up_ms, caught_up, catch_up_ms)

    def commit(self, slot: int, tokens: Sequence[int]) -> None:
        self._slots[slot].at += len(tokens)

    def end(self, slot: int) -> None:
        self._slots.pop(slot, None)

    def forget(self) -> None:
        """Nothing is kept between requests."""

    def _draft(self, ask: Ask, state: _Slot, rides: int) -> Draft:
        known, tokens, chances = state.known, list[int](), list[float]()
        right = 0
        for place in range(state.at, min(state.at + ask.limit, len(known.answer))):
            self._pass(1 if tokens else 1 + rides, state)
            stands = right == len(tokens) and known.agree[place]
            right += stands
            tokens.append(known.answer[place] if stands else NONE)
            chances.append(known.chances[place])
            if not ask.go_on(tokens[-1], chances[-1]):
                break
        # The last token drafted was never fed.
        state.taken = len(known.prompt) + state.at + max(0, min(right, len(tokens) - 1))
        return Draft(self.name, tuple(tokens), tuple(chances))

    def _pass(self, width: int, state: _Slot) -> float:
        costs = self.curve.costs(len(state.known.prompt) + state.at)
        widest = len(costs) - 1
        milliseconds = costs[min(width, widest)] * max(1.0, width / widest)
        self.clock.now += milliseconds / 1000
        return milliseconds
