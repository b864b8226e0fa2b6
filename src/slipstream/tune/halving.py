"""The search: many configurations on little, the better half on twice as much, and so on, crossing what did well.

Successive halving (Jamieson and Talwalkar 2016). As the order of the changes tells much about which of them add up, a
rung also tries unions of what did well alone; and as ties go to the simpler setting, the winner is at last measured
beside itself with single changes turned back.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import harmonic_mean

from slipstream.bench.workload import Prompt
from slipstream.tune.configuration import DEFAULT, Configuration
from slipstream.tune.quality_limit import Judgement
from slipstream.tune.race import Race

NOISE_LAUNCHES = 4
NOISE = 0.2
"""Share of the search's time that the noise floor may take: every anchor adds to it later."""
MOST_KEPT = 8
UNIONS = 4
"""Configurations and unions that go on from the first rung; half as many from each that follows."""
MOST_RUNGS = 5
SIMPLIFYING = 1
"""Changes are turned back on as many prompts as the rung of this number has, counted from 0."""
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
        noise = self.race.spent + NOISE * (self.until - self.race.spent)
        self.race.measure_noise(self._some(1), NOISE_LAUNCHES, noise)
        for number in range(MOST_RUNGS):
            first = self.race.spent + FIRST_RUNG * (self.until - self.race.spent)
            until = first if number == 0 else self.until - self._reserve(alive)
            ranked = self._rung(f"rung {number + 1}", number, alive, until)
            if number == 0 and self.untried and ranked and self._ties(DEFAULT, ranked[0]):
                # There is nothing yet to keep the time for.
                ranked = self._best_first([*ranked, *self._rung("rung 1, the rest", 0, self.untried, self.until)])
            if not ranked:
                break
            self.choice = DEFAULT if self._ties(DEFAULT, ranked[0]) else ranked[0]
            kept = ranked[: max(1, min(MOST_KEPT >> number, len(ranked) // 2))]
            kept = [one for one in kept if self.race.score(one) > -self._floor(one)]
            unions = self._admitted(self._unions(ranked)[: max(1, UNIONS >> number)])
            if not kept or (len(ranked) == 1 and not unions):
                break
            alive = [*unions, *kept]
        self._look_at_the_rest()
        if not self._simplify():
            self.choice = self._simplest()
        return self.choice

    @property
    def untried(self) -> list[Configuration]:
        """What time was too short for."""
        return [one for one in self.opening if self._new(one)]

    def _look_at_the_rest(self) -> None:
        """What the first rung had no time for, if the others left some: it may beat the choice, or join it."""
        until = self.until - self._reserve([self.choice])
        ranked = self._rung("what was left", 0, self.untried, until)
        better = [one for one in ranked if self.race.score(one) > self._floor(one)]
        if not better:
            return
        rivals = (self.choice, better[0].joined(self.choice)) if self.choice.choices else ()
        others = self._admitted([one for one in rivals if one is not None])
        ranked = self._rung("the best of it", SIMPLIFYING, [better[0], *others], until) or better
        if not self._ties(self.choice, ranked[0]):
            self.choice = ranked[0]

    def _best_first(self, configurations: Iterable[Configuration]) -> list[Configuration]:
        return sorted(configurations, key=lambda one: -self.race.score(one))

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
        ranked = self._best_first(one for one in tried if not self.race.entry(one).reason)
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

    def _reserve(self, alive: Sequence[Configuration]) -> float:
        """Seconds to be left for simplifying one of these: without that whatever was lucky in the first rung would ride
        along in a union."""
        most = max(alive, key=lambda one: len(one.choices), default=DEFAULT)
        simpler = [most.without(choice) for choice in most.choices]
        prompts = 2**SIMPLIFYING * len(self.prompts)
        # An anchor more, to begin with; and what is left without all that wasn't missed.
        return self.race.cost([most, *simpler, DEFAULT, most, most], prompts) if len(simpler) > 1 else 0.0

    def _simplify(self) -> bool:
        """Take the changes that bring nothing out of the choice: it is measured beside itself with each turned back,
        and with all of those together that weren't missed. False if time was too short to know."""
        while len(self.choice.choices) > 1:
            whole = self.choice
            # What did least alone comes first: it is the likeliest to go, and time may be short.
            changes = sorted(whole.choices, key=lambda choice: self.race.score(Configuration((choice,))))
            simpler = [whole.without(choice) for choice in changes]
            ranked = self._rung("without each change", SIMPLIFYING, [whole, *simpler], self.until)
            tied = [one for one in ranked if one != whole and self._ties(one, whole)]
            known = all(self.race.entry(one).launches for one in simpler)
            if not tied:
                return known
            self.choice = tied[0]
            bare = Configuration(tuple(choice for choice in whole.choices if whole.without(choice) not in tied))
            if len(tied) > 1 and bare.choices:
                ranked = self._rung("without all of those", SIMPLIFYING, [whole, bare], self.until)
            if bare in (DEFAULT, *ranked) and self._ties(bare, whole):
                self.choice = bare
                return known
            # Each can stand in for another: they go one at a time.
        return True

    def _simplest(self) -> Configuration:
        """Of the choice, all that was measured with fewer changes of it, and the default settings, the simplest that
        can't be told from the choice."""
        measured = [entry.configuration for entry in self.race.entries.values() if entry.launches and not entry.reason]
        fewer = [one for one in measured if all(choice in self.choice.choices for choice in one.choices)]
        tied = [one for one in (DEFAULT, self.choice, *fewer) if self._ties(one, self.choice)]
        return min(tied, key=lambda one: (len(one.choices), -self.race.score(one)))

    def _ties(self, one: Configuration, best: Configuration) -> bool:
        """Whether one is not slower than the best beyond what two equals differ by, launched as often as these."""
        counts = [float(self.race.entry(found).launches) for found in (one, best) if found.choices]
        floor = self.race.noise.floor(harmonic_mean(counts)) if counts and all(counts) else math.inf
        return self.race.score(one) >= self.race.score(best) - floor

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
