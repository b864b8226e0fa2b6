"""The winner again, on prompts it was not chosen on: only what holds there becomes a profile (requirement R4)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slipstream.bench.statistics import Ratio
from slipstream.bench.verdict import verdict_of
from slipstream.bench.workload import Prompt
from slipstream.tune.configuration import DEFAULT, Configuration
from slipstream.tune.objective import Figure
from slipstream.tune.race import Launch, Race, failure

LEAST_PAIRS = 3
MOST_PAIRS = 10
"""Pairs of launches, each of all held-out prompts."""
SLACK = 1.15
"""By how much the least pairs may take longer than expected."""
NOTHING = Ratio(1.0, 1.0, 1.0, 0, 0)
OTHER: Mapping[Figure, Figure] = {"request": "decode", "decode": "request"}


@dataclass(frozen=True, slots=True)
class Check:
    """The winner against the default settings on held-out prompts: by the objective, in its `ratios` by prompt, and by
    the `other` figure (decoding alone for whole requests, and the reverse). `floor` is the ratio that an identical
    configuration reaches by luck. `reason` says why it was adopted or not."""

    winner: Configuration
    ratio: Ratio
    other: Ratio
    ratios: Mapping[str, Sequence[float]]
    floor: float
    launches: int
    adopted: bool
    reason: str


def judge(ratio: Ratio, other: Ratio, floor: float) -> tuple[bool, str]:
    """Whether a winner is adopted: faster by the objective, beyond the noise floor and with its whole interval, and not
    slower by the other figure. A tie goes to the simpler setting, and that is the default. `floor` is a ratio."""
    verdict, why = verdict_of(ratio, floor - 1)
    if verdict != "faster":
        return False, why or "it is slower on prompts it was not chosen on"
    if other.value * floor < 1:
        return False, f"what is not the objective becomes slower: {other.value:.2f}x"
    return True, "faster on prompts it was not chosen on"


def check(race: Race, winner: Configuration, prompts: Sequence[Prompt], until: float, least: int = 1) -> Check:
    """Pairs of fresh launches, the two in alternating order, as many as end before `until` on the race's account. With
    fewer than three it isn't adopted, so that the last of the prompts are left out where time is short, down to the
    first `least`. The default settings' launches go into the noise floor, as they did before.
    """
    count = len(prompts)
    while count > least and race.spent + SLACK * LEAST_PAIRS * race.cost([winner], count) > until:
        count -= 1
    prompts = prompts[:count]
    ratios: dict[str, list[float]] = {}
    others: dict[str, list[float]] = {}
    launches = 0
    failed = ""
    earlier: Launch | None = None
    while launches < MOST_PAIRS and not failed:
        if race.spent + race.cost([winner], len(prompts)) > until:
            break
        order = (DEFAULT, winner) if launches % 2 == 0 else (winner, DEFAULT)
        found = {one.key: race.timed(one, prompts, f"held-out prompts, {one.name}") for one in order}
        plain, tuned = found[DEFAULT.key], found[winner.key]
        if earlier is not None:
            race.add_noise(earlier, plain)
        earlier = plain
        launches += 1
        failed = failure(tuned.cells, {cell.prompt for cell in plain.cells if cell.status == "ok"})
        for into, figure in ((ratios, race.objective.figure), (others, OTHER[race.objective.figure])):
            for prompt, pair in race.pairs(tuned, plain, plain, figure=figure).items():
                into.setdefault(prompt, []).append(pair)
    if not failed and launches < LEAST_PAIRS:
        failed = "time was too short to check it on held-out prompts (--minutes)"
    floor = math.exp(race.noise.floor(launches))
    if failed or not ratios:
        why = failed or "no pair of answers counts"
        return Check(winner, NOTHING, NOTHING, {}, floor, launches, False, why)
    ratio, other = race.objective.ratio(ratios), race.objective.ratio(others)
    adopted, why = judge(ratio, other, floor)
    return Check(winner, ratio, other, ratios, floor, launches, adopted, why)
