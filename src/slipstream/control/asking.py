"""Whether a paid source is asked for a draft: by what asking it has brought, against what it costs now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from slipstream.control.calibration import Buckets, Calibration
from slipstream.control.price import Price
from slipstream.control.pursuit import Pace, Pursuit
from slipstream.control.watchdog import Watchdog
from slipstream.control.worth import PATIENCE, forecast
from slipstream.core.draft import Draft
from slipstream.core.plan import SlotView, Wish
from slipstream.core.stats import RoundRecord

MARGIN = 1.03
"""What asking must be expected to bring, in tokens a plain pass, over the best that can be had without."""
INVESTMENT = 32
"""Tokens to take in from which on they are an investment in the rest of the answer, not a cost of this round."""
SAFETY = 1.0
"""How much more than its cost an investment must be expected to bring back."""
VENTURE = 0.1
"""Plain passes that may be invested for every token emitted so far, besides what the watchdog allows: an answer that
turns out short must not pay for a long one."""
START = 1.0
"""Plain passes that paid drafts may lose before they have gained anything: little, as a failure of theirs costs their
making too."""
INCOME = 0.03
"""What every emitted token adds to that: a draft model's worth shows over several rounds, not in two."""
SHARE = 0.5
"""Share of what free drafts have won for a request that may be invested."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Plain passes that a round's paid drafts cost a slot: drafting, and taking in what had been missed long ago."""

    drafting: float = 0.0
    invested: float = 0.0


@dataclass(slots=True)
class Asking:
    """`prices` by source name. `accounts` hold what paid drafts of running requests may lose: free ones have their own,
    so that the failures of one kind don't stop the other. A `Pace` per source tells how sure a request's drafts are."""

    prices: Mapping[str, Price]
    calibration: Calibration
    accounts: dict[int, Watchdog] = field(default_factory=dict)
    _paces: dict[int, dict[str, Pace]] = field(default_factory=dict)
    _emitted: dict[int, int] = field(default_factory=dict)

    def begin(self, slot: int, history: Buckets) -> None:
        """A request of this history starts."""
        self._paces[slot] = {}
        self._emitted[slot] = 0
        self.accounts[slot] = Watchdog.of(history.paid_gain, START)

    def end(self, slot: int, history: Buckets) -> None:
        """It is over."""
        self._paces.pop(slot, None)
        self._emitted.pop(slot, None)
        history.paid_gain = self.accounts.pop(slot).close(history.paid_gain)

    def wish(self, view: SlotView, costs: Sequence[float], base: int, free_rate: float, won: float) -> Wish | None:
        """The paid draft that is worth asking for, if any.

        `costs[n]` is milliseconds of a pass over n tokens, `base` the width of the pass without drafts, `free_rate` the
        expected tokens a plain pass of the best free draft (1: none), `won` what free drafts have gained for this
        request so far, in plain passes.
        """
        best: Wish | None = None
        best_rate = MARGIN * max(1.0, free_rate)
        limit = min(view.room, len(costs) - 1 - base)
        for source, behind in view.paid if limit > 0 else ():
            price = self.prices[source]
            step = price.step(view.depth, costs[1], base)
            expected = self.calibration.worth(view.slot, source, forecast(costs, step))
            rate = expected * (1 + self.calibration.waited(view.slot, source) / PATIENCE)
            behind_cost = price.catch_up(behind, view.depth, costs[1])
            if rate <= best_rate:
                continue
            left = self.accounts[view.slot].balance - behind_cost
            if behind >= INVESTMENT:
                if (1 - 1 / rate) * self.calibration.drought_left(view.slot, view.left) < SAFETY * behind_cost:
                    continue
                left += VENTURE * self._emitted[view.slot] + SHARE * max(0.0, won)
            longest = _longest(costs, base, step, limit, left)
            if longest:
                best, best_rate = self._wish(view, source, longest, costs, base, step), rate
        return best

    def learn(self, record: RoundRecord, costs: Sequence[float], plain_ms: float) -> dict[int, Spent]:
        """What every slot's paid drafts cost, in plain passes, from a round that is over; `plain_ms` is a plain pass at
        present, `costs[1]` by the curve."""
        spent: dict[int, Spent] = {}
        shares = {share.slot: share for share in record.slots}
        for paid in record.paid:
            self.prices[paid.source].learn(paid, record.depth, costs[1], plain_ms)
            for slot in paid.slots:
                drafting = paid.step_ms / len(paid.slots) / plain_ms
                taking_in = paid.catch_up_ms / len(paid.slots) / plain_ms
                invested = paid.caught_up >= INVESTMENT
                now = drafting if invested else drafting + taking_in
                before = spent.get(slot, Spent())
                spent[slot] = Spent(before.drafting + now, before.invested + (taking_in if invested else 0.0))
                # A source is worth what it does itself: what a free one adds behind it would often be found without it.
                first = shares[slot].chosen.segments[0]
                own = len(first) if first.source == paid.source else 0
                widest = len(costs) - 1
                cost = costs[min(len(shares) + own, widest)] / costs[min(len(shares), widest)] + now
                self.calibration.observe_paid(slot, paid.source, 1 + min(own, shares[slot].accepted), cost)
        for slot, share in shares.items():
            self._emitted[slot] += len(share.emitted)
            # A free draft that failed doesn't end a drought.
            dry = slot in spent or len(share.emitted) <= record.target_ms / plain_ms
            self.calibration.observe_drought(slot, len(share.emitted), dry or not share.chosen)
        return spent

    def _wish(self, view: SlotView, source: str, limit: int, costs: Sequence[float], base: int, step: float) -> Wish:
        calibration, slot = self.calibration, view.slot

        def calibrated(probability: float) -> float:
            return next(iter(calibration.probabilities(slot, Draft(source, (0,), (probability,)), 1)))

        def continued(follow: Draft) -> Sequence[float]:
            return list(calibration.probabilities(slot, follow, limit, source))

        pace = self._paces[slot].setdefault(source, Pace())
        return Wish(slot, source, limit, Pursuit(costs, base, step, pace, calibrated, continued))


def _longest(costs: Sequence[float], base: int, step: float, limit: int, balance: float) -> int:
    """The longest draft that, with nothing of it accepted, costs no more than `balance` plain passes."""
    for length in range(limit, 0, -1):
        if length * step + (costs[base + length] - costs[base]) / costs[1] <= balance:
            return length
    return 0
