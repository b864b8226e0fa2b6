"""A run and its cells: a cell is one measurement of one arm on one prompt. A failed one is a cell too, never a gap."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["ok", "failed", "garbage", "tainted"]
"""failed: there is no answer. garbage: there is one that nobody wants (`garbage.py`). tainted: the answer is fine, the
timing isn't (other load, a clock step, an engine's figure that contradicts ours, a warm cache declared cold)."""

Role = Literal["baseline", "candidate", "control", "repeat", "bound"]
"""control: the candidate with nothing of the prompt to copy from. repeat: the baseline under another name (A/A). bound:
it knows the answer, as nothing does that one could use: what is lost to it is lost to drafting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One configuration under test, as JSON values: what was asked for and the argv that ran, where there is one."""

    name: str
    role: Role = "candidate"
    configuration: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run is, stored before its first cell. `kind` is the command that made it (compare, stack, sweep, baseline,
    peers, experts, tune, external ...); `plan` is what it would need to be gone on with; `attestation` is the host's
    record; times are seconds since the epoch."""

    id: str
    kind: str
    started: float
    arguments: tuple[str, ...] = ()
    arms: tuple[Arm, ...] = ()
    plan: Mapping[str, Any] = field(default_factory=dict)
    attestation: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One measurement. `seconds` is decoding alone on our own monotonic clock, `prefill_seconds` what came before it;
    `engine_rate` is what the engine says of itself in tokens a second, stored beside ours and never used instead
    (invariant I4). `warm`: prompt or weights were in a cache when it started. `figures` holds whatever else was read
    (tokens_per_round, drafted, accepted, score, perplexity, milliseconds by width ...), as JSON values."""

    arm: str
    prompt: str
    task: str
    repetition: int
    block: int = 0
    status: Status = "ok"
    reason: str = ""
    tokens: int = 0
    seconds: float = 0.0
    prefill_tokens: int = 0
    prefill_seconds: float = 0.0
    engine_rate: float | None = None
    warm: bool = False
    started: float = 0.0
    answer: str = ""
    token_ids: tuple[int, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Emitted tokens a second of decoding; 0 without any."""
        return self.tokens / self.seconds if self.seconds > 0 else 0.0
