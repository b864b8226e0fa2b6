"""The search: many configurations on little, the better half on twice as much, and so on, crossing what did well.

Successive halving (Jamieson and Talwalkar 2016). As the order of the changes tells much about which of them add up, a
rung also tries unions of what did well alone; and as ties go to the simpler setting, the winner is at last measured
beside itself with single changes turned back.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from slipstream.bench.workload import Prompt
from slipstream.tune.configuration import DEFAULT, Configuration
from slipstream.tune.quality_limit import Judgement
from slipstream.tune.race import Race

NOISE_LAUNCHES = 4
MOST_KEPT = 8
UNIONS = 4
"""Configurations and unions that go on from the first rung; half as many from each that follows."""
MOST_RUNGS = 5
FIRST_RUNG = 0.6
"""Share of the search's time that the first rung may take: it has by far the most configurations."""

Admits = Callable[[Configuration], Judgement]


@dataclass(frozen=True, slots=True)
class Row:
    """One configuration in a rung: its speed against the default settings so far, what an identical one would reach by
    luck, and what became of it."""

    configuration: Configuration
    speed: float
    floor: float
    fate: str


@dataclass(frozen=True, slots=True)
class Rung:
    """What was run how often on how many prompts of each task, the best first."""

    name: str
    prompts: int
    launches: int
    rows: tuple[Row, ...]


@dataclass(slots=True)
class Search:
    """The course of a search. `choice` is what it came to: the default settings if nothing beats them beyond the noise
    floor."""

    race: Race
    prompts: Mapping[str, Sequence[Prompt]]
    """By task class, in the order in which they are used."""
    until: float
    """Seconds on the race's account at which measuring ends."""
    admits: Admits = lambda configuration: Judgement(True, "")
    rungs: list[Rung] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """Configurations whose quality is beyond the limit, by name, with the reason."""
    choice: Configuration = DEFAULT
    opening: Sequence[Configuration] = ()

    def run(self, opening: Sequence[Configuration]) -> Configuration:
        """The best configuration. Raises DegenerateObjective."""
        self.opening = alive = self._admitted(opening)
        self.race.measure_noise(self._some(1), NOISE_LAUNCHES)
        for number in range(MOST_RUNGS):
            until = self.race.spent + FIRST_RUNG * (self.until - self.race.spent) if number == 0 else self.until
            ranked = self._rung(f"rung {number + 1}", number, alive, until)
            if not ranked:
                break
            self.choice = self._simplest(ranked)
            kept = ranked[: max(1, min(MOST_KEPT >> number, len(ranked) // 2))]
            kept = [one for one in kept if self.race.score(one) > -self._floor(one)]
            unions = self._admitted(self._unions(ranked)[: max(1, UNIONS >> number)])
            if not kept or (len(ranked) == 1 and not unions):
                break
            alive = [*unions, *kept]
        return self._simplified(min(number, 2))

    @property
    def untried(self) -> list[Configuration]:
        """What time was too short for."""
        return [one for one in self.opening if self._new(one)]

    def _new(self, configuration: Configuration) -> bool:
        found = self.race.entry(configuration)
        return not found.launches and not found.reason

    def _rung(self, name: str, number: int, candidates: Sequence[Configuration], until: float) -> list[Configuration]:
        """Measure them on 2^number prompts of each task, or in as many more launches as prompts are lacking; those that
        are still in the race, the best first."""
        there = min(len(found) for found in self.prompts.values())
        count = min(2**number, there)
        launches = max(1, 2**number // count)
        done: list[Configuration] = list(candidates)
        measured: set[str] = set()
        for _ in range(launches):
            done = self.race.run(done, self._some(count), until)
            measured |= {one.key for one in done}
        tried = [one for one in candidates if one.key in measured]
        ranked = sorted(tried, key=lambda one: -self.race.score(one))
        ranked = [one for one in ranked if not self.race.entry(one).reason]
        if tried:
            self.rungs.append(self._table(name, count, launches, tried, ranked))
        return ranked

    def _table(
        self, name: str, prompts: int, launches: int, tried: Sequence[Configuration], ranked: Sequence[Configuration]
    ) -> Rung:
        rows = [
            Row(one, math.exp(self.race.score(one)), math.exp(self._floor(one)), self._verdict(one)) for one in ranked
        ]
        out = [one for one in tried if self.race.entry(one).reason]
        rows += [Row(one, 0.0, math.exp(self._floor(one)), self.race.entry(one).reason) for one in out]
        return Rung(name, prompts, launches, tuple(rows))

    def _verdict(self, configuration: Configuration) -> str:
        score, floor = self.race.score(configuration), self._floor(configuration)
        return "faster" if score > floor else "slower" if score < -floor else "no difference seen"

    def _unions(self, ranked: Sequence[Configuration]) -> list[Configuration]:
        """All that did well together, and the best with each of the others; none that was measured before."""
        good = [one for one in ranked if self.race.score(one) > self._floor(one) / 2]
        if len(good) < 2:
            return []
        everything = good[0]
        for one in good[1:]:
            everything = everything.joined(one) or everything
        found = {one.key: one for one in (everything, *(good[0].joined(one) for one in good[1:])) if one is not None}
        return [one for one in found.values() if self._new(one)]

    def _simplified(self, number: int) -> Configuration:
        """The choice without the changes that bring nothing: measured beside it with each turned back, again and again
        until all that is left counts."""
        while len(self.choice.choices) > 1:
            simpler = [self.choice.without(choice) for choice in self.choice.choices]
            before = self.choice
            ranked = self._rung("without each change", number, [self.choice, *simpler], self.until)
            if self.choice.key not in {one.key for one in ranked}:
                break
            self.choice = self._simplest(ranked)
            if self.choice.key == before.key or not self.choice.choices:
                break
        return self.choice

    def _simplest(self, ranked: Sequence[Configuration]) -> Configuration:
        """Of those that can't be told from the best, and the default settings, the one with the fewest changes."""
        best = ranked[0]
        least = self.race.score(best) - self._floor(best)
        tied = [one for one in (DEFAULT, *ranked) if self.race.score(one) >= least]
        return min(tied, key=lambda one: (len(one.choices), -self.race.score(one)))

    def _floor(self, configuration: Configuration) -> float:
        return self.race.noise.floor(self.race.entry(configuration).launches)

    def _admitted(self, configurations: Sequence[Configuration]) -> list[Configuration]:
        """Those whose quality is within the limit."""
        found = []
        for one in configurations:
            judgement = self.admits(one)
            if judgement.good:
                found.append(one)
            else:
                self.refused[one.name] = judgement.reason
        return found

    def _some(self, count: int) -> list[Prompt]:
        """So many prompts of each task, one task after the other in turn."""
        return [found[index] for index in range(count) for found in self.prompts.values() if index < len(found)]
