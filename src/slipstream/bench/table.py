"""A comparison as rows: per task class and in all, what a newcomer wants to know first."""

from collections.abc import Sequence
from typing import Any

from slipstream.bench.arms import STACK, logit_gap
from slipstream.bench.compare import BASELINE, Comparison, Divergence, first_difference
from slipstream.core.ports import Target

COLUMNS = (
    "task", "prompts", "tokens", "plain tok/s", "stack tok/s", "speed-up", "95 % interval", "tokens/round",
    "drafts stood",
)  # fmt: skip


def find_divergences(
    comparison: Comparison, target: Target, prompts: dict[str, Sequence[int]], arm: str = STACK
) -> list[Divergence]:
    """First difference of each prompt's outputs from the plain arm's, with the gap of the two tokens' logits."""
    found = []
    for name in comparison.prompts():
        plain, ours = comparison.of(BASELINE, [name])[0].tokens, comparison.of(arm, [name])[0].tokens
        at = first_difference(plain, ours)
        if at is None:
            continue
        if at >= min(len(plain), len(ours)):
            found.append(Divergence(name, arm, at, 0.0))
            continue
        gap = logit_gap(target, [*prompts[name], *plain[:at]], plain[at], ours[at])
        found.append(Divergence(name, arm, at, gap))
    return found


def rows(comparison: Comparison, arm: str = STACK) -> list[dict[str, Any]]:
    """One row per task class, then "all"; ratios with their interval."""
    result = []
    for task in [*comparison.tasks(), None]:
        ids = comparison.prompts(task)
        ratio = comparison.ratio(arm, ids)
        plain, ours = comparison.stats(BASELINE, task), comparison.stats(arm, task)
        result.append(
            {
                "task": task or "all",
                "prompts": len(ids),
                "pairs": ratio.pairs,
                "tokens": ours.tokens,
                "plain_tokens_per_second": plain.tokens_per_second,
                "tokens_per_second": ours.tokens_per_second,
                "speed_up": ratio.value,
                "interval": [ratio.low, ratio.high],
                "tokens_per_round": ours.tokens_per_round,
                "accepted_length": ours.accepted_length,
                "drafted": ours.drafted,
                "accepted": ours.accepted,
                "sources": {
                    name: {"drafted": source.drafted, "accepted": source.accepted}
                    for name, source in sorted(ours.sources.items())
                },
            }
        )
    return result


def cells(row: dict[str, Any]) -> list[str]:
    """A row as text, in the order of COLUMNS."""
    sources = ", ".join(f"{name} {source['accepted']}/{source['drafted']}" for name, source in row["sources"].items())
    return [
        row["task"],
        str(row["prompts"]),
        str(row["tokens"]),
        f"{row['plain_tokens_per_second']:.1f}",
        f"{row['tokens_per_second']:.1f}",
        f"{row['speed_up']:.2f}x",
        f"{row['interval'][0]:.2f} to {row['interval'][1]:.2f}",
        f"{row['tokens_per_round']:.2f}",
        sources or "none",
    ]
