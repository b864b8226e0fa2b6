"""Drafts of the next-token head that a model carries itself (multi-token prediction, DeepSeek-V3, arXiv 2412.19437)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from slipstream.core.draft import Draft
from slipstream.core.ports import Ask, Clock, Drafted
from slipstream.core.request import Request

RIDES_ALONG = 4
"""Tokens that the head reads without it being counted as catching up."""


class HeadDraft(Protocol):
    """What a head says: tokens and its probability of each."""

    @property
    def tokens(self) -> tuple[int, ...]: ...
    @property
    def probabilities(self) -> tuple[float, ...]: ...


class Head(Protocol):
    """The head of a loaded model: it follows the target's passes by itself."""

    def behind(self, slot: int) -> int: ...
    def draft(self, slot: int, token: int, limit: int, go_on: Callable[[int, float], bool]) -> HeadDraft: ...


@dataclass(frozen=True, slots=True)
class NativeHeadConfig:
    """`longest`: heads are trained for the next token or two, and lose their way further on."""

    longest: int = 8


class NativeHead:
    """One pass of one block and the output matrix per token. Slots draft one after the other."""

    name = "native_head"

    def __init__(self, config: NativeHeadConfig | None, head: Head, clock: Clock) -> None:
        self.config = config or NativeHeadConfig()
        self.head = head
        self.clock = clock
        self._last: dict[int, int] = {}

    def begin(self, slot: int, request: Request) -> bool:
        """The head needs the prompt's last token: the target feeds it only with the first round."""
        self._last[slot] = request.prompt[-1]
        return True

    def behind(self, slot: int) -> int:
        """Tokens whose hidden states the head has not read."""
        return self.head.behind(slot)

    def draft(self, asks: Sequence[Ask]) -> Drafted:
        """One slot after the other."""
        drafts, steps, step_ms, caught_up, catch_up_ms = [], 0, 0.0, 0, 0.0
        for ask in asks:
            if ask.after:
                drafts.append(Draft(self.name))  # it follows what the target has computed, and nothing else
                continue
            behind, started = self.head.behind(ask.slot), self.clock()
            first: list[float] = []

            def go_on(token: int, probability: float, ask: Ask = ask, first: list[float] = first) -> bool:
                first.append(self.clock())
                return ask.go_on(token, probability)

            made = self.head.draft(ask.slot, self._last[ask.slot], min(ask.limit, self.config.longest), go_on)
            ended = self.clock()
            drafts.append(Draft(self.name, made.tokens, made.probabilities))
            # Reading and the first token are one call: of a long one, only the tokens behind the first are steps.
            if behind > RIDES_ALONG and first:
                caught_up += behind
                catch_up_ms += 1000 * (first[0] - started)
                steps += len(first) - 1
                step_ms += 1000 * (ended - first[0])
            else:
                steps += len(made.tokens)
                step_ms += 1000 * (ended - started)
        return Drafted(tuple(drafts), steps, step_ms, caught_up, catch_up_ms)

    def commit(self, slot: int, tokens: Sequence[int]) -> None:
        """The last emitted token opens the next draft."""
        if tokens:
            self._last[slot] = tokens[-1]

    def end(self, slot: int) -> None:
        """Forget the request."""
        self._last.pop(slot, None)

    def forget(self) -> None:
        """Nothing is kept: the head follows the target's KV."""
