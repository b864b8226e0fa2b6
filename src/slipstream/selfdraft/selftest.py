"""Proves the path before anything is searched on it: a broken one must never be read as "layers can't be skipped"."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from slipstream.control.measure import Progress
from slipstream.core.errors import EngineError
from slipstream.core.skip import SkipSet
from slipstream.selfdraft.matchness import Matchness

NEAR_TIE = 1.0
"""Logits between two tokens that passes of different widths may order differently."""
HINT = "nothing was searched: report this with the model's name"


@dataclass(frozen=True, slots=True)
class SelfTest:
    """Agreement when nothing is skipped (1, or the test has failed) and when all middle blocks are; by block when that
    one alone is skipped. `near_ties` places of `tokens` are ordered differently by another width."""

    nothing: float
    everything: float
    blocks: Mapping[int, float]
    near_ties: int
    tokens: int


def self_test(
    matchness: Matchness, *, blocks: bool = True, report: Callable[[Progress], None] = lambda progress: None
) -> SelfTest:
    """Run it; without `blocks` only the three passes that prove the path. Raises EngineError if skipping nothing
    changes a prediction, if the model predicts something else than it generated, or if skipping all middle blocks
    changes nothing."""
    middle = tuple(range(1, matchness.model.block_count - 1))
    total = 2 + len(middle) * blocks
    report(Progress(0, total, "self-test: nothing skipped"))
    nothing = matchness.agreement(SkipSet())
    if nothing < 1:
        raise EngineError(
            f"self-test: skipping nothing changed {1 - nothing:.1%} of {matchness.tokens} predictions", hint=HINT
        )
    if matchness.gaps and max(matchness.gaps) > NEAR_TIE:
        raise EngineError(
            f"self-test: the model predicts another token than it generated, {max(matchness.gaps):.2f} logits apart",
            hint=HINT,
        )
    report(Progress(1, total, "self-test: all middle blocks skipped"))
    everything = matchness.agreement(SkipSet.of_blocks(middle))
    if middle and everything == 1:
        raise EngineError("self-test: skipping all middle blocks changed no prediction", hint=HINT)
    agreements = {}
    for done, block in enumerate(middle if blocks else (), 2):
        report(Progress(done, total, f"self-test: block {block} skipped"))
        agreements[block] = matchness.agreement(SkipSet.of_blocks((block,)))
    report(Progress(total, total, "self-test"))
    return SelfTest(nothing, everything, agreements, len(matchness.gaps), matchness.tokens)
