"""What happened in a round, and its fold into the figures of a request."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from slipstream.core.draft import Draft


@dataclass(frozen=True, slots=True)
class SlotRound:
    """One slot's share of a round: every draft on offer, the one verified, what was emitted (bonus token included)."""

    slot: int
    offered: tuple[Draft, ...]
    chosen: Draft
    accepted: int
    emitted: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Paid:
    """What one paid source did in a round, for which slots; see `ports.Drafted`."""

    source: str
    slots: tuple[int, ...]
    steps: int
    step_ms: float
    caught_up: int
    catch_up_ms: float


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """One target pass. Times in milliseconds on the loop's own clock (invariant I4); `draft_ms` includes the passes of
    paid sources."""

    slots: tuple[SlotRound, ...]
    width: int
    depth: int
    reason: str
    draft_ms: float = 0.0
    plan_ms: float = 0.0
    target_ms: float = 0.0
    predicted_ms: float = 0.0
    paid: tuple[Paid, ...] = ()

    @property
    def paid_ms(self) -> float:
        """Milliseconds in passes of paid sources."""
        return sum(paid.step_ms + paid.catch_up_ms for paid in self.paid)


@dataclass(slots=True)
class SourceStats:
    """Draft tokens of one source: how many were verified and how many stood."""

    drafts: int = 0
    drafted: int = 0
    accepted: int = 0


@dataclass(slots=True)
class Stats:
    """Figures of one request. Both published lengths count the bonus token (DESIGN section 2)."""

    prompt_tokens: int = 0
    reused_tokens: int = 0
    tokens: int = 0
    rounds: int = 0
    draft_rounds: int = 0
    draft_round_tokens: int = 0
    sources: dict[str, SourceStats] = field(default_factory=dict)
    prefill_ms: float = 0.0
    decode_ms: float = 0.0
    target_ms: float = 0.0
    draft_ms: float = 0.0
    paid_ms: float = 0.0
    plan_ms: float = 0.0

    def add(self, share: SlotRound, record: RoundRecord, total_ms: float) -> None:
        """Fold one round in; `total_ms` is the whole step, target pass included. A pass shared by several slots counts
        fully for each: that is what each waited."""
        self.rounds += 1
        self.tokens += len(share.emitted)
        self.decode_ms += total_ms
        self.target_ms += record.target_ms
        self.draft_ms += record.draft_ms
        self.paid_ms += record.paid_ms
        self.plan_ms += record.plan_ms
        if share.chosen:
            self.draft_rounds += 1
            self.draft_round_tokens += len(share.emitted)
            accepted = share.accepted
            for part in share.chosen.segments:
                source = self.sources.setdefault(part.source, SourceStats())
                source.drafts += 1
                source.drafted += len(part)
                source.accepted += min(accepted, len(part))
                accepted = max(0, accepted - len(part))

    @property
    def tokens_per_second(self) -> float:
        """Emitted tokens over the wall time of decoding, prefill apart."""
        return 1000 * self.tokens / self.decode_ms if self.decode_ms else 0.0

    @property
    def tokens_per_round(self) -> float:
        """Emitted tokens per target pass, over all rounds."""
        return self.tokens / self.rounds if self.rounds else 0.0

    @property
    def accepted_length(self) -> float:
        """Emitted tokens per target pass, over rounds that had a draft."""
        return self.draft_round_tokens / self.draft_rounds if self.draft_rounds else 0.0

    @property
    def drafted(self) -> int:
        """Draft tokens verified, over all sources."""
        return sum(source.drafted for source in self.sources.values())

    @property
    def accepted(self) -> int:
        """Draft tokens that stood, over all sources."""
        return sum(source.accepted for source in self.sources.values())


def merge(many: Iterable[Stats]) -> Stats:
    """Sum of several requests' figures."""
    total = Stats()
    for stats in many:
        for name in ("prompt_tokens", "reused_tokens", "tokens", "rounds", "draft_rounds", "draft_round_tokens",
                     "prefill_ms", "decode_ms", "target_ms", "draft_ms", "paid_ms", "plan_ms"):  # fmt: skip
            setattr(total, name, getattr(total, name) + getattr(stats, name))
        for name, source in stats.sources.items():
            into = total.sources.setdefault(name, SourceStats())
            into.drafts += source.drafts
            into.drafted += source.drafted
            into.accepted += source.accepted
    return total
