"""Available memory on made-up machines."""

from pathlib import Path

from slipstream.host import memory
from tests.host.machines import tree, v2

GIB = 1 << 30
MEMINFO = {"proc/meminfo": f"MemTotal: {64 * GIB // 1024} kB\nMemFree: 5 kB\nMemAvailable: {40 * GIB // 1024} kB\n"}


def test_the_machine_itself(tmp_path: Path) -> None:
    found = memory.read(tree(tmp_path, MEMINFO))
    assert (found.total, found.available) == (64 * GIB, 40 * GIB)


def test_limit_of_version_2_counts_reclaimable_cache_as_room(tmp_path: Path) -> None:
    group = {
        "memory.max": str(8 * GIB),
        "memory.current": str(6 * GIB),
        "memory.stat": f"anon 1\ninactive_file {3 * GIB}\nactive_file 7\n",
    }
    found = memory.read(tree(tmp_path, MEMINFO | v2("/box", group)))
    assert (found.total, found.available) == (8 * GIB, 5 * GIB)
    assert found.reason == "control group limit in /sys/fs/cgroup/box/memory.max"


def test_an_ancestor_binds(tmp_path: Path) -> None:
    files = MEMINFO | v2("/a/b", {"memory.max": "max", "memory.current": "1"})
    files |= {"sys/fs/cgroup/a/memory.max": str(4 * GIB), "sys/fs/cgroup/a/memory.current": str(GIB)}
    assert memory.read(tree(tmp_path, files)).available == 3 * GIB


def test_limit_of_version_1(tmp_path: Path) -> None:
    files = MEMINFO | {
        "proc/self/cgroup": "4:memory:/job\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
        "sys/fs/cgroup/memory/job/memory.limit_in_bytes": str(2 * GIB),
        "sys/fs/cgroup/memory/job/memory.usage_in_bytes": str(GIB),
        "sys/fs/cgroup/memory/job/memory.stat": f"total_inactive_file {GIB // 2}\n",
    }
    found = memory.read(tree(tmp_path, files))
    assert (found.total, found.available) == (2 * GIB, 3 * GIB // 2)


def test_over_the_limit_is_zero(tmp_path: Path) -> None:
    files = MEMINFO | v2("/", {"memory.max": "10", "memory.current": "20"})
    assert memory.read(tree(tmp_path, files)).available == 0


def test_without_proc(tmp_path: Path) -> None:
    found = memory.read(tmp_path, fallback=lambda: (8, 4))
    assert (found.total, found.available) == (8, 4)
    assert "operating system" in found.reason


def test_this_machine() -> None:
    found = memory.read()
    assert 0 < found.available <= found.total
