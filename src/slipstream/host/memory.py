"""Memory that this process can still take before the kernel or its container stops it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from slipstream.host import cgroup
from slipstream.host.cgroup import read_text

# Version 1 writes "no limit" as a page-aligned number close to 2^63.
NO_LIMIT = 1 << 60


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes: `available` can be taken now without swapping, `total` at most; `reason` says what binds."""

    total: int
    available: int
    reason: str


@dataclass(frozen=True, slots=True)
class _Group:
    """What control groups say, version 1 or 2: file names of limit and usage, name of the reclaimable cache."""

    controller: str
    limit: str
    usage: str
    cache: str


GROUPS = (
    _Group(cgroup.UNIFIED, "memory.max", "memory.current", "inactive_file"),
    _Group("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def parse_table(text: str) -> dict[str, int]:
    """Name -> number of /proc/meminfo ("MemFree:  12 kB", in bytes) or memory.stat ("inactive_file 4096")."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        fields = line.replace(":", " ").split()
        if len(fields) >= 2 and fields[1].isdigit():
            found[fields[0]] = int(fields[1]) * (1024 if fields[2:3] == ["kB"] else 1)
    return found


def _limit(folder: Path, kind: _Group) -> int | None:
    text = read_text(folder / kind.limit) or ""
    return int(text) if text.isdigit() and int(text) < NO_LIMIT else None


def _room(folder: Path, kind: _Group) -> int | None:
    """Bytes below the group's limit; file cache that the kernel gives back on demand counts as room."""
    limit = _limit(folder, kind)
    usage = read_text(folder / kind.usage) or ""
    if limit is None or not usage.isdigit():
        return limit
    cache = parse_table(read_text(folder / "memory.stat") or "").get(kind.cache, 0)
    return max(0, limit - max(0, int(usage) - cache))


def _by_psutil() -> tuple[int, int]:
    import psutil

    memory = psutil.virtual_memory()
    return int(memory.total), int(memory.available)


def read(root: Path = Path("/"), *, fallback: Callable[[], tuple[int, int]] = _by_psutil) -> Memory:
    """Memory as this process may use it: the tightest of the machine and every control group above it."""
    table = parse_table(read_text(root / "proc/meminfo") or "")
    if "MemTotal" in table and "MemAvailable" in table:
        total, available, reason = table["MemTotal"], table["MemAvailable"], "available memory of the machine"
    else:
        total, available = fallback()
        reason = "no MemAvailable in /proc/meminfo: by the operating system"
    for kind in GROUPS:
        for folder in cgroup.folders(kind.controller, root):
            limit, room = _limit(folder, kind), _room(folder, kind)
            if limit is not None:
                total = min(total, limit)
            if room is not None and room < available:
                available, reason = room, f"control group limit in /{folder.relative_to(root) / kind.limit}"
    return Memory(total, available, reason)
