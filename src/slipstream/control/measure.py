"""Times target passes by width on the machine it runs on, for the verify-cost curve."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from slipstream.control.curve import VerifyCost
from slipstream.core.ports import Clock, Feed, Target

WIDTHS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 32, 48, 64)
DEEP_WIDTHS = (1, 2, 4, 8, 16, 32)
COARSE = (1, 2, 3, 4, 8, 16, 64)
SHALLOW = 64
DEEP = 384
RETRIES = 2
SWEEPS = 3
"""At most: a second and third sweep only while the machine is disturbed."""
DISTURBED = 1.3
NARROW = 8


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a measurement is: `done` of `total` passes, and what is measured now."""

    done: int
    total: int
    what: str


def measure_cost(
    target: Target,
    tokens: Sequence[int],
    clock: Clock,
    seconds: float = 2.0,
    coarse: bool = False,
    report: Callable[[Progress], None] = lambda progress: None,
) -> VerifyCost:
    """The curve at two depths, on slot 0, whose KV is empty before and after.

    `tokens` is natural text of at least a few hundred tokens (experts and caches behave differently on filler). Cells
    are timed in an order that spreads the machine's drift over the widths, a plain pass after each; if the plain passes
    disagree, the sweep is repeated. After a sweep narrow cells are timed again for a share of `seconds`. Other load
    adds time, so a cell's value is its fastest timing. `coarse` takes few widths at one depth: enough for a model that
    drafts.
    """
    deep = min(DEEP, (target.context_length - WIDTHS[-1]) // 2)
    depths: dict[int, tuple[int, ...]]
    depths = {SHALLOW: WIDTHS, deep: DEEP_WIDTHS} if deep > 2 * SHALLOW else {max(1, min(SHALLOW, deep)): WIDTHS}
    if coarse:
        depths = {min(depths): COARSE}
    limit = min(target.batch_size, target.context_length - max(depths))
    text = [tokens[i % len(tokens)] for i in range(max(depths) + limit)]
    total = sum(width <= limit for widths in depths.values() for width in widths)
    table: dict[int, dict[int, float]] = {}
    done = 0
    for depth, widths in depths.items():
        fill(target, text, depth)
        cells = _Cells(target, text, depth, clock)
        for sweep in range(SWEEPS):
            for width in _spread([width for width in widths if width <= limit]):
                report(Progress(done, total, f"{width} tokens at depth {depth}"))
                cells.time(width)
                cells.time(1)
                done += sweep == 0
            cells.recheck()
            cells.repeat(clock() + seconds / 8)
            if not cells.disturbed and not (coarse and sweep + 1 < SWEEPS):
                break
        table[depth] = {width: min(times) for width, times in sorted(cells.times.items())}
    target.rewind(0, 0)
    return VerifyCost(table)


class _Cells:
    """Timings at one depth, by width."""

    def __init__(self, target: Target, text: Sequence[int], depth: int, clock: Clock) -> None:
        self.target, self.text, self.depth, self.clock = target, text, depth, clock
        self.times: dict[int, list[float]] = {}
        self.time(1)  # The first pass after a load touches pages that later ones find warm.
        self.times.clear()

    def time(self, width: int) -> None:
        """Time one pass, its logits at hand; KV is as before."""
        begin = self.clock()
        self.target.decode([Feed(0, self.depth, self.text[self.depth : self.depth + width], width)])
        self.target.logits(width - 1)
        self.times.setdefault(width, []).append(1000 * (self.clock() - begin))
        self.target.rewind(0, self.depth)

    @property
    def disturbed(self) -> bool:
        """Whether plain passes, timed between all others, disagree: something else is running."""
        plain = self.times[1]
        return median(plain) > DISTURBED * min(plain)

    def recheck(self) -> None:
        """Time cells again that cost more than a wider one: a real step in the curve stays, a disturbance doesn't."""
        for _ in range(RETRIES):
            best = {width: min(times) for width, times in self.times.items()}
            for width in [
                narrow for narrow in best if any(best[narrow] > best[wide] for wide in best if wide > narrow)
            ]:
                self.time(width)

    def repeat(self, deadline: float) -> None:
        """Time narrow cells, which decide most rounds, again while there is time."""
        widths = [width for width in sorted(self.times) if width <= NARROW]
        while all(self.clock() + min(self.times[width]) / 1000 < deadline for width in widths):
            for width in widths:
                self.time(width)


def fill(target: Target, text: Sequence[int], depth: int) -> None:
    """Make slot 0 hold exactly the first `depth` tokens of `text`."""
    held = target.reuse(0, text[: depth + 1])
    while held < depth:
        chunk = text[held : min(depth, held + target.batch_size)]
        target.decode([Feed(0, held, chunk, 0)])
        held += len(chunk)


def _spread(widths: Sequence[int]) -> Iterator[int]:
    """Narrow and wide in turn, so that a slow moment doesn't bend one end of the curve."""
    low, high = 0, len(widths) - 1
    while low <= high:
        yield widths[low]
        if high > low:
            yield widths[high]
        low, high = low + 1, high - 1
