"""Runs configurations beside an anchor, the default settings: each is judged by what was measured next to it."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from slipstream.bench.cell import Cell
from slipstream.bench.workload import Prompt
from slipstream.tune.configuration import DEFAULT, Configuration
from slipstream.tune.noise import Noise
from slipstream.tune.objective import DegenerateObjective, Figure, Objective, require_real

DRIFT = 0.10
"""Anchors on both sides of a group may differ by so much: beyond it the group's measurements are thrown away."""
ATTEMPTS = 3
PAUSE = 15.0
"""Seconds for the machine to come to rest before a group is measured again."""
GROUP = 3
"""Configurations between two anchors."""
BUSY = "other work on the machine disturbs every measurement: try again when it is quiet"


@dataclass(frozen=True, slots=True)
class Launch:
    """One configuration opened afresh and run through some prompts: a cell each, the seconds it all took, and those of
    them that went by before the first prompt."""

    cells: tuple[Cell, ...]
    seconds: float
    opening: float = 0.0


class Measure(Protocol):
    """Opens a configuration afresh, runs the prompts, and closes it. What can't be opened gives failed cells with the
    reason; so nothing is raised but KeyboardInterrupt."""

    def __call__(self, configuration: Configuration, prompts: Sequence[Prompt], /) -> Launch: ...


@dataclass(slots=True)
class Entry:
    """What is known of a configuration: ratios to the anchors beside it by prompt, one a launch; `reason` says why it
    is out of the race, "" if it is not. `opening` and `answering` are the seconds that its last launch took to open and
    for a prompt."""

    configuration: Configuration
    ratios: dict[str, list[float]] = field(default_factory=dict)
    launches: int = 0
    opening: float = 0.0
    answering: float = 0.0
    reason: str = ""


@dataclass(slots=True)
class Race:
    """Measures, and keeps what was measured, by configuration. `pause` waits so many seconds; `spent` counts seconds of
    measuring and waiting: the search goes by them and by no clock, so that it can be repeated from a record."""

    measure: Measure
    objective: Objective
    pause: Callable[[float], None] = lambda seconds: None
    told: Callable[[float, str], None] = lambda spent, what: None
    noise: Noise = field(default_factory=Noise)
    entries: dict[str, Entry] = field(default_factory=dict)
    spent: float = 0.0
    first_opening: float = 0.0
    """The most seconds that a configuration took to open: at first sight its verify-cost curve is measured."""
    thrown_away: int = 0
    cells: list[Cell] = field(default_factory=list)
    _seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    _last: Launch | None = None
    _last_prompts: tuple[str, ...] = ()

    def entry(self, configuration: Configuration) -> Entry:
        """The entry of a configuration, made on first sight."""
        return self.entries.setdefault(configuration.key, Entry(configuration))

    def score(self, configuration: Configuration) -> float:
        """Speed against the default settings, as a log ratio; minus infinity for what is out of the race."""
        found = self.entry(configuration)
        if not configuration.choices:
            return 0.0
        return math.log(self.objective.score(found.ratios)) if found.launches and not found.reason else -math.inf

    def measure_noise(self, prompts: Sequence[Prompt], launches: int, until: float = math.inf) -> None:
        """The default settings again and again: the first launch only warms caches and measures what is kept of a
        model; the others, two at least and no more than end before `until`, tell how far equals come apart. Raises
        DegenerateObjective."""
        for number in range(launches + 1):
            if number > 2 and self.spent + self.cost([DEFAULT], len(prompts), anchors=0) > until:
                break
            earlier = self._last
            self._anchor(prompts, f"noise floor, {number} of {launches}", fresh=True)
            if number > 1 and earlier is not None and self._last is not None:
                self.add_noise(earlier, self._last)
        if not self.noise.logs:
            raise DegenerateObjective("no two launches of the default settings can be compared", hint=BUSY)

    def add_noise(self, first: Launch, second: Launch) -> None:
        """Two launches of the default settings that should have been equal; forgotten if they can't be compared."""
        ratio = self._between(first, second)
        if math.isfinite(ratio):
            self.noise.add(ratio)

    def run(self, candidates: Sequence[Configuration], prompts: Sequence[Prompt], until: float) -> list[Configuration]:
        """One launch of each candidate on these prompts, in groups between anchors. Returns those that were measured:
        what would not end before `spent` reaches `until` is left alone."""
        done: list[Configuration] = []
        left = [one for one in candidates if not self.entry(one).reason]
        while left:
            count = min(GROUP, len(left))
            while count and self.spent + self.cost(left[:count], len(prompts)) > until:
                count -= 1
            if not count:
                break
            group, left = left[:count], left[count:]
            self._group(group, prompts, until)
            done += group
        return done

    def cost(self, candidates: Sequence[Configuration], prompts: int, anchors: int | None = None) -> float:
        """Seconds that a launch of each takes on so many prompts, about, with an anchor behind every group, or so many
        `anchors`. What was never launched is taken to answer as the default settings do, and to open as slowly as
        anything did."""
        if anchors is None:
            anchors = math.ceil(len(candidates) / GROUP)
        default = self.entry(DEFAULT)
        found = [self.entry(one) for one in candidates]
        openings = sum(one.opening if one.answering else self.first_opening for one in found)
        answers = sum(one.answering or default.answering for one in found)
        return openings + prompts * answers + anchors * (default.opening + prompts * default.answering)

    def _group(self, group: Sequence[Configuration], prompts: Sequence[Prompt], until: float) -> None:
        for attempt in range(ATTEMPTS):
            before = self._anchor(prompts, "default settings")
            launches = [(one, self._launch(one, prompts, before)) for one in group if not self.entry(one).reason]
            if not launches:
                return
            after = self._anchor(prompts, "default settings", fresh=True)
            drift = self._between(before, after)
            # A machine whose equals differ by more than that can't be held to it.
            if abs(math.log(drift)) <= max(DRIFT, self.noise.floor()):
                self.noise.add(drift)
                for number, (one, launch) in enumerate(launches, 1):
                    self._take(one, self.pairs(launch, before, after, number / (len(launches) + 1)))
                return
            self.thrown_away += len(launches)
            if attempt + 1 == ATTEMPTS or self.spent + PAUSE + self.cost(group, len(prompts)) > until:
                break
            self.pause(PAUSE)
            self.spent += PAUSE
            self._last = None
        for one in (one for one, _ in launches if not self.entry(one).reason):
            self.entry(one).reason = "the machine was unsteady: the default settings beside it didn't hold their speed"

    def _take(self, configuration: Configuration, pairs: dict[str, float]) -> None:
        found = self.entry(configuration)
        if not pairs:
            found.reason = found.reason or "no answer counts beside the default settings'"
            return
        for prompt, ratio in pairs.items():
            found.ratios.setdefault(prompt, []).append(ratio)
        found.launches += 1

    def pairs(
        self, launch: Launch, before: Launch, after: Launch, place: float = 0.5, figure: Figure | None = None
    ) -> dict[str, float]:
        """Ratio of tokens a second by prompt, where all cells count, to what the default settings would have given at
        that `place` between the two launches of theirs (0 to 1): between them the machine drifts evenly, as far as one
        can know."""
        first, second = self._rates(before, figure), self._rates(after, figure)
        found = {}
        for prompt, rate in self._rates(launch, figure).items():
            if prompt in first and prompt in second:
                found[prompt] = rate / (first[prompt] ** (1 - place) * second[prompt] ** place)
        return found

    def _rates(self, launch: Launch, figure: Figure | None) -> dict[str, float]:
        return {cell.prompt: self.objective.rate(cell, figure) for cell in launch.cells if counts(cell)}

    def _between(self, first: Launch, second: Launch) -> float:
        """The second launch against the first; infinite if no prompt counts in both."""
        pairs = self.pairs(second, first, first)
        return self.objective.score({prompt: [ratio] for prompt, ratio in pairs.items()}) if pairs else math.inf

    def _anchor(self, prompts: Sequence[Prompt], what: str, fresh: bool = False) -> Launch:
        """A launch of the default settings: the last one, if nothing was measured since and `fresh` doesn't forbid."""
        names = tuple(prompt.id for prompt in prompts)
        if fresh or self._last is None or self._last_prompts != names:
            launch = self.timed(DEFAULT, prompts, what)
            require_real(launch.cells)
            self._last, self._last_prompts = launch, names
        return self._last

    def _launch(self, configuration: Configuration, prompts: Sequence[Prompt], anchor: Launch) -> Launch:
        launch = self.timed(configuration, prompts, configuration.name)
        found = self.entry(configuration)
        found.reason = failure(launch.cells, {cell.prompt for cell in anchor.cells if counts(cell)})
        return launch

    def timed(self, configuration: Configuration, prompts: Sequence[Prompt], what: str) -> Launch:
        """One launch, on the account, its cells kept with the number of earlier ones as repetition."""
        self.told(self.spent, what)
        entry = self.entry(configuration)
        launch = self.measure(entry.configuration, prompts)
        self.spent += launch.seconds
        entry.opening, entry.answering = launch.opening, (launch.seconds - launch.opening) / len(prompts)
        self.first_opening = max(self.first_opening, launch.opening)
        for cell in launch.cells:
            self.cells.append(replace(cell, repetition=self._seen[cell.arm, cell.prompt]))
            self._seen[cell.arm, cell.prompt] += 1
        return launch


def counts(cell: Cell) -> bool:
    """Whether a cell's speed may rank: an answer that somebody wants, with tokens, and a timing to be believed."""
    return cell.status == "ok" and cell.tokens > 0 and cell.seconds > 0


def failure(cells: Sequence[Cell], good: Collection[str]) -> str:
    """Why a configuration is out of the race for good: on one of the prompts that are `good` with the default settings
    it failed, or gave garbage in place of an answer."""
    bad = next((cell for cell in cells if cell.status in ("failed", "garbage") and cell.prompt in good), None)
    return f"{bad.reason or bad.status} ({bad.prompt})" if bad else ""
