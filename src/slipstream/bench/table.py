"""A comparison as rows: per task class and in all, what a newcomer wants to know first."""

from collections.abc import Mapping, Sequence
from typing import Any

from slipstream.bench.arms import STACK, logit_gap
from slipstream.bench.compare import BASELINE, Comparison, Divergence, first_difference
from slipstream.core.ports import Target

COLUMNS = (
    "task", "prompts", "tokens", "plain tok/s", "stack tok/s", "speed-up", "95 % interval", "tokens/round",
    "drafts stood",
)  # fmt: skip


Answers = Mapping[str, Sequence[int]]
"""Tokens by prompt id."""


def find_divergences(plain: Answers, ours: Answers, target: Target, prompts: Answers) -> list[Divergence]:
    """Where our answer to a prompt first differs from the plain one, with the gap of the two tokens' logits."""
    found = []
    for name in (name for name in plain if name in ours):
        expected, given = plain[name], ours[name]
        at = first_difference(expected, given)
        if at is None:
            continue
        ended = at >= min(len(expected), len(given))
        prefix = [*prompts[name], *expected[:at]]
        found.append(Divergence(name, at, 0.0 if ended else logit_gap(target, prefix, expected[at], given[at])))
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
