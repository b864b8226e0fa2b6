"""Who else used the CPU while something was measured."""

import os
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from slipstream.host.cgroup import read_text

BUSY = ("user", "nice", "system", "irq", "softirq", "steal")
FIELDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
"""Of a line of /proc/stat, in ticks; guests' time is in the user's already."""


@dataclass(frozen=True, slots=True)
class Busy:
    """Shares, 0 to 1, of all usable hardware threads over an interval of `seconds`: `others` other processes (the
    kernel's own work included), `own` this process and its descendants, `steal` what the hypervisor gave to other
    guests. The kernel counts in ticks of 10 ms, so over a tenth of a second they are good to a tenth."""

    others: float
    steal: float
    own: float
    seconds: float

    @property
    def figures(self) -> dict[str, float]:
        """As a cell keeps them."""
        return {"others_cpu": round(self.others, 4), "steal": round(self.steal, 4)}


@dataclass(frozen=True, slots=True)
class _Mark:
    """CPU seconds so far."""

    at: float
    busy: float
    steal: float
    own: float


class Sentinel:
    """Put around a measurement: `begin()`, then `end()`. Both read a few kernel files, in well under a millisecond.

    Children are followed while they live and counted after they end; one that leaves the family (a daemon) is another
    process. `cpus` are the hardware threads that count (None: those of the affinity mask); `own` gives the CPU seconds
    of this process and its descendants.
    """

    def __init__(
        self,
        root: Path = Path("/"),
        *,
        cpus: Collection[int] | None = None,
        own: Callable[[], float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stat = root / "proc/stat"
        self._cpus = frozenset(cpus) if cpus is not None else _affinity()
        self._own = own or own_seconds
        self._clock = clock
        self._start: _Mark | None = None

    def begin(self) -> None:
        """The interval starts now; an earlier start is forgotten."""
        self._start = self._mark()

    def end(self) -> Busy:
        """The shares since `begin`, which stays the start. RuntimeError without one."""
        if self._start is None:
            raise RuntimeError("end() without begin()")
        start, now = self._start, self._mark()
        seconds = now.at - start.at
        capacity = max(seconds, 1e-9) * max(1, len(self._cpus))
        own, steal = now.own - start.own, now.steal - start.steal
        others = now.busy - start.busy - steal - own
        return Busy(_share(others / capacity), _share(steal / capacity), _share(own / capacity), seconds)

    def _mark(self) -> _Mark:
        text = read_text(self._stat)
        busy, steal = _by_proc(text, self._cpus) if text is not None else _by_psutil()
        return _Mark(self._clock(), busy, steal, self._own())


def own_seconds() -> float:
    """CPU seconds of this process, of its children that ended, and of its descendants that live."""
    used = os.times()
    return time.process_time() + used.children_user + used.children_system + sum(map(_used, _descendants("self")))


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))


def _affinity() -> frozenset[int]:
    try:
        return frozenset(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # macOS has no affinity masks
        return frozenset(range(os.cpu_count() or 1))


def _tick() -> float:
    return 1.0 / os.sysconf("SC_CLK_TCK")


def _by_proc(text: str, cpus: frozenset[int]) -> tuple[float, float]:
    """Busy and stolen seconds of these hardware threads."""
    names = {f"cpu{number}" for number in cpus}
    busy = steal = 0
    for line in text.splitlines():
        name, *ticks = line.split()[: 1 + len(FIELDS)]
        if not name.startswith("cpu"):
            break  # The lines of the CPUs come first.
        if name in names:
            values = dict(zip(FIELDS, map(int, ticks), strict=False))
            busy += sum(values.get(field, 0) for field in BUSY)
            steal += values.get("steal", 0)
    return busy * _tick(), steal * _tick()


def _by_psutil() -> tuple[float, float]:
    """Of the whole machine, where there is no /proc."""
    import psutil

    times = psutil.cpu_times()
    return sum(getattr(times, field, 0.0) for field in BUSY), getattr(times, "steal", 0.0)


def _descendants(process: str) -> Iterator[str]:
    """Process numbers below one, each after its parent; none where the kernel doesn't list them."""
    try:
        tasks = os.listdir(f"/proc/{process}/task")
    except OSError:
        return
    for task in tasks:
        for child in (read_text(Path(f"/proc/{process}/task/{task}/children")) or "").split():
            yield child
            yield from _descendants(child)


def _used(process: str) -> float:
    """CPU seconds of a process and of its own children that ended; 0 if it is gone."""
    # The name, in brackets, may hold blanks; user, system and both of the children are fields 14 to 17.
    fields = (read_text(Path(f"/proc/{process}/stat")) or "").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) * _tick() if len(fields) >= 15 else 0.0
