"""What the policy may see (Snapshot) and what it answers (Plan), with its reason."""

from dataclasses import dataclass

from slipstream.core.draft import Draft


@dataclass(frozen=True, slots=True)
class SlotView:
    """One slot at the start of a round. `depth` counts its tokens in KV; `room` is the longest draft it could use;
    `by_match` says that no source's match can grow by more than a token a round."""

    slot: int
    depth: int
    room: int
    drafts: tuple[Draft, ...] = ()
    by_match: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a plan depends on, besides the policy's own curve and calibration."""

    slots: tuple[SlotView, ...]

    @property
    def depth(self) -> int:
        """Deepest slot: what the pass costs depends on it."""
        return max((view.depth for view in self.slots), default=0)


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
