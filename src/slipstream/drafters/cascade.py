"""CAS-Spec (arXiv 2510.26843): drafts by several self-drafts of falling cost over a free source, routed token by token.

Horizontally, a level's draft is continued by the level that promises most per cost next (DyTC); vertically, every level
reviews what the free source says before it drafts itself. Chains only: a tree's extra branches are not free on a CPU.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from slipstream.core.draft import Draft
from slipstream.core.errors import RequestError
from slipstream.core.ports import Ask, Clock, Drafted, Drafter
from slipstream.core.request import Request
from slipstream.drafters.cascade_route import Level, Route, prescreen, route
from slipstream.drafters.draft_model import DraftModel

KEEP = 0.7
"""What the acceptance of a level keeps of its old value with every draft."""
SCREEN = 20
"""Drafts between two looks at which levels pay."""
LOOK_AGAIN = 8
"""After so many looks every level takes part once more: what was left out can't show that it got better."""
COST_RATE = 0.1
BOTTOM_COST = 0.01
BOTTOM_LENGTH = 8
BOTTOM = -1
"""Stands for the free source where levels are numbered."""


@dataclass(frozen=True, slots=True)
class CascadeConfig:
    """`levels`: files of the self-drafts, from the best to the cheapest, with the target's vocabulary. `acceptance` is
    what each is believed to have before it was tried. `vertical`: levels review drafts of the free source."""

    levels: tuple[str, ...] = ()
    acceptance: tuple[float, ...] = ()
    vertical: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", tuple(self.levels))
        object.__setattr__(self, "acceptance", tuple(self.acceptance))
        if self.acceptance and len(self.acceptance) != len(self.levels):
            raise RequestError(
                f"cascade: {len(self.acceptance)} acceptances for {len(self.levels)} levels", hint="give one for each"
            )
        if any(not 0 < value < 1 for value in self.acceptance):
            raise RequestError("cascade: an acceptance is not between 0 and 1", hint="0.7 is a usual one")


@dataclass(slots=True)
class _Made:
    """The last draft of a slot: its tokens and the level of each."""

    tokens: list[int] = field(default_factory=list)
    levels: list[int] = field(default_factory=list)


class Cascade:
    """`levels` are drafters that share the target's vocabulary, `bottom` a free source that belongs to the cascade.

    `costs` are of a token of each level, in plain passes; `verify[n]` that of a target pass over n tokens. Both follow
    what is measured while drafting. `note` says which levels were left out, and why.
    """

    name = "cascade"

    def __init__(
        self,
        config: CascadeConfig | None,
        levels: Sequence[DraftModel],
        costs: Sequence[float],
        verify: Sequence[float],
        bottom: Drafter,
        clock: Clock,
    ) -> None:
        config = config or CascadeConfig()
        self.levels, self.bottom, self.clock = tuple(levels), bottom, clock
        believed = config.acceptance or (0.8,) * len(self.levels)
        self.figures = [
            Level(level.name, acceptance, cost)
            for level, acceptance, cost in zip(self.levels, believed, costs, strict=True)
        ]
        self.bottom_figures = Level("bottom", 0.5, BOTTOM_COST)
        self.verify = verify
        if config.vertical:
            for level in self.levels:
                level.inner = bottom
        self.kept, self.note = prescreen(self.figures, self.bottom_figures, verify)
        self._made: dict[int, _Made] = {}
        self._paces: dict[int, float] = {}
        self._drafts = 0

    def begin(self, slot: int, request: Request) -> bool:
        """All levels take part; none has computed anything yet."""
        self._made[slot] = _Made()
        self.bottom.begin(slot, request)
        if all([level.begin(slot, request) for level in self.levels]):
            return True
        self.end(slot)
        return False

    def behind(self, slot: int) -> int:
        """Of the level that is asked first."""
        return self.levels[self.kept[self._route().level]].behind(slot) if self.kept else 0

    def draft(self, asks: Sequence[Ask]) -> Drafted:
        """One slot after the other."""
        total = Drafted(())
        for ask in asks:
            made = self._draft(ask)
            total = Drafted(
                (*total.drafts, *made.drafts),
                total.steps + made.steps,
                total.step_ms + made.step_ms,
                total.caught_up + made.caught_up,
                total.catch_up_ms + made.catch_up_ms,
            )
        return total

    def commit(self, slot: int, tokens: Sequence[int]) -> None:
        """See which levels were right, and pass the tokens on."""
        self._learn(self._made[slot], tokens)
        self._made[slot] = _Made()
        self.bottom.commit(slot, tokens)
        for level in self.levels:
            level.commit(slot, tokens)

    def end(self, slot: int) -> None:
        """Forget the request."""
        self._made.pop(slot, None)
        self.bottom.end(slot)
        for level in self.levels:
            level.end(slot)

    def forget(self) -> None:
        """Empty the levels' KV."""
        for level in self.levels:
            level.forget()

    def _route(self) -> Route:
        return route([self.figures[index] for index in self.kept], self.bottom_figures)

    def _draft(self, ask: Ask) -> Drafted:
        """Levels in turn, as routed, until the policy has enough or the chosen level has nothing more to say."""
        made = self._made[ask.slot] = _Made()
        probabilities: list[float] = []
        wanted = True

        def go_on(token: int | None, probability: float) -> bool:
            nonlocal wanted
            wanted = ask.go_on(token, probability)
            return wanted

        steps, step_ms, caught_up, catch_up_ms = 0, 0.0, 0, 0.0
        while self.kept and wanted and len(made.tokens) < ask.limit:
            chosen = self._route()
            index, length = self.kept[chosen.level], min(chosen.length, ask.limit - len(made.tokens))
            part = self.levels[index].draft([Ask(ask.slot, length, go_on, (*ask.after, *made.tokens))])
            self._pay(index, part)
            steps, step_ms = steps + part.steps, step_ms + part.step_ms
            caught_up, catch_up_ms = caught_up + part.caught_up, catch_up_ms + part.catch_up_ms
            draft = part.drafts[0]
            made.tokens += draft.tokens
            made.levels += [index] * len(draft)
            probabilities += draft.probabilities
            if len(draft) < length or (draft and draft.tokens[-1] in self.levels[index].ends):
                break
        whole = Draft(self.name, tuple(made.tokens), tuple(probabilities))
        left = min(ask.limit - len(whole), BOTTOM_LENGTH)
        below = self.bottom.propose(ask.slot, left, (*ask.after, *made.tokens))
        made.tokens += below.tokens
        made.levels += [BOTTOM] * len(below)
        whole = whole.joined(replace(below, source=f"{self.name} bottom"))
        return Drafted((whole,), steps, step_ms, caught_up, catch_up_ms)

    def _pay(self, index: int, part: Drafted) -> None:
        """A level's cost follows its passes, relative to what it was believed to be when the first was timed."""
        tokens = len(part.drafts[0])
        if tokens and part.step_ms:
            figures = self.figures[index]
            self._paces.setdefault(index, part.step_ms / tokens / figures.cost)
            now = part.step_ms / tokens / self._paces[index]
            self.figures[index] = Level(
                figures.name, figures.acceptance, figures.cost + COST_RATE * (now - figures.cost)
            )

    def _learn(self, made: _Made, emitted: Sequence[int]) -> None:
        """Acceptance by level, from the drafted tokens up to the first wrong one."""
        tried: dict[int, list[int]] = {}
        for token, level, said in zip(made.tokens, made.levels, emitted, strict=False):
            tried.setdefault(level, []).append(token == said)
            if token != said:
                break
        for index, right in tried.items():
            figures = self.bottom_figures if index == BOTTOM else self.figures[index]
            acceptance = KEEP * figures.acceptance + (1 - KEEP) * sum(right) / len(right)
            figures = Level(figures.name, min(0.99, max(0.01, acceptance)), figures.cost)
            if index == BOTTOM:
                self.bottom_figures = figures
            else:
                self.figures[index] = figures
        self._drafts += bool(made.tokens)
        if made.tokens and self._drafts % SCREEN == 0:
            self.kept, self.note = prescreen(self.figures, self.bottom_figures, self.verify)
        if made.tokens and self._drafts % (SCREEN * LOOK_AGAIN) == 0:
            self.kept, self.note = tuple(range(len(self.levels))), "every level is tried again"
