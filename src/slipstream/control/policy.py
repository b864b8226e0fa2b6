"""The policy: which draft each slot verifies this round, and how much of it (DESIGN section 6)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from slipstream.control.asking import INCOME, MARGIN, Asking, Spent
from slipstream.control.calibration import Buckets, Calibration
from slipstream.control.choice import Candidate, Replay, Shape, best_joint, best_length
from slipstream.control.curve import VerifyCost
from slipstream.control.parity import Allowed, padded
from slipstream.control.price import Price
from slipstream.control.watchdog import Watchdog, least_start
from slipstream.core.draft import Draft
from slipstream.core.plan import Choice, Plan, SlotView, Snapshot, Wish
from slipstream.core.request import Request
from slipstream.core.stats import RoundRecord

PLAIN = Draft("plain")
NOTHING = Spent()
LONGEST_NEED = 16
"""Sources are asked at least this often: after so many tokens any match may have grown to something."""
LOOK_AGAIN = 32
"""Plans for which the match length that a draft needs to pay is taken as it was."""


@dataclass(slots=True)
class _Need:
    """The match length that a slot's drafts need to pay."""

    source: str = ""
    match: int = 0
    age: int = 0


@dataclass(slots=True)
class AdaptivePolicy:
    """Maximises expected tokens per millisecond over every source and every length, plain included.

    `margin` is the predicted gain over plain below which a draft isn't worth its risk: the best of many noisy estimates
    is an optimistic one. `allowed` gives the batch widths allowed at a depth (exact mode, one slot only): rounds
    between them are padded, plain ones too. None allows all. `prices` are those of paid sources, by name.
    """

    curve: VerifyCost
    calibration: Calibration
    margin: float = 1.1
    allowed: Callable[[int], Allowed] | None = None
    prices: Mapping[str, Price] = field(default_factory=dict)
    _asking: Asking = field(init=False)
    _requests: dict[int, tuple[Buckets, Watchdog]] = field(default_factory=dict)
    _shape: Shape | None = None
    _needs: dict[int, _Need] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._asking = Asking(self.prices, self.calibration)

    def begin(self, slot: int, request: Request) -> None:
        history = self.calibration.begin(slot, request.workload)
        self._needs.pop(slot, None)
        self._asking.begin(slot, history)
        self._requests[slot] = (history, Watchdog.of(history.gain, least_start(self.curve.costs(0))))

    def end(self, slot: int) -> None:
        self.calibration.end(slot)
        if slot in self._requests:
            history, watchdog = self._requests.pop(slot)
            self._asking.end(slot, history)
            history.gain = watchdog.close(history.gain)

    def wishes(self, snapshot: Snapshot) -> Sequence[Wish]:
        costs, _ = self._costs(snapshot)
        found = []
        for view in snapshot.slots:
            free_rate = self._best(view, costs)[2] * costs[1]
            won = self._requests[view.slot][1].gained
            wish = self._asking.wish(view, costs, len(snapshot.slots), free_rate, won)
            if wish:
                found.append(wish)
        return found

    def plan(self, snapshot: Snapshot) -> Plan:
        costs, widths = self._costs(snapshot)
        if len(snapshot.slots) > 1:
            return self._plan_joint(snapshot, costs)
        return self._plan_one(snapshot.slots[0], costs, widths)

    def _costs(self, snapshot: Snapshot) -> tuple[Sequence[float], Sequence[int] | None]:
        """Milliseconds by width, and in exact mode the width that each is padded to. What slots owe comes on top of any
        width."""
        costs: Sequence[float] = self.curve.costs(snapshot.depth)
        owed = sum(view.owed for view in snapshot.slots)
        if owed:
            costs = [0.0, *costs[1 + min(owed, len(costs) - 2) :]]
        if self.allowed and len(snapshot.slots) == 1:
            return padded(costs, self.allowed(snapshot.depth))
        return costs, None

    def _plan_one(self, view: SlotView, costs: Sequence[float], widths: Sequence[int] | None) -> Plan:
        draft, length, expected, reason = PLAIN, 0, 0.0, "plain: no draft"
        best, predicted, rate = self._best(view, costs)
        if best:
            gain = rate * costs[1]
            if gain >= (MARGIN if self._paid(best) else self.margin):
                draft, length, expected = best.cut(predicted[0]), *predicted
                reason = (
                    f"{draft.source} {length} of {len(best)}: expects {expected:.1f}"
                    f" at r={costs[1 + length] / costs[1]:.2f}, {gain:.2f}x plain"
                )
            else:
                reason = f"plain: {best.source} would give {gain:.2f}x"
        elif view.drafts:
            reason = "plain: drafts cost too much lately"
        quiet = 0
        if view.by_match and not length:
            longest = max((offered.match_length for offered in view.drafts if not self._paid(offered)), default=0)
            # Where no length beat plain, one more token hardly changes it: a match that grows is caught a token late.
            quiet = max(0 if predicted[0] else 1, self._needed(view, costs) - longest - 1)
        width = widths[1 + length] if widths else 1 + length
        choice = Choice(view.slot, draft, expected)
        return Plan((choice,), reason, width - 1 - length, costs[1 + length], 1 + expected, quiet)

    def _needed(self, view: SlotView, costs: Sequence[float]) -> int:
        """Shortest match with which an undisputed draft of the source seen last could pay; 0 before one was seen.
        Worked out again every `LOOK_AGAIN` plans."""
        need = self._needs.setdefault(view.slot, _Need())
        free = next((offered for offered in view.drafts if not self._paid(offered)), None)
        if free:
            need.source = free.source
        if need.source and need.age % LOOK_AGAIN == 0:
            shape = self._shape_of(costs)
            low, high = 0, LONGEST_NEED
            while low < high:
                middle = (low + high) // 2
                ideal = Draft(need.source, (0,) * shape.length, (1.0,) * shape.length, middle, 3)
                probabilities = self.calibration.probabilities(view.slot, ideal, shape.length)
                pays = best_length(probabilities, costs, shape.cheapest)[2] * costs[1] >= self.margin
                low, high = (low, middle) if pays else (middle + 1, high)
            need.match = low
        need.age += bool(need.source)
        return need.match

    def _limit(self, view: SlotView, costs: Sequence[float], draft: Draft) -> int:
        """Longest part of a draft that the slot could use and the watchdog would pay for."""
        shape, slot = self._shape_of(costs), view.slot
        account = self._asking.accounts[slot] if self._paid(draft) else self._requests[slot][1]
        return min(view.room, shape.length, shape.widest(account.most) - 1)

    def _shape_of(self, costs: Sequence[float]) -> Shape:
        if self._shape is None or self._shape.costs is not costs:
            self._shape = Shape.of(costs)
        return self._shape

    def _plan_joint(self, snapshot: Snapshot, costs: Sequence[float]) -> Plan:
        slots = len(snapshot.slots)
        candidates = []
        for view in snapshot.slots:
            best = self._best(view, costs)[0]
            if best:
                limit = max(0, min(self._limit(view, costs, best), len(costs) - 1 - slots))
                probabilities = self.calibration.probabilities(view.slot, best, limit)
                candidates.append(Candidate(view.slot, best, tuple(probabilities)))
        plain_rate = slots / costs[min(slots, len(costs) - 1)]
        joint = best_joint(candidates, slots, costs)
        gain = joint.rate / plain_rate
        if gain < (MARGIN if any(self._paid(candidate.draft) for candidate in candidates) else self.margin):
            joint = best_joint([], slots, costs)
        choices = []
        for view in snapshot.slots:
            candidate, length, expected = joint.lengths.get(view.slot, (None, 0, 0.0))
            choices.append(Choice(view.slot, candidate.draft.cut(length) if candidate else PLAIN, expected))
        reason = f"{joint.width - slots} draft tokens over {slots} slots, {gain:.2f}x plain"
        return Plan(tuple(choices), reason, 0, joint.tokens / joint.rate, joint.tokens)

    def _best(self, view: SlotView, costs: Sequence[float]) -> tuple[Draft | None, tuple[int, float], float]:
        """The slot's best source, the length and expected accepted tokens that speak for it, and its rate in tokens per
        millisecond; no source if the watchdog allows none. What was spent on paid drafts counts for every choice."""
        best, predicted, best_rate = None, (0, 0.0), 0.0
        if not view.drafts:
            return best, predicted, best_rate
        shape = self._shape_of(costs)
        spent = sum(self._spent(draft, view.depth, costs[1]) for draft in view.drafts)
        if spent:
            shape = Shape.of([cost + spent for cost in costs])
        replay = Replay(shape.costs, view.free_rewind) if view.free_rewind < shape.length else None
        for draft in self._distinct(view.drafts):
            limit = self._limit(view, costs, draft)
            if limit < 1:
                continue
            probabilities = self.calibration.probabilities(view.slot, draft, limit)
            length, expected, rate = best_length(probabilities, shape.costs, shape.cheapest, replay)
            if rate > best_rate:
                best, predicted, best_rate = draft, (length, expected), rate
        return best, predicted, best_rate * (costs[1] + spent) / costs[1]

    def _spent(self, draft: Draft, depth: int, plain_ms: float) -> float:
        """Milliseconds that making this draft has cost."""
        return sum(
            len(part) * self.prices[part.source].step(depth, plain_ms) * plain_ms
            for part in draft.segments
            if part.source in self.prices
        )

    def _paid(self, draft: Draft) -> bool:
        return draft.segments[0].source in self.prices

    def observe(self, record: RoundRecord) -> None:
        self.curve.refine(record.width, record.depth, record.target_ms)
        costs, plain_ms = self.curve.costs(record.depth), self._plain_ms(record)
        spent = self._asking.learn(record, costs, plain_ms)
        for share in record.slots:
            self.calibration.observe(share.slot, share.offered, share.emitted)
            watchdog = self._requests[share.slot][1]
            watchdog.earn(len(share.emitted))
            account, paid = self._asking.accounts[share.slot], spent.get(share.slot, NOTHING)
            account.earn(len(share.emitted), INCOME)
            account.invest(paid.invested)
            if share.chosen or paid.drafting:
                predicted = record.predicted_ms / costs[1] + paid.drafting
                cost = record.target_ms / plain_ms + paid.drafting
                (account if paid.drafting else watchdog).settle(len(share.emitted), cost, predicted)

    def _plain_ms(self, record: RoundRecord) -> float:
        """What a pass without drafts over the same slots costs at present."""
        costs = self.curve.costs(record.depth)
        width = min(self.allowed(record.depth).widths) if self.allowed else len(record.slots)
        return self.curve.plain_ms(record.depth) * costs[min(width, len(costs) - 1)] / costs[1]

    def _distinct(self, drafts: Sequence[Draft]) -> list[Draft]:
        """Free drafts that begin differently (of equal ones the first: taking the more optimistic of two estimates of
        the same tokens would overrate them), and all paid ones."""
        if len(drafts) == 1:
            return list(drafts)
        kept: dict[tuple[bool, int], Draft] = {}
        for draft in drafts:
            kept.setdefault((self._paid(draft), draft.tokens[0]), draft)
        return list(kept.values())
