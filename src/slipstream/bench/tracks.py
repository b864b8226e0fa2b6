"""Every way to draft for a model, on this machine: whether there is one, what came of it, and how to switch it on.

The numbers are those by which the tracks were first planned; heads built into the model came later.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from slipstream.core.ports import Capabilities
from slipstream.profile import Evidence

Status = Literal["ready", "missing", "refused", "not for this model"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a source did alone: share of its drafted tokens that stood, the speed-up of its best fixed length replayed
    on the curve (None: not replayed), and the measured one of the policy with its interval, over `prompts` prompts."""

    acceptance: float | None
    predicted: float | None
    measured: tuple[float, float, float] | None
    prompts: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Outcome":
        """Raises KeyError or TypeError for anything that `to_json` didn't write."""
        measured = value["measured"]
        return cls(value["acceptance"], value["predicted"], tuple(measured) if measured else None, value["prompts"])


@dataclass(frozen=True, slots=True)
class Track:
    """One row. `enable` says how to use it, or what to do first."""

    number: str
    name: str
    status: Status
    verdict: str
    enable: str
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rows are made of: the model's capabilities as probed, its experts and how many a token uses, why fewer
    can't be had ("" if they can), the number that was kept of them, what a head in its file needs (kind, reason,
    needs), the sources that are open, notes on second models, and self-drafts that were made."""

    model: str
    capabilities: Capabilities
    experts: tuple[int, int]
    expert_refusal: str
    expert_choice: Evidence | None
    head: tuple[str, bool, str, str]
    open_sources: Sequence[str]
    draft_verdict: str
    self_drafts: int


def tracks(facts: Facts, outcomes: Mapping[str, Outcome]) -> list[Track]:
    """All rows, in the order of their numbers."""
    drafting = facts.capabilities.rewind != "none"

    def source(number: str, name: str, source: str, verdict: str, enable: str, missing: str) -> Track:
        if not drafting:
            return Track(number, name, "refused", facts.capabilities.reason, "plain decoding is used")
        if source in facts.open_sources:
            return Track(number, name, "ready", verdict, enable, outcomes.get(source))
        return Track(number, name, "missing", missing, enable)

    return [
        source(
            "1", "draft model", "draft_model", facts.draft_verdict, "--draft-model FILE", "no second model was named"
        ),
        _experts(facts),
        _head(facts, "3", "EAGLE", ("eagle", "eagle3", "dflash")),
        _head(facts, "4", "Medusa", ("medusa",)),
        _recurrent(facts),
        source("6", "suffix decoding", "suffix", "free; on by itself", "--draft auto", ""),
        source(
            "7", "CAS-Spec cascade", "cascade", f"{facts.self_drafts} self-drafts over a free source",
            "--draft cascade", "it routes between self-drafts, and there is none: slipstream selfdraft MODEL",
        ),
        source(
            "8", "prompt lookup", "prompt_lookup", "free; suffix decoding finds the same and votes",
            "--draft prompt_lookup", "",
        ),
        source(
            "9", "layer-skip self-draft", "self_draft", f"{facts.self_drafts} made by slipstream selfdraft",
            "--draft self_draft", "none was made, or none promises to pay: slipstream selfdraft MODEL",
        ),
        _native(facts, outcomes),
    ]  # fmt: skip


def _experts(facts: Facts) -> Track:
    (count, used), kept = facts.experts, facts.expert_choice
    if not count:
        return Track("2", "fewer experts", "not for this model", "the model is dense", "a mixture-of-experts model")
    if facts.expert_refusal:
        return Track("2", "fewer experts", "refused", facts.expert_refusal, "nothing: run it as it is")
    how = f"slipstream experts {facts.model}"
    if kept is None:
        verdict = f"{used} of {count} experts a token; fewer are faster and change the output; none are kept here"
        return Track("2", "fewer experts", "ready", verdict, f"{how}, then --use N")
    measured = Outcome(None, None, (kept.value, kept.low, kept.high), kept.prompts) if kept.pairs else None
    enable = f"on by itself; --no-profile is without; {how} --use {used} ends it"
    return Track("2", "fewer experts", "ready", f"kept: {kept.note}", enable, measured)


def _head(facts: Facts, number: str, name: str, kinds: Sequence[str]) -> Track:
    kind, _, reason, needs = facts.head
    if kind in kinds:
        return Track(number, name, "refused", reason, needs)
    verdict = "the file carries no such head"
    return Track(number, name, "refused", verdict, "a head trained on this model's hidden states, and an engine for it")


def _recurrent(facts: Facts) -> Track:
    how = facts.capabilities
    if how.rewind == "full":
        window = f"; its sliding window of {how.window} tokens is kept whole" if how.window else ""
        return Track("5", "recurrent state", "not for this model", f"attention only: KV rewinds{window}", "nothing")
    if how.rewind == "none":
        return Track("5", "recurrent state", "refused", how.reason, "plain decoding is used")
    free = f"{how.rollback} tokens go back for nothing, more" if how.rewind == "bounded" else "going back"
    verdict = f"{free} by a saved state ({how.state_bytes / 1e6:.1f} MB) and computing accepted tokens again"
    return Track("5", "recurrent state", "ready", verdict, "nothing: the policy prices it")


def _native(facts: Facts, outcomes: Mapping[str, Outcome]) -> Track:
    kind, usable, reason, needs = facts.head
    if "native_head" in facts.open_sources:
        return Track("-", "native head (MTP)", "ready", reason, "--draft auto", outcomes.get("native_head"))
    if kind != "mtp":
        return Track("-", "native head (MTP)", "not for this model", "the file carries no next-token layers", "nothing")
    return Track("-", "native head (MTP)", "missing" if usable else "refused", reason, needs or "--draft native_head")
