"""A tuning from its first launch to what it leaves behind: a profile, and a claim with the cells it rests on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from slipstream.bench.cell import Arm
from slipstream.bench.claim import Claim
from slipstream.bench.schedule import hold_out
from slipstream.bench.verdict import detectable, verdict_of
from slipstream.bench.workload import Prompt
from slipstream.core.errors import RequestError
from slipstream.profile import Evidence, Profile
from slipstream.tune.configuration import DEFAULT, Configuration
from slipstream.tune.halving import Admits, Search
from slipstream.tune.objective import Figure, Objective
from slipstream.tune.quality_limit import Judgement
from slipstream.tune.race import Measure, Race
from slipstream.tune.winner import Check, check

SEARCH = 0.7
"""Share of the time that the search may take; the rest is for the winner on held-out prompts."""
MOST_HELD = 4
"""Held-out prompts of each task class, at most."""
KIND = "tune"


@dataclass(frozen=True, slots=True)
class Task:
    """Prompts of one task class, parted: those that configurations are chosen on, and those that they are not."""

    name: str
    weight: float
    chosen: tuple[Prompt, ...]
    held: tuple[Prompt, ...]


@dataclass(frozen=True, slots=True)
class Tuned:
    """How a tuning ended. `check` is None if nothing beat the default settings in the search."""

    search: Search
    check: Check | None

    @property
    def adopted(self) -> Configuration:
        """The configuration that becomes the profile."""
        return self.check.winner if self.check and self.check.adopted else DEFAULT


def part(name: str, weight: float, prompts: Sequence[Prompt]) -> Task:
    """A task class with every other prompt held out. RequestError if there is only one prompt."""
    chosen, held = hold_out([(prompt.id, name) for prompt in prompts])
    if not held:
        raise RequestError(
            f"task {name!r} has one prompt: a winner must be checked on another",
            hint="give more prompts with --workload, or leave the task out",
        )
    by_id = {prompt.id: prompt for prompt in prompts}
    return Task(name, weight, tuple(by_id[one] for one in chosen), tuple(by_id[one] for one in held[:MOST_HELD]))


def race_of(
    tasks: Sequence[Task],
    figure: Figure,
    measure: Measure,
    pause: Callable[[float], None],
    told: Callable[[float, str], None],
) -> Race:
    """A race over the prompts of these tasks."""
    classes = {prompt.id: task.name for task in tasks for prompt in (*task.chosen, *task.held)}
    return Race(measure, Objective({task.name: task.weight for task in tasks}, classes, figure), pause, told)


def tune(
    race: Race,
    tasks: Sequence[Task],
    opening: Sequence[Configuration],
    seconds: float,
    admits: Admits = lambda configuration: Judgement(True, ""),
    begun: Callable[[Search], None] = lambda search: None,
) -> Tuned:
    """Search for `SEARCH` of the seconds, then check the winner. `begun` is given the search before it starts, so that
    what it has is there if it is interrupted. Raises DegenerateObjective."""
    search = Search(race, {task.name: task.chosen for task in tasks}, SEARCH * seconds, admits)
    begun(search)
    winner = search.run(opening)
    if not winner.choices:
        return Tuned(search, None)
    held = [task.held[index] for index in range(MOST_HELD) for task in tasks if index < len(task.held)]
    return Tuned(search, check(race, winner, held, seconds, least=len(tasks)))


def profile_of(tuned: Tuned, base: Profile, files: Mapping[str, str], run: str, made: float) -> Profile:
    """What is kept of a tuning: its options over those of `base`, under which everything was measured. `files` are
    identities by path of all that configurations may name."""
    options, found = tuned.adopted.options, tuned.check
    if found is not None and found.adopted:
        ratio = found.ratio
        evidence = Evidence(
            kind=KIND, run=run, value=ratio.value, low=ratio.low, high=ratio.high, prompts=ratio.prompts,
            pairs=ratio.pairs, held_out=True, options=tuple(options),
        )  # fmt: skip
    else:
        evidence = Evidence(kind=KIND, run=run, note="nothing else is faster here")
    named = {name: files[name] for name in options.values() if isinstance(name, str) and name in files}
    return replace(
        base,
        options={**base.options, **options},
        files={**base.files, **named},
        evidence=(*base.evidence, evidence),
        made=made,
    )


def arms_of(race: Race, settings: Callable[[Configuration], Mapping[str, Any]]) -> tuple[Arm, ...]:
    """Everything that was measured, as the result store keeps it: the default settings first. `settings` are all that a
    configuration ran with."""
    measured = {cell.arm for cell in race.cells}
    found = [entry.configuration for entry in race.entries.values() if entry.configuration.name in measured]
    rest = [Arm(name=one.name, configuration={"settings": settings(one)}) for one in found if one.choices]
    return Arm(name=DEFAULT.name, role="baseline", configuration={"settings": settings(DEFAULT)}), *rest


def claim_of(found: Check, run: str, figure: Figure) -> Claim:
    """What the check says, for the result store."""
    what = "of the whole request" if figure == "request" else "of decoding"
    verdict, why = verdict_of(found.ratio, found.floor - 1)
    return Claim(
        id=f"{run}/{found.winner.name}/all/held-out",
        run=run,
        arm=found.winner.name,
        baseline=DEFAULT.name,
        task="all",
        value=found.ratio.value,
        low=found.ratio.low,
        high=found.ratio.high,
        prompts=found.ratio.prompts,
        pairs=found.ratio.pairs,
        detectable=max(detectable(list(found.ratios.values())), found.floor - 1),
        floor=found.floor - 1,
        verdict=verdict,
        standing="optimum" if found.adopted else "candidate",
        reason="; ".join(filter(None, [why, f"tokens a second {what}, on prompts it was not chosen on"])),
    )
