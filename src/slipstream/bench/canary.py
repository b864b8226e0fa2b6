"""The canary: one fixed prompt on one fixed model, before a run and after it. Only it notices a host that has become
slower as a whole while every switch still stands where it stood (requirement R10)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Protocol

from slipstream.bench.cell import Cell
from slipstream.bench.doubts import OTHERS, other_load

ARM = "canary"
PROMPT = "Explain in plain words how a river shapes the valley it flows through."
TOKENS = 48
TIMES = 3
TRIES = 3
"""Visits until one wasn't disturbed: a moment's load must not speak against a long run."""
BAND = 0.1
"""Least distance from the usual speed, as a share of it, that is worth a doubt."""
SPREAD = 3.0
"""Median absolute deviations of earlier canaries that are usual, where that is more."""
LEAST_HISTORY = 3
"""Canaries from which on their median says what is usual."""


@dataclass(frozen=True, slots=True)
class Generated:
    """One short generation: its tokens, and seconds of decoding on our own clock."""

    tokens: tuple[int, ...]
    seconds: float

    @property
    def rate(self) -> float:
        """Tokens a second."""
        return len(self.tokens) / self.seconds if self.seconds > 0 else 0.0


Generate = Callable[[], Generated]


class Load(Protocol):
    """CPU time of other processes over an interval (host.load.Sentinel is one)."""

    def begin(self) -> object: ...
    def end(self) -> Any: ...


def plainly(session: Any) -> Generate:
    """The fixed prompt on an opened session (of the embedded model): greedy, without a drafter, of fixed length."""

    def generate() -> Generated:
        request = session.request(PROMPT, max_tokens=TOKENS, draft="off", remember=False, workload=ARM, ignore_end=True)
        completion = session.generate(request)
        return Generated(completion.tokens, completion.stats.decode_ms / 1000)

    return generate


class Canary:
    """`generate` makes one short generation by `model`, a content hash; `clock` tells the time of day, `load` who else
    used the processors: a cell is tainted if that was a larger share of them than `others`. The first generation of
    each visit only warms up."""

    def __init__(
        self,
        generate: Generate,
        clock: Callable[[], float],
        band: float = BAND,
        *,
        model: str = "",
        load: Load | None = None,
        others: float = OTHERS,
    ) -> None:
        self.generate = generate
        self.clock = clock
        self.band = band
        self.model = model
        self.load = load
        self.others = others

    def before(self) -> Cell:
        """The cell to store ahead of a run's others."""
        return self._visit(0)

    def after(self) -> Cell:
        """And behind them."""
        return self._visit(1)

    def doubt(self, before: Cell, after: Cell, history: Sequence[float] = ()) -> str:
        """Why the run between is suspect; "" if it isn't.

        `history` are rates of earlier canaries of this model on the same host and engine build, one a sound run: their
        median says what is usual, and the band is 10 % of it or three median absolute deviations, whichever is more.
        Without enough of them the canary before the run is the measure of the one after it. Too fast is as suspect as
        too slow: something has changed.
        """
        for cell in (before, after):
            if cell.status == "tainted":
                return f"the canary was disturbed: {cell.reason}; end what else runs, and measure again"
            if cell.status != "ok" or not cell.rate:
                return f"the canary failed: {cell.reason or 'no speed'}"
        if before.token_ids != after.token_ids:
            return "the canary gave another answer after the run: the machine computes differently; reboot or check it"
        usual, band, what = before.rate, self.band, "before the run"
        if len(history) >= LEAST_HISTORY:
            usual, what = median(history), f"usually, over {len(history)} runs"
            band = max(band, SPREAD * median(abs(rate - usual) for rate in history) / usual)
        for cell, when in ((before, "before"), (after, "after")):
            off = cell.rate / usual - 1
            if abs(off) > band:
                return (
                    f"the canary made {cell.rate:.1f} tokens a second {when} the run and {usual:.1f} {what}"
                    f" ({100 * off:+.0f} %, {100 * band:.0f} % is normal): look for what changed, or reboot"
                )
        return ""

    def _visit(self, repetition: int) -> Cell:
        for _ in range(TRIES):
            cell = self._measure(repetition)
            why = other_load(cell, self.others)
            if not why:
                return cell
        return cell if cell.status == "failed" else replace(cell, status="tainted", reason=why)

    def _measure(self, repetition: int) -> Cell:
        started = self.clock()
        self.generate()
        if self.load:
            self.load.begin()
        made = [self.generate() for _ in range(TIMES)]
        busy = self.load.end() if self.load else None
        middle = sorted(made, key=lambda one: one.rate)[TIMES // 2]
        apart = any(one.tokens != middle.tokens for one in made)
        return Cell(
            arm=ARM,
            prompt=ARM,
            task=ARM,
            repetition=repetition,
            status="failed" if apart else "ok",
            reason="its answer changes from one generation to the next" if apart else "",
            tokens=len(middle.tokens),
            seconds=middle.seconds,
            warm=True,
            started=started,
            token_ids=middle.tokens,
            figures={
                "rates": [one.rate for one in made],
                "model": self.model,
                **(busy.figures | {"elapsed_seconds": busy.seconds} if busy else {}),
            },
        )
