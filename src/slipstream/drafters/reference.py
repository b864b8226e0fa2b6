"""Drafts from a text that the caller expects the answer to resemble: OpenAI calls it a predicted output.

The draft is what follows the current place in that text. Where the answer departs from it (tokens inserted, left out or
replaced), the place is found again: the last emitted tokens are looked up in the text, nearest place ahead first.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

from slipstream.core.draft import Draft
from slipstream.core.errors import RequestError
from slipstream.core.request import Request

NEARBY = 16
"""How far ahead a single token is believed."""


@dataclass(frozen=True, slots=True)
class ReferenceConfig:
    """After a difference, the last `longest` to 1 emitted tokens are looked up, at most `ahead` tokens forward of the
    lost place (for runs of `anywhere` tokens or more, in the whole text). `floor` is the probability given to the
    first token after a blind guess; it rises with every token that agrees, to `ceiling`."""

    longest: int = 8
    ahead: int = 256
    anywhere: int = 4
    floor: float = 0.3
    ceiling: float = 0.99

    def __post_init__(self) -> None:
        if self.longest < 1 or self.ahead < 1 or self.anywhere < 1:
            raise RequestError(
                "reference: longest, ahead and anywhere must be at least 1", hint="the defaults are 8, 256 and 4"
            )
        if not 0 <= self.floor <= self.ceiling <= 1:
            raise RequestError(
                f"reference: floor {self.floor} and ceiling {self.ceiling} are no probabilities in order",
                hint="set 0 <= floor <= ceiling <= 1",
            )


class _Slot:
    """`place` is the reference position that should come next; `aligned` counts the tokens that agreed up to it;
    `anchor` is the last place that was sure; `output` holds the last emitted tokens."""

    __slots__ = ("aligned", "anchor", "output", "place", "reference")

    def __init__(self, reference: tuple[int, ...]) -> None:
        self.reference = reference
        self.place = 0
        self.anchor = 0
        self.aligned = 0
        self.output: list[int] = []


class Reference:
    """Copies Request.reference. Without one, it drafts nothing."""

    name = "reference"
    by_match = False

    def __init__(self, config: ReferenceConfig | None = None) -> None:
        self.config = config or ReferenceConfig()
        self._slots: dict[int, _Slot] = {}

    def begin(self, slot: int, request: Request) -> bool:
        """Start at the beginning of the reference; without one there is nothing to draft from."""
        if not request.reference:
            return False
        self._slots[slot] = _Slot(request.reference)
        return True

    def end(self, slot: int) -> None:
        """Forget the request."""
        self._slots.pop(slot, None)

    def propose(self, slot: int, limit: int, after: Sequence[int] = ()) -> Draft:
        """What follows the current place. The probability of a token grows with the tokens that agreed before it,
        those of the draft included (given that they are right)."""
        state = self._slots[slot]
        if after:
            state = copy(state)
            state.output = list(state.output)
            self._follow(state, after)
        tokens = state.reference[state.place : state.place + max(limit, 0)]
        if not tokens:
            return Draft(self.name)
        started = state.aligned if state.output else self.config.longest
        probabilities = tuple(self._probability(started + step) for step in range(len(tokens)))
        return Draft(self.name, tokens, probabilities, min(state.aligned, self.config.longest), 1)

    def _probability(self, aligned: int) -> float:
        """Rule of succession between floor and ceiling: each agreeing token takes its share of the doubt away."""
        return self.config.ceiling - (self.config.ceiling - self.config.floor) / (1 + aligned)

    def commit(self, slot: int, tokens: Sequence[int]) -> None:
        """Follow the emitted tokens; find the place again where they differ from the reference."""
        self._follow(self._slots[slot], tokens)

    def _follow(self, state: _Slot, tokens: Sequence[int]) -> None:
        reference = state.reference
        for token in tokens:
            state.output.append(token)
            if state.place < len(reference) and reference[state.place] == token:
                state.place += 1
                state.aligned += 1
                if state.aligned >= self.config.anywhere:
                    state.anchor = state.place
            else:
                self._realign(state)
        del state.output[: -self.config.longest]

    def _realign(self, state: _Slot) -> None:
        """The last token isn't the expected one: resume behind the longest run of emitted tokens that stands ahead.

        Every search starts at the last sure place, so a wrong guess is taken back. A run of one token is believed only
        nearby, because common tokens stand everywhere. If nothing is found, the token is taken to replace one of the
        reference; the next one corrects this if it was an insertion.
        """
        reference, output, place = state.reference, state.output, state.place
        for length in range(min(self.config.longest, len(output)), 0, -1):
            run = output[-length:]
            reach = self.config.ahead if length > 1 else min(self.config.ahead, NEARBY)
            found = _find(reference, run, max(0, state.anchor - length + 1), place + reach)
            if found < 0 and length >= self.config.anywhere:
                found = _find(reference, run, 0, len(reference))
            if found >= 0:
                state.place = found + length
                state.aligned = length
                return
        state.aligned = 0
        if place < len(reference):
            state.place = place + 1


def _find(reference: Sequence[int], run: Sequence[int], start: int, stop: int) -> int:
    """First position of `run` in reference[start:stop + len(run)], or -1."""
    wanted, length = tuple(run), len(run)
    stop = min(stop, len(reference) - length)
    position = start
    while position <= stop:
        try:
            position = reference.index(wanted[0], position, stop + 1)
        except ValueError:
            return -1
        if tuple(reference[position : position + length]) == wanted:
            return position
        position += 1
    return -1
