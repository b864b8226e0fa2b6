"""What the policy may see (Snapshot), what it may ask for (Wish) and what it answers (Plan), with its reason."""

from collections.abc import Callable
from dataclasses import dataclass

from slipstream.core.draft import Draft

Going = Callable[[float, Draft], bool]
"""Whether a paid draft is worth another token, given the probability of its latest one and what a free source would
add to it as it stands."""


@dataclass(frozen=True, slots=True)
class SlotView:
    """One slot at the start of a round. `depth` counts its tokens in KV; `room` is the longest draft it could use;
    `by_match` says that no source's match can grow by more than a token a round; `paid` are the sources that cost a
    model pass, with the tokens each has to take in first; `left` the tokens still to generate at most; `owed` those
    that a restored state has to take in again with the next pass, and `free_rewind` how many of a pass can be dropped
    without that."""

    slot: int
    depth: int
    room: int
    drafts: tuple[Draft, ...] = ()
    by_match: bool = False
    paid: tuple[tuple[str, int], ...] = ()
    left: int = 0
    owed: int = 0
    free_rewind: int = 1 << 30


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a plan depends on, besides the policy's own curve and calibration."""

    slots: tuple[SlotView, ...]

    @property
    def depth(self) -> int:
        """Deepest slot: what the pass costs depends on it."""
        return max((view.depth for view in self.slots), default=0)


@dataclass(frozen=True, slots=True)
class Wish:
    """A draft of at most `limit` tokens that the policy wants from a paid source; `going` decides after each token."""

    slot: int
    source: str
    limit: int
    going: Going


@dataclass(frozen=True, slots=True)
class Choice:
    """The draft one slot verifies this round (empty: plain). `expected` is the calibrated number of accepted draft
    tokens."""

    slot: int
    draft: Draft
    expected: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """One round: a choice for every slot, filler tokens up to an allowed batch width, and why. `quiet` is for how many
    rounds no source needs to be asked, because no draft of theirs could pay by then (one slot only)."""

    choices: tuple[Choice, ...]
    reason: str
    padding: int = 0
    predicted_ms: float = 0.0
    predicted_tokens: float = 0.0
    quiet: int = 0

    @property
    def width(self) -> int:
        """Tokens in the target pass."""
        return sum(1 + len(choice.draft) for choice in self.choices) + self.padding
