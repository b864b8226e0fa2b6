"""One request in the engine: the only mutable state of the loop."""

from collections import deque
from dataclasses import dataclass, field

from slipstream.core.ports import Drafter, PaidDrafter, Sampler, Tokenizer
from slipstream.core.request import FinishReason, Request
from slipstream.core.stats import Stats
from slipstream.decode.text import TextStream


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one round gave a caller. `drafted` of the tokens came from `source`'s draft, the rest from the target."""

    slot: int
    tokens: tuple[int, ...]
    text: str
    source: str = ""
    drafted: int = 0
    finish: FinishReason | None = None


@dataclass(slots=True)
class Slot:
    """`tokens` is prompt plus output; the first `computed` of them are in KV. Progress is one number catching up.
    `drafters` are the free sources, `paid` the others. For `quiet` rounds no free source is asked. `fresh` is text not
    given out yet. `pending` are chunks that a step driven by another slot's caller gave this one."""

    index: int
    request: Request
    tokenizer: Tokenizer
    sampler: Sampler
    drafters: tuple[Drafter, ...]
    paid: tuple[PaidDrafter, ...]
    text: TextStream
    tokens: list[int]
    computed: int = 0
    quiet: int = 0
    finish: FinishReason | None = None
    ended: bool = False
    fresh: str = ""
    stats: Stats = field(default_factory=Stats)
    pending: deque[Chunk] = field(default_factory=deque)

    def ends(self, token: int) -> bool:
        """Take an emitted token's text in; whether generation ends with it, by an end token or a stop string."""
        if token in self.tokenizer.end_tokens and not self.request.ignore_end:
            self.ended = True
        else:
            self.fresh += self.text.push(self.tokenizer.piece(token))
        return self.ended or self.text.stopped

    @property
    def sources(self) -> tuple[Drafter | PaidDrafter, ...]:
        """All drafters of the request."""
        return (*self.drafters, *self.paid)

    @property
    def by_match(self) -> bool:
        """Whether no source's match can grow by more than a token a round."""
        return all(drafter.by_match for drafter in self.drafters)

    @property
    def generated(self) -> int:
        """Tokens of output so far."""
        return len(self.tokens) - len(self.request.prompt)

    @property
    def waiting(self) -> int:
        """Prompt tokens still to be computed before the first round (the last known token opens a round)."""
        return len(self.tokens) - 1 - self.computed

    def room(self, context_length: int, batch_size: int) -> int:
        """Longest draft that could stand: bounded by tokens left to generate, context and batch."""
        left = self.request.max_tokens - self.generated - 1
        return max(0, min(left, context_length - len(self.tokens), batch_size - 1))
