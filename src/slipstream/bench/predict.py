"""Draft models as a probe asks them: token by token where vocabularies correspond, through text where they don't."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from slipstream.bench.probe import Predicted, likeliest
from slipstream.control.measure import fill
from slipstream.core.ports import Clock, Feed, Target

TIMED = 8
"""Plain passes of the draft model that are timed per answer."""
ROWS = 32
"""Positions read in one pass."""
LONGEST = 6
"""Draft tokens, at most, that are read as the next token of the target."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """For the same vocabulary, or one that a map translates: the whole answer is read in a pass or a few.

    `feed` gives the draft's tokens for one of the target, `back` the target's token for one of the draft, -1 if it has
    none. Slot 0 of the draft is used.
    """

    draft: Target
    clock: Clock
    feed: Callable[[int], Sequence[int]] = lambda token: (token,)
    back: Callable[[int], int] = lambda token: token

    def __call__(self, prompt: Sequence[int], answer: Sequence[int]) -> Predicted:
        """One prediction for every token of `answer`."""
        fed = [token for ours in prompt for token in self.feed(ours)]
        start = len(fed)
        ends = []
        for ours in answer:
            ends.append(len(fed) - 1)
            fed += self.feed(ours)
        said = self._read(fed, ends)
        agree = [token >= 0 and self.back(token) == right for (token, _), right in zip(said, answer, strict=True)]
        chances = tuple(chance for _, chance in said)
        return Predicted(tuple(agree), chances, self._time(fed, max(1, start)))

    def _read(self, fed: Sequence[int], ends: Sequence[int]) -> list[tuple[int, float]]:
        """The draft's choice after each position of `ends`, in order; (-1, 0) before anything was fed."""
        wanted = {end for end in ends if end >= 0}
        at = min(wanted, default=len(fed))
        found: dict[int, tuple[int, float]] = {-1: (-1, 0.0)}
        fill(self.draft, fed, min(at, len(fed) - 1))
        while at <= max(wanted, default=-1):
            chunk = fed[at : min(at + ROWS, max(wanted) + 1)]
            self.draft.decode([Feed(0, at, chunk, len(chunk))])
            for row, position in enumerate(range(at, at + len(chunk))):
                if position in wanted:
                    found[position] = likeliest(self.draft.logits(row))
            at += len(chunk)
        return [found[end] for end in ends]

    def _time(self, fed: Sequence[int], start: int) -> tuple[float, ...]:
        """Milliseconds of single-token passes over the answer, from token `start` - 1 on."""
        first = min(start, len(fed)) - 1
        fill(self.draft, fed, first)
        return tuple(
            _timed(self.draft, fed[position], position, self.clock)[2]
            for position in range(first, min(first + TIMED, len(fed)))
        )


class Bridge(Protocol):
    """A way between two vocabularies through text (drafters.translation.Translation is one)."""

    @property
    def context(self) -> Sequence[int]: ...
    def begin(self, prompt: Sequence[int]) -> None: ...
    def commit(self, tokens: Sequence[int]) -> object: ...
    def translate(
        self, tokens: Sequence[int], probabilities: Sequence[float]
    ) -> tuple[Sequence[int], Sequence[float]]: ...


@dataclass(frozen=True, slots=True)
class Translated:
    """For a foreign vocabulary: at each position the draft model goes on with the text, until what it says is a token
    of the target and begins the next (whose start may still change the one before it).

    A token's milliseconds are those of a pass, times the draft's tokens per token of the target.
    """

    draft: Target
    bridge: Bridge
    clock: Clock

    def __call__(self, prompt: Sequence[int], answer: Sequence[int]) -> Predicted:
        """One prediction for every token of `answer`."""
        self.bridge.begin(prompt)
        before = len(self.bridge.context)
        agree, chances, times = [], [], []
        for right in answer:
            token, chance, passes = self._next()
            agree.append(token == right)
            chances.append(chance)
            times += passes
            self.bridge.commit([right])
        ratio = max(len(self.bridge.context) - before, 1) / len(answer)
        return Predicted(tuple(agree), tuple(chances), tuple(time * ratio for time in times))

    def _next(self) -> tuple[int, float, list[float]]:
        """The target's token that the draft expects next, its probability, milliseconds of the passes it took."""
        context = list(self.bridge.context)
        if not context or len(context) + LONGEST > self.draft.context_length:
            return -1, 0.0, []
        fill(self.draft, context, len(context) - 1)
        said: list[int] = []
        chances: list[float] = []
        times = []
        token = context[-1]
        found: tuple[Sequence[int], Sequence[float]] = ((), ())
        while len(said) < LONGEST and len(found[0]) < 2:
            token, chance, time = _timed(self.draft, token, len(context) - 1 + len(said), self.clock)
            said.append(token)
            chances.append(chance)
            times.append(time)
            found = self.bridge.translate(said, chances)
        return (found[0][0], found[1][0], times) if found[0] else (-1, 0.0, times)


def _timed(draft: Target, token: int, position: int, clock: Clock) -> tuple[int, float, float]:
    """The draft's choice after `token`, its probability, and milliseconds for both together: a drafter needs both."""
    begin = clock()
    draft.decode([Feed(0, position, [token], 1)])
    choice, chance = likeliest(draft.logits(0))
    return choice, chance, 1000 * (clock() - begin)
