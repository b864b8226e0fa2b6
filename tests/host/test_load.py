"""The sentinel: on a made-up /proc/stat exactly, on this machine with a real busy process."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from slipstream.host import load
from slipstream.host.load import Sentinel

SPIN = "import time\nend = time.process_time() + {}\nwhile time.process_time() < end: pass\n"


class Made:
    """A machine of two hardware threads whose counters and clock are moved by hand."""

    def __init__(self, root: Path) -> None:
        self.path = root / "proc/stat"
        self.path.parent.mkdir()
        self.now = self.used = 0.0
        self.ticks = [[0] * 10, [0] * 10]
        self.write()
        self.sentinel = Sentinel(root, cpus={0, 1}, own=lambda: self.used, clock=lambda: self.now)

    def write(self) -> None:
        total = [sum(pair) for pair in zip(*self.ticks, strict=True)]
        rows = [("cpu ", total), *((f"cpu{n}", row) for n, row in enumerate(self.ticks)), ("cpu7", [9999] * 10)]
        lines = [f"{name} {' '.join(map(str, row))}" for name, row in rows]
        self.path.write_text("\n".join([*lines, "intr 1 2 3", "cpu0 1 1 1"]))

    def spend(self, seconds: float, own: float, **ticks: int) -> None:
        """Of cpu1, by field."""
        for name, count in ticks.items():
            self.ticks[1][load.FIELDS.index(name)] += count
        self.now += seconds
        self.used += own
        self.write()


def test_shares_are_of_all_usable_threads(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.spend(5, 1, user=300)
    made.sentinel.begin()
    made.spend(10, 4.0, user=500, system=100, irq=50, softirq=50, steal=200, idle=100, iowait=70)
    busy = made.sentinel.end()
    assert (busy.others, busy.steal, busy.own) == pytest.approx((3 / 20, 2 / 20, 4 / 20))
    assert busy.figures == {"others_cpu": 0.15, "steal": 0.1}


def test_ticks_that_come_late_give_no_negative_share(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.sentinel.begin()
    made.spend(0.01, 0.02, user=1)
    busy = made.sentinel.end()
    assert (busy.others, busy.own) == (0.0, 1.0)


def test_an_interval_that_never_began(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        Made(tmp_path).sentinel.end()


def test_without_proc_psutil_is_asked(tmp_path: Path) -> None:
    sentinel = Sentinel(tmp_path)
    sentinel.begin()
    assert 0 <= sentinel.end().others <= 1


def test_a_child_is_ours_while_it_lives_and_after() -> None:
    before = load.own_seconds()
    with subprocess.Popen([sys.executable, "-c", SPIN.format(0.15) + "print(flush=True)\ninput()"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:  # fmt: skip
        assert child.stdout is not None
        child.stdout.readline()
        alive = load.own_seconds() - before
        child.communicate(b"\n")
    assert alive > 0.1
    assert load.own_seconds() - before >= alive - 0.03


def test_a_process_that_left_the_family_is_another() -> None:
    """Spins in a grandchild whose parent ends at once; the only real measurement, so its bounds are wide."""
    sentinel = Sentinel()
    start = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {SPIN.format(0.4)!r}])"
    sentinel.begin()
    subprocess.run([sys.executable, "-c", start], check=True, timeout=60)
    deadline = time.monotonic() + 20
    while (busy := sentinel.end()).others * busy.seconds * len(sentinel._cpus) < 0.25:
        assert time.monotonic() < deadline, busy
        time.sleep(0.05)
