"""What makes a measured cell untrustworthy: pure checks, each giving its reason or nothing.

Each stands for numbers that were once published and had to be withdrawn (requirements R1, R5, R11, R18).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from slipstream.bench.cell import Cell
from slipstream.drafters import catalog

AGREEMENT, SLACK = 0.05, 0.01
"""Part by which an engine's own rate may differ from ours, and seconds that it may leave out: starting a request is no
decoding to it."""
TOO_GOOD = 0.95
"""Share of accepted draft tokens from which on a repeated prompt looks like a copied answer."""
OTHERS = 0.1
"""Share of the machine's CPU time that other processes may take during a cell."""
STEP = 0.05
"""Seconds by which wall clock and monotonic clock may part over a cell, beside a thousandth of it."""
TICKS = 0.02
"""Seconds of a hardware thread that are no load: the kernel counts in ticks of 10 ms."""

Garbage = Callable[[str, Sequence[int], int, str], str]
"""Why nobody wants an answer, given its text, its tokens, how many it could have had and how it finished; "" if it is
fine."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a cell is checked against. `others` is the CPU share that other processes may take."""

    others: float = OTHERS
    garbage: Garbage = lambda text, tokens, limit, finish: ""


def judged(cell: Cell, limits: Limits) -> Cell:
    """The cell with its status and reason. One that failed stays so; garbage outweighs a doubtful timing."""
    if cell.status == "failed":
        return cell
    if why := _garbage(cell, limits):
        return replace(cell, status="garbage", reason=why)
    if reasons := doubts(cell, limits.others):
        return replace(cell, status="tainted", reason="; ".join(reasons))
    return cell


def doubts(cell: Cell, others: float = OTHERS) -> list[str]:
    """Every reason not to trust the cell's timing.

    It reads of the cell's figures, where they are there: `sources` (drafted and accepted tokens by source),
    `uncooled` (the prompt was measured before in this process, and what was kept of it wasn't dropped),
    `others_cpu` (share of the machine's CPU time that other processes took), `wall_seconds` and `elapsed_seconds` (the
    whole cell on the wall clock and on the monotonic one).
    """
    checks = (clocks_disagree(cell), warm_repeat(cell), copied_answer(cell), other_load(cell, others), clock_step(cell))
    return [reason for reason in checks if reason]


def clocks_disagree(cell: Cell) -> str:
    """The engine's own rate against ours."""
    if not cell.engine_rate or not cell.rate:
        return ""
    ratio = cell.engine_rate / cell.rate
    if abs(ratio - 1) <= AGREEMENT or abs(cell.tokens / cell.engine_rate - cell.seconds) <= SLACK:
        return ""
    return f"the engine claims {cell.engine_rate:.1f} tok/s, our clock says {cell.rate:.1f} ({ratio:.2f} times)"


def warm_repeat(cell: Cell) -> str:
    """A prompt repeated on warm state that was declared cold."""
    if cell.warm or not cell.figures.get("uncooled"):
        return ""
    return "the prompt was measured before in this process, and the cell was declared cold"


def copied_answer(cell: Cell) -> str:
    """Nearly all drafts of sources that copy stood, on a prompt whose earlier answer may still be there to be copied,
    declared warm or not."""
    drafted = accepted = 0
    for name, source in cell.figures.get("sources", {}).items():
        if name in catalog.names(free=True):
            drafted += source["drafted"]
            accepted += source["accepted"]
    if not cell.figures.get("uncooled") or not drafted or accepted < TOO_GOOD * drafted:
        return ""
    return f"{accepted} of {drafted} copied tokens stood on a repeated prompt: its own earlier answer may be the source"


def other_load(cell: Cell, limit: float = OTHERS) -> str:
    """Other processes took CPU time."""
    share, elapsed = cell.figures.get("others_cpu"), cell.figures.get("elapsed_seconds")
    if share is None or share <= limit + (TICKS / elapsed if elapsed else 0.0):
        return ""
    return f"other processes took {100 * share:.0f} % of the CPU time"


def clock_step(cell: Cell) -> str:
    """Somebody set the clock, or the machine slept."""
    wall, elapsed = cell.figures.get("wall_seconds"), cell.figures.get("elapsed_seconds")
    if wall is None or elapsed is None or abs(wall - elapsed) <= STEP + elapsed / 1000:
        return ""
    return f"the wall clock went {wall:.2f} s while {elapsed:.2f} s passed"


def _garbage(cell: Cell, limits: Limits) -> str:
    figures = cell.figures
    return limits.garbage(cell.answer, cell.token_ids, figures.get("max_tokens", 0), figures.get("finish", ""))
