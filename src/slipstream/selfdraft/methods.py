"""Every method by name, run on one bench: model, texts, costs, and the shelf where results are kept."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, TypeVar

from slipstream.control.measure import Progress
from slipstream.core.errors import RequestError, UnknownName
from slipstream.core.ports import Clock
from slipstream.core.skip import SkipSet
from slipstream.selfdraft import clasp, costs, knapsack, swift
from slipstream.selfdraft.found import Found, Shelf
from slipstream.selfdraft.hidden import HiddenStates
from slipstream.selfdraft.matchness import Matchness
from slipstream.selfdraft.ports import Masked
from slipstream.selfdraft.sublayers import left_out
from slipstream.selfdraft.texts import Text, digest

METHODS: Mapping[str, str] = MappingProxyType(
    {
        "swift": "random sets of sub-layers, every 25th from Bayesian optimisation (SWIFT)",
        "blocks": "the same with whole blocks",
        "clasp": "dynamic programme over whole blocks on hidden states (CLaSp)",
        "clasp-sublayers": "the same over attention and feed-forward apart",
        "knapsack": "sub-layers weighed by their latency; chooses how many to leave out (after KnapSpec)",
    }
)
WHOLE_BLOCKS = frozenset({"blocks", "clasp"})
SEARCHES = frozenset({"swift", "blocks"})
"""Methods that a budget ends; the others take a fixed number of passes."""

State = TypeVar("State")
Report = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Budget:
    """What ends a search: `candidates` in all, `seconds` in this run (None: no limit), or an agreement above `enough`
    (SWIFT's; with 1 it goes on as long as it may)."""

    candidates: int = 1000
    seconds: float | None = None
    enough: float = 0.93


@dataclass
class Bench:
    """What searches share. `texts` are answers of the target; the first `window` tokens of each are searched on, the
    rest is held out. `again` ignores searches kept from earlier runs."""

    model: Masked
    texts: Sequence[Text]
    shelf: Shelf
    task: str
    clock: Clock
    window: int = 48
    again: bool = False
    report: Report = field(default=lambda progress: None)

    def __post_init__(self) -> None:
        halves = [text.split(min(self.window, (len(text.answer) + 1) // 2)) for text in self.texts]
        self.seen = [first for first, _ in halves]
        self._held_out = [rest for _, rest in halves]

    @cached_property
    def matchness(self) -> Matchness:
        """The score that searches see."""
        return Matchness(self.model, self.seen)

    @cached_property
    def held_out(self) -> Matchness:
        """The score of results, on text that no search saw."""
        return Matchness(self.model, self._held_out)

    @cached_property
    def hidden(self) -> HiddenStates:
        return HiddenStates(self.model, self.seen)

    @cached_property
    def costs(self) -> costs.Costs:
        return costs.measure(self.model, self.seen[0], self.clock)

    def run(self, method: str, ratio: float, budget: Budget) -> Found:
        """Search, measure the result on held-out text, and keep it. An interrupted search is kept as well: the next
        call with the same texts and settings goes on there. UnknownName, RequestError (ratio), EngineError (the model
        doesn't show hidden states)."""
        if method not in METHODS:
            raise UnknownName("method", method, METHODS)
        if not 0 < ratio < 1:
            raise RequestError(f"ratio is {ratio:g}", hint="the share of sub-layers to leave out: above 0 and below 1")
        begin = self.clock()
        search = self._swift if method in SEARCHES else self._clasp if method.startswith("clasp") else self._knapsack
        skip, candidates = search(method, ratio, budget)
        agreement = self.matchness.agreement(skip)
        score = self.held_out.score(skip, own_context=True)
        choice = costs.choose_length(skip, score.agreement, self.costs)
        found = Found(
            skip=skip,
            method=method,
            ratio=skip.ratio(self.model.block_count),
            agreement=agreement,
            held_out=score.agreement,
            perplexity_ratio=score.perplexity_ratio,
            cost=choice.cost,
            length=choice.length,
            speedup=choice.speedup,
            candidates=candidates,
            seconds=self.clock() - begin,
            task=self.task,
        )
        self.shelf.add(found)
        return found

    def _swift(self, method: str, ratio: float, budget: Budget) -> tuple[SkipSet, int]:
        settings = swift.SwiftSettings(ratio, budget.candidates, budget.enough, blocks_only=method == "blocks")
        key = [method, ratio, digest(self.seen)]
        state = self._kept(key, swift.SwiftState.from_json) or swift.SwiftState()

        def save(state: swift.SwiftState) -> None:
            self.shelf.save_progress(self.task, key, state.to_json())

        try:
            swift.search(
                self.matchness.agreement,
                self.model.block_count,
                settings,
                self.clock,
                state=state,
                seconds=budget.seconds,
                report=self.report,
                save=save,
            )
        except KeyboardInterrupt:
            if state.tried:
                save(state)
            raise
        return state.best[0], len(state.tried)

    def _clasp(self, method: str, ratio: float, budget: Budget) -> tuple[SkipSet, int]:
        sublayers = method == "clasp-sublayers"
        most = left_out(self.model.block_count, ratio) // (1 if sublayers else 2)
        if not most:
            raise RequestError(f"a ratio of {ratio:g} leaves out nothing of this model", hint="raise the ratio")
        # The way to fewer skipped layers doesn't depend on how many are allowed, but what is kept stops at `most`.
        key = [method, most, digest(self.seen)]
        passes = self.hidden.passes
        sets = clasp.search(
            self.hidden,
            most,
            sublayers=sublayers,
            state=self._kept(key, clasp.ClaspState.from_json),
            report=self.report,
            save=lambda state: self.shelf.save_progress(self.task, key, state.to_json()),
        )
        return sets[max(sets)], self.hidden.passes - passes

    def _knapsack(self, method: str, ratio: float, budget: Budget) -> tuple[SkipSet, int]:
        key = [method, digest(self.seen)]
        choices = knapsack.search(
            self.hidden,
            self.matchness.agreement,
            self.costs,
            most=ratio,
            state=self._kept(key, knapsack.KnapsackState.from_json),
            report=self.report,
            save=lambda state: self.shelf.save_progress(self.task, key, state.to_json()),
        )
        return choices[0].skip, len(choices)

    def _kept(self, key: Sequence[object], parse: Callable[[Any], State]) -> State | None:
        """What an earlier run kept; None if there is nothing, or nothing of use."""
        value = None if self.again else self.shelf.progress(self.task, key)
        if value is None:
            return None
        try:
            return parse(value)
        except (KeyError, TypeError, ValueError, AttributeError):
            self.shelf.notes.append("an unfinished search was kept in a form that can't be read: it starts again")
            return None
