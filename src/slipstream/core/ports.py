"""The Protocols by which rooms meet: assembly passes the objects, so the loop runs unchanged on the fake target."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from slipstream.core.draft import Draft
from slipstream.core.plan import Plan, Snapshot, Wish
from slipstream.core.request import Request, Sampling
from slipstream.core.stats import RoundRecord

UNLIMITED = 1 << 30
Rewind = Literal["full", "bounded", "checkpoint", "none"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the loaded model can do, probed at load.

    `rewind`: "full" drops any suffix of KV; "bounded" drops up to `rollback` tokens of a slot's latest pass for free,
    and more like "checkpoint", which restores a saved state and decodes accepted tokens again (recurrent models);
    "none" can't go back, so it can't verify drafts, and `reason` says in one line why. `window` is the sliding
    attention window in tokens, 0 if attention is global. `state_bytes` is the size of one copy of a slot's recurrent
    state, of which memory holds 1 + `rollback` per slot.
    """

    rewind: Rewind = "full"
    window: int = 0
    rollback: int = 0
    state_bytes: int = 0
    reason: str = ""

    @property
    def free_rewind(self) -> int:
        """Most tokens of a pass that can be dropped without computing others again."""
        return {"full": UNLIMITED, "bounded": self.rollback}.get(self.rewind, 0)


@dataclass(frozen=True, slots=True)
class Feed:
    """Tokens for one slot, from KV position `position` on; logits are wanted for the last `logits` of them."""

    slot: int
    position: int
    tokens: Sequence[int]
    logits: int


class Sampler(Protocol):
    """Draws tokens of one request; advances only along emitted tokens."""

    def sample(self, row: int) -> int:
        """The token for output row `row` of the latest pass; the sampler's state advances with it."""
        ...

    def close(self) -> None:
        """Free what the sampler holds."""
        ...


class Target(Protocol):
    """The model whose output is preserved, with KV for `slots` sequences."""

    @property
    def vocabulary_size(self) -> int: ...
    @property
    def context_length(self) -> int:
        """Most tokens one slot can hold."""
        ...

    @property
    def slots(self) -> int: ...
    @property
    def batch_size(self) -> int:
        """Most tokens in one pass."""
        ...

    @property
    def capabilities(self) -> Capabilities: ...
    def decode(self, feeds: Sequence[Feed]) -> None:
        """One pass over all feeds. Output rows are numbered from 0 in order of the wanted logits."""
        ...

    def logits(self, row: int) -> Any:
        """Float32 array, shape (vocabulary_size,): a view that the next pass overwrites."""
        ...

    def sampler(self, slot: int, sampling: Sampling, prompt: Sequence[int]) -> Sampler:
        """A sampler for a new request; penalties see the prompt's tokens."""
        ...

    def reuse(self, slot: int, tokens: Sequence[int]) -> int:
        """Keep the longest prefix of `tokens` (at most all but the last) that the slot's KV already holds; drop the
        rest. Returns its length."""
        ...

    def rewind(self, slot: int, length: int) -> None:
        """Make the slot's KV hold exactly its first `length` tokens."""
        ...

    def owed(self, slot: int) -> int:
        """Tokens that KV still lacks after a rewind, so that the slot's next pass computes them too; 0 if it can drop
        what it holds."""
        ...


class Tokenizer(Protocol):
    """Text to tokens and back."""

    @property
    def end_tokens(self) -> frozenset[int]:
        """Every end-of-generation token of the vocabulary."""
        ...

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """Tokens of `text`; `special` also reads control tokens written in it."""
        ...

    def piece(self, token: int) -> bytes:
        """The bytes that a token stands for; may be part of a UTF-8 character. Control tokens give none."""
        ...


class Drafter(Protocol):
    """A free source of drafts. It returns values only; how much of them is verified is the policy's choice."""

    @property
    def name(self) -> str: ...
    @property
    def by_match(self) -> bool:
        """Whether its match can grow by one token at most with every emitted token."""
        ...

    def begin(self, slot: int, request: Request) -> bool:
        """A request starts: index its prompt. False if there is nothing to draft from; it isn't asked again then."""
        ...

    def propose(self, slot: int, limit: int, after: Sequence[int] = ()) -> Draft:
        """At most `limit` tokens expected after the committed ones and the supposed ones in `after`; empty if nothing
        is known."""
        ...

    def commit(self, slot: int, tokens: Sequence[int]) -> None:
        """These tokens were emitted (accepted ones and the bonus token), whoever drafted them."""
        ...

    def end(self, slot: int) -> None:
        """The request is over, finished or cancelled. Unknown slots are ignored."""
        ...


@dataclass(frozen=True, slots=True)
class Ask:
    """A paid draft to be made: at most `limit` tokens after the committed ones and those in `after`. `go_on(token,
    probability)` is asked after each; `token` is None where it has no place in the target's vocabulary."""

    slot: int
    limit: int
    go_on: Callable[[int | None, float], bool]
    after: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Drafted:
    """A draft for every ask, in order (empty: none), made in `steps` passes of `step_ms` milliseconds together, after
    `caught_up` tokens were taken in, in `catch_up_ms`."""

    drafts: tuple[Draft, ...]
    steps: int = 0
    step_ms: float = 0.0
    caught_up: int = 0
    catch_up_ms: float = 0.0


class PaidDrafter(Protocol):
    """A source whose drafts cost passes of a model, so the policy asks for them one token at a time."""

    @property
    def name(self) -> str: ...
    def begin(self, slot: int, request: Request) -> bool:
        """A request starts. False if this source can't draft for it."""
        ...

    def behind(self, slot: int) -> int:
        """Tokens to take in before the first draft token can be made, that one's own input aside."""
        ...

    def draft(self, asks: Sequence[Ask]) -> Drafted:
        """Drafts for several slots, in shared passes."""
        ...

    def commit(self, slot: int, tokens: Sequence[int]) -> None:
        """These tokens were emitted, whoever drafted them."""
        ...

    def end(self, slot: int) -> None:
        """The request is over. Unknown slots are ignored."""
        ...

    def forget(self) -> None:
        """Drop what is kept between requests (a prompt's beginning in KV), so that the next one starts cold."""
        ...


class Policy(Protocol):
    """Chooses what each slot verifies."""

    def begin(self, slot: int, request: Request) -> None: ...
    def wishes(self, snapshot: Snapshot) -> Sequence[Wish]:
        """Paid drafts that are worth their price on top of the free ones in the snapshot."""
        ...

    def plan(self, snapshot: Snapshot) -> Plan: ...
    def observe(self, record: RoundRecord) -> None: ...
    def end(self, slot: int) -> None: ...


class Clock(Protocol):
    """Monotonic seconds."""

    def __call__(self) -> float: ...


class OutputLog(Protocol):
    """Durable list of earlier outputs, oldest first (the global memory of the suffix drafter)."""

    def read(self) -> Sequence[Sequence[int]]: ...
    def append(self, tokens: Sequence[int]) -> None: ...
    def replace(self, outputs: Collection[Sequence[int]]) -> None:
        """Rewrite the log atomically, after eviction."""
        ...
