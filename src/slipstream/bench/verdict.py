"""What pairs say about an arm, and how much of it to believe (requirements R2 to R5, R7, R12)."""

import math
from collections.abc import Collection, Iterable, Sequence
from statistics import fmean, median, stdev

from slipstream.bench.cell import Arm, Cell
from slipstream.bench.claim import Claim, Standing, Verdict
from slipstream.bench.pairs import Pairs, pairs_of
from slipstream.bench.statistics import Ratio, ratio_of

LEAST_PAIRS = 5
"""Fewer pairs are an observation without a verdict, and tell no noise floor: the interval of a median of four covers
88 % at best."""
LEFT_OUT = 0.2
"""Share of pairs that may be left out before the rest says nothing."""
Z = 1.96 + 0.84
"""Standard errors between no effect and one that is found 4 times in 5 at the 5 % level, two-sided."""
MEDIAN = math.sqrt(math.pi / 2)
"""Standard error of a median against that of a mean, for normal noise."""
UNKNOWN = math.nan
"""A figure that too few pairs leave open."""
ALL = "all"
CONTROL_OF = "control_of"
"""In a control arm's configuration: the arm that it controls."""
HELD_OUT = "held-out"


def detectable(ratios: Iterable[Sequence[float]]) -> float:
    """Smallest effect that such pairs show 4 times in 5, as a ratio minus one.

    exp(2.8 SE) - 1, where SE is the standard error of the mean, over prompts, of the median log ratio: s_b /
    sqrt(prompts) from the spread of those medians, or 1.25 s_w / sqrt(pairs) from the spread of log ratios around their
    prompt's mean, whichever is larger. A single pair has no spread: unknown.
    """
    logs = [[math.log(value) for value in pairs] for pairs in ratios]
    count = sum(map(len, logs))
    errors = []
    if count > len(logs):
        squares = sum((value - fmean(pairs)) ** 2 for pairs in logs for value in pairs)
        errors.append(MEDIAN * math.sqrt(squares / (count - len(logs)) / count))
    if len(logs) > 1:
        errors.append(stdev(map(median, logs)) / math.sqrt(len(logs)))
    return math.exp(Z * max(errors)) - 1 if errors else UNKNOWN


def noise_floor(same: Ratio) -> float:
    """How far apart two identical arms may come, as a ratio minus one: the end of their interval farther from 1.

    The end and not the value, because two identical arms agree closely by luck as often as not.
    """
    return max(same.high, 1 / same.low) - 1


def floor_of(same: Pairs) -> float:
    """The noise floor that pairs of identical arms tell; unknown from too few of them.

    They differ by noise alone, whatever the prompt, so they are one sample: a few pairs on each of many prompts tell as
    much as many on one.
    """
    if same.count < LEAST_PAIRS:
        return UNKNOWN
    return noise_floor(ratio_of([[ratio for found in same.ratios.values() for ratio in found]]))


def verdict_of(ratio: Ratio, floor: float) -> tuple[Verdict, str]:
    """Faster or slower only if the interval leaves 1 out and the effect exceeds a floor that is known; else why not."""
    if ratio.pairs < LEAST_PAIRS:
        return "no difference seen", f"{ratio.pairs} pairs are too few to tell; it takes {LEAST_PAIRS}"
    if ratio.low <= 1 <= ratio.high:
        return "no difference seen", "the interval holds 1"
    if math.isnan(floor):
        return "no difference seen", f"the noise floor is unknown: it takes {LEAST_PAIRS} pairs of identical arms"
    if max(ratio.value, 1 / ratio.value) - 1 <= floor:
        return "no difference seen", f"identical arms may differ by {100 * floor:.1f} % here"
    return ("faster" if ratio.value > 1 else "slower"), ""


def claims_of(
    run: str, arms: Sequence[Arm], cells: Sequence[Cell], prompts: Collection[str], held: Collection[str] = ()
) -> list[Claim]:
    """Claims on every arm but the baseline: on each task class, then on all, from the cells on `prompts`; then the same
    from those on `held`, prompts that nothing was chosen on, for the arm that was measured on them.

    An arm that is faster on held-out prompts as well is an optimum.
    """
    baseline = next(arm.name for arm in arms if arm.role == "baseline")
    repeat = next((arm.name for arm in arms if arm.role == "repeat"), None)
    suspects = {
        str(arm.configuration.get(CONTROL_OF))
        for arm in arms
        if arm.role == "control" and _faster_without_drafts(run, arm, baseline, repeat, cells, prompts)
    }
    found = []
    for subset, confirming in ((prompts, False), (held, True)):
        for arm in arms:
            if arm.role == "baseline" or (confirming and arm.role != "candidate"):
                continue
            for task, names in _tasks(cells, arm.name, subset).items():
                claim = _claim(run, arm, baseline, repeat, cells, task, names, confirming, arm.name in suspects)
                if claim:
                    found.append(claim)
    return found


def winner(claims: Iterable[Claim], arms: Sequence[Arm]) -> str:
    """The fastest candidate over all tasks, "" if none is faster than the baseline. Of those that the noise floor
    doesn't tell from it, the first in `arms`: simpler ones are listed first."""
    faster = {claim.arm: claim for claim in claims if claim.task == ALL and claim.verdict == "faster"}
    ranked = [arm.name for arm in arms if arm.role == "candidate" and arm.name in faster]
    best = max((faster[name].value for name in ranked), default=0.0)
    return next((name for name in ranked if faster[name].value * (1 + faster[name].floor) >= best), "")


def _tasks(cells: Sequence[Cell], arm: str, prompts: Collection[str]) -> dict[str, list[str]]:
    """Prompts of an arm's cells by task class, and all of them."""
    found: dict[str, dict[str, None]] = {}
    for cell in cells:
        if cell.arm == arm and cell.prompt in prompts:
            found.setdefault(cell.task, {})[cell.prompt] = None
    everything = [prompt for group in found.values() for prompt in group]
    return {task: list(group) for task, group in found.items()} | ({ALL: everything} if everything else {})


def _claim(
    run: str, arm: Arm, baseline: str, repeat: str | None, cells: Sequence[Cell], task: str, prompts: Collection[str],
    confirming: bool, suspect: bool,
) -> Claim | None:  # fmt: skip
    """None if nothing of it was measured."""
    pairs = pairs_of(cells, arm.name, baseline, prompts)
    if not pairs.count and not pairs.left_out:
        return None
    floor, disturbed = _floor(cells, baseline, repeat, prompts)
    ratios = list(pairs.ratios.values())
    ratio = ratio_of(ratios) if ratios else Ratio(UNKNOWN, UNKNOWN, UNKNOWN, 0, 0)
    verdict, reason = verdict_of(ratio, floor)
    if arm.role == "repeat":
        verdict, reason = "no difference seen", "the same configuration under two names"
    if pairs.share_left_out > LEFT_OUT:
        verdict, reason = "tainted", ""
    elif disturbed and verdict_of(ratio, 0.0)[0] != "no difference seen":
        verdict, reason = "tainted", f"the noise floor is unknown, of identical arms {disturbed}"
    elif suspect and verdict == "faster":
        verdict, reason = "tainted", "it is faster even where nothing was drafted: no draft explains it"
    return Claim(
        id="/".join([run, arm.name, task, *([HELD_OUT] if confirming else [])]),
        run=run,
        arm=arm.name,
        baseline=baseline,
        task=task,
        value=ratio.value,
        low=ratio.low,
        high=ratio.high,
        prompts=ratio.prompts,
        pairs=ratio.pairs,
        detectable=UNKNOWN if math.isnan(floor) else max(detectable(ratios), floor),
        floor=floor,
        verdict=verdict,
        standing="observation" if math.isnan(floor) else _standing(arm, pairs, verdict, confirming),
        reason="; ".join(filter(None, [reason, pairs.losses, "on prompts it was not chosen on" if confirming else ""])),
    )


def _floor(cells: Sequence[Cell], baseline: str, repeat: str | None, prompts: Collection[str]) -> tuple[float, str]:
    """The noise floor on these prompts; and, where it is unknown, what was lost of identical arms' pairs."""
    if repeat is None:
        return 0.0, ""
    same = pairs_of(cells, repeat, baseline, prompts)
    floor = floor_of(same)
    return floor, same.losses if math.isnan(floor) else ""


def _standing(arm: Arm, pairs: Pairs, verdict: Verdict, confirming: bool) -> Standing:
    if pairs.count < LEAST_PAIRS or pairs.repetitions < 2:
        return "observation"
    if arm.role != "candidate":
        return "baseline"
    return "optimum" if confirming and verdict == "faster" else "candidate"


def _faster_without_drafts(
    run: str, control: Arm, baseline: str, repeat: str | None, cells: Sequence[Cell], prompts: Collection[str]
) -> bool:
    if any(cell.figures.get("drafted") for cell in cells if cell.arm == control.name):
        return False
    claim = _claim(run, control, baseline, repeat, cells, ALL, prompts, False, False)
    return claim is not None and claim.verdict == "faster"
