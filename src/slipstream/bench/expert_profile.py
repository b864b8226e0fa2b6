"""The chosen number of experts as a part of the model's stored profile."""

from dataclasses import replace
from typing import Any

from slipstream.bench.experts import KIND, Row
from slipstream.models.experts import Experts
from slipstream.profile import Evidence, Profile, merge

OVERRIDES = "kv_overrides"


def with_experts(base: Profile, experts: Experts, row: Row, whole: Row, run: str) -> Profile:
    """`base` with the number of experts of `row`, measured in `run` beside the default, `whole`. The default itself
    takes an earlier choice out."""
    if row.experts == experts.default:
        return _without(base, experts)
    claim, loss = row.claim, row.quality.get("perplexity", 0.0) / whole.quality.get("perplexity", 1.0)
    measured: dict[str, Any] = (
        {name: getattr(claim, name) for name in ("value", "low", "high", "prompts", "pairs")}
        if claim and row.speed_up is not None
        else {}
    )
    note = f"{row.experts} of {experts.default} experts, another output" + (f", perplexity {loss:.2f}x" if loss else "")
    return merge(
        base,
        replace(
            base,
            options={OVERRIDES: experts.override(row.experts)},
            files={},
            evidence=(Evidence(kind=KIND, run=run, options=(OVERRIDES,), note=note, **measured),),
        ),
    )


def kept(profile: Profile, experts: Experts) -> Evidence | None:
    """What the chosen number of experts rests on; None if none is chosen. One that tuning chose was measured together
    with other options, so there is no figure of its own."""
    count = profile.options.get(OVERRIDES, {}).get(experts.key)
    if count is None:
        return None
    tuned = Evidence(kind=KIND, note=f"{count} of {experts.default} experts, another output, by slipstream tune")
    return next((one for one in profile.evidence if one.kind == KIND), tuned)


def _without(base: Profile, experts: Experts) -> Profile:
    options = dict(base.options)
    left = {key: value for key, value in options.pop(OVERRIDES, {}).items() if key != experts.key}
    return replace(
        base,
        options={**options, OVERRIDES: left} if left else options,
        evidence=tuple(one for one in base.evidence if one.kind != KIND),
    )
