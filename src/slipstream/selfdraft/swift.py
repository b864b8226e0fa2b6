"""SWIFT's search (arXiv 2410.06916): random sets, every 25th proposed by Bayesian optimisation; the best one wins."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slipstream.control.measure import Progress
from slipstream.core.errors import RequestError
from slipstream.core.ports import Clock
from slipstream.core.skip import SkipSet
from slipstream.selfdraft.gaussian import GaussianProcess
from slipstream.selfdraft.sublayers import from_sublayers, left_out, to_sublayers

POOL = 512
"""Random sets that Bayesian optimisation chooses among, beside neighbours of the best."""
NEIGHBOURS_OF = 3
SAVE_EVERY = 10
RANDOM_TRIES = 50

Objective = Callable[[SkipSet], float]


@dataclass(frozen=True, slots=True)
class SwiftSettings:
    """`ratio` of the sub-layers between first and last block is left out. The search ends at `max_score`, after
    `patience` candidates without a better one, or after `candidates`. `blocks_only` leaves out whole blocks. Every
    `bayes_every`-th candidate comes from Bayesian optimisation. Defaults are the paper's."""

    ratio: float = 0.45
    candidates: int = 1000
    max_score: float = 0.93
    patience: int = 300
    bayes_every: int = 25
    blocks_only: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.ratio < 1:
            raise RequestError(f"ratio is {self.ratio}", hint="the share of sub-layers to leave out: above 0, below 1")
        for name, value in (("candidates", self.candidates), ("patience", self.patience)):
            if value < 1:
                raise RequestError(f"{name} is {value}", hint="at least 1")


@dataclass(slots=True)
class SwiftState:
    """What was tried so far and how it scored, in order: all that a search needs to go on where it was."""

    tried: dict[SkipSet, float] = field(default_factory=dict)
    ended: str = ""

    @property
    def best(self) -> tuple[SkipSet, float]:
        """The first of the best ones. ValueError if nothing was tried."""
        return max(self.tried.items(), key=lambda item: item[1])

    @property
    def since_best(self) -> int:
        """Candidates after the best one."""
        return len(self.tried) - 1 - list(self.tried).index(self.best[0]) if self.tried else 0

    def to_json(self) -> Any:
        """For JSON."""
        tried = [[skip.attention, skip.feed_forward, score] for skip, score in self.tried.items()]
        return {"tried": tried, "ended": self.ended}

    @classmethod
    def from_json(cls, value: Any) -> "SwiftState":
        """Raises KeyError, TypeError or ValueError for anything that `to_json` didn't write."""
        tried = {SkipSet(tuple(attention), tuple(feed)): float(score) for attention, feed, score in value["tried"]}
        return cls(tried, str(value["ended"]))


def search(
    objective: Objective,
    block_count: int,
    settings: SwiftSettings,
    clock: Clock,
    *,
    state: SwiftState | None = None,
    seconds: float | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
    save: Callable[[SwiftState], None] = lambda state: None,
) -> SwiftState:
    """Try sets, an evenly spaced one first, until one of the limits ends it; `seconds` limits this call alone. The same
    settings and `state` go on exactly as an uninterrupted search would. `save` gets the state after every better
    candidate and every tenth. RequestError if there is nothing to leave out.
    """
    candidates = _Candidates(block_count, settings)
    state = state or SwiftState()
    deadline = None if seconds is None else clock() + seconds
    while not (ended := _ended(state, settings)):
        # One candidate at least: a budget too short for anything would leave no result.
        if state.tried and deadline is not None and clock() >= deadline:
            state.ended = "seconds"
            break
        skip = candidates.next(state)
        if skip is None:
            ended = "every set was tried"
            break
        best = state.best[1] if state.tried else -1.0
        report(Progress(len(state.tried), settings.candidates, f"best {max(best, 0.0):.1%}"))
        state.tried[skip] = objective(skip)
        if state.tried[skip] > best or len(state.tried) % SAVE_EVERY == 0:
            save(state)
    state.ended = ended or state.ended
    report(Progress(len(state.tried), settings.candidates, f"best {state.best[1]:.1%}"))
    save(state)
    return state


def _ended(state: SwiftState, settings: SwiftSettings) -> str:
    if not state.tried:
        return ""
    if state.best[1] > settings.max_score:
        return "good enough"
    if state.since_best >= settings.patience:
        return "no better one for long"
    return "candidates" if len(state.tried) >= settings.candidates else ""


class _Candidates:
    """Draws sets of the wanted size; what is drawn depends on the settings and on what was tried alone."""

    def __init__(self, block_count: int, settings: SwiftSettings) -> None:
        self.settings = settings
        self.units = max(0, block_count - 2) * (1 if settings.blocks_only else 2)
        wanted = left_out(block_count, settings.ratio)
        self.count = wanted // 2 if settings.blocks_only else wanted
        if not 0 < self.count <= self.units:
            raise RequestError(
                f"a ratio of {settings.ratio:g} leaves out nothing of {block_count} blocks", hint="raise the ratio"
            )

    def next(self, state: SwiftState) -> SkipSet | None:
        """The next set to try, never one tried before; None if there is none left."""
        even = self.to_skip(np.linspace(0, self.units - 1, self.count).round().astype(int))
        if even not in state.tried:
            return even
        number = len(state.tried) + 1
        random = np.random.default_rng((self.settings.seed, number))
        if number % self.settings.bayes_every == 0:
            return self._proposed(state, random)
        for _ in range(RANDOM_TRIES):
            skip = self.to_skip(random.permutation(self.units)[: self.count])
            if skip not in state.tried:
                return skip
        return self._proposed(state, random)

    def to_skip(self, chosen: Sequence[int] | NDArray[Any]) -> SkipSet:
        """Units count from the second block on: sub-layers as they run, or whole blocks."""
        numbers = sorted(int(unit) for unit in chosen)
        if self.settings.blocks_only:
            return SkipSet.of_blocks(tuple(unit + 1 for unit in numbers))
        return from_sublayers([unit + 2 for unit in numbers])

    def _to_row(self, skip: SkipSet) -> NDArray[np.bool_]:
        row = np.zeros(self.units, np.bool_)
        if self.settings.blocks_only:
            row[[block - 1 for block in skip.blocks]] = True
        else:
            row[[sublayer - 2 for sublayer in to_sublayers(skip)]] = True
        return row

    def _proposed(self, state: SwiftState, random: np.random.Generator) -> SkipSet | None:
        """The set with the largest expected improvement among random ones and neighbours of the best."""
        rows = np.array([self._to_row(skip) for skip in state.tried])
        process = GaussianProcess(rows, list(state.tried.values()))
        pool = [random.permutation(self.units) < self.count for _ in range(POOL)]
        for skip, _ in sorted(state.tried.items(), key=lambda item: -item[1])[:NEIGHBOURS_OF]:
            pool.extend(_swaps(self._to_row(skip)))
        fresh = [row for row in pool if self.to_skip(np.flatnonzero(row)) not in state.tried]
        if not fresh:
            return None
        gains = process.expected_improvement(np.array(fresh), state.best[1])
        return self.to_skip(np.flatnonzero(fresh[int(gains.argmax())]))


def _swaps(row: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Every set with one member exchanged."""
    swapped = []
    for member in np.flatnonzero(row):
        for other in np.flatnonzero(~row):
            neighbour = row.copy()
            neighbour[member], neighbour[other] = False, True
            swapped.append(neighbour)
    return swapped
