"""The CPU, and how many of its cores this process may really use."""

import math
import os
import platform
import re
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from slipstream.host import cgroup
from slipstream.host.cgroup import read_text

VECTOR_FLAG = re.compile(r"pni|s?sse|avx|amx|fma|f16c|bmi|asimd|neon|sve|sme|i8mm|bf16")


@dataclass(frozen=True, slots=True)
class Cpu:
    """What the CPU is and what of it is ours.

    `cores` counts physical cores that this process may use (SMT siblings once, never below 1): the natural thread
    count. `logical` counts the hardware threads of its affinity mask and cpuset. `quota` is the CPU time that control
    groups grant, in cores; None if unlimited. `reason` says how `cores` came about.
    """

    model: str
    machine: str
    flags: frozenset[str]
    logical: int
    cores: int
    quota: float | None
    numa_nodes: int
    reason: str

    @property
    def vector_flags(self) -> tuple[str, ...]:
        """The flags that say how fast arithmetic can be, sorted; the others also change with the kernel."""
        return tuple(sorted(flag for flag in self.flags if VECTOR_FLAG.match(flag)))


def parse_cpuinfo(text: str) -> tuple[str, frozenset[str]]:
    """Model name and feature flags of the first CPU in /proc/cpuinfo (x86 says "flags", ARM "Features")."""
    first: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        first.setdefault(key.strip(), value.strip())
    model = first.get("model name") or first.get("Model") or first.get("cpu model") or ""
    if not model and "CPU part" in first:  # 64-bit ARM servers give numbers only
        model = f"ARM implementer {first.get('CPU implementer', '?')} part {first['CPU part']}"
    return model, frozenset((first.get("flags") or first.get("Features") or "").split())


def parse_cpu_list(text: str) -> frozenset[int]:
    """CPU numbers of the kernel's list format, such as "0-3,8". Unreadable parts are left out."""
    found: set[int] = set()
    for part in text.replace("\n", ",").split(","):
        first, _, last = part.strip().partition("-")
        if first.isdigit() and (not last or last.isdigit()):
            found.update(range(int(first), min(int(last or first), 1 << 16) + 1))
    return frozenset(found)


def _quota_v2(folder: Path) -> float | None:
    fields = (read_text(folder / "cpu.max") or "").split()
    if len(fields) != 2 or not all(field.isdigit() for field in fields) or int(fields[1]) == 0:
        return None  # "max 100000": unlimited
    return int(fields[0]) / int(fields[1])


def _quota_v1(folder: Path) -> float | None:
    quota, period = read_text(folder / "cpu.cfs_quota_us"), read_text(folder / "cpu.cfs_period_us")
    if not (quota and period and quota.isdigit() and period.isdigit() and int(period)):
        return None  # "-1": unlimited
    return int(quota) / int(period)


def quota(root: Path = Path("/")) -> float | None:
    """CPU time that control groups grant, in cores; the tightest of all ancestors. None if unlimited."""
    limits = [
        cgroup.tightest(cgroup.folders(cgroup.UNIFIED, root), _quota_v2),
        cgroup.tightest(cgroup.folders("cpu", root), _quota_v1),
    ]
    return min((limit[0] for limit in limits if limit), default=None)


def cpuset(root: Path = Path("/")) -> frozenset[int] | None:
    """CPUs that the control group leaves to this process; None if it doesn't say."""
    for controller, names in (
        (cgroup.UNIFIED, ("cpuset.cpus.effective",)),
        ("cpuset", ("cpuset.effective_cpus", "cpuset.cpus")),
    ):
        for folder in cgroup.folders(controller, root):
            for name in names:
                if cpus := parse_cpu_list(read_text(folder / name) or ""):
                    return cpus
    return None


def core_groups(cpus: Iterable[int], root: Path = Path("/")) -> set[frozenset[int]] | None:
    """SMT sibling sets that hold at least one of `cpus`: one per physical core. None if /sys doesn't tell."""
    found: set[frozenset[int]] = set()
    for number in cpus:
        topology = root / f"sys/devices/system/cpu/cpu{number}/topology"
        text = read_text(topology / "core_cpus_list") or read_text(topology / "thread_siblings_list")
        siblings = parse_cpu_list(text or "")
        if not siblings:
            return None
        found.add(siblings)
    return found


def numa_nodes(root: Path = Path("/")) -> int:
    """NUMA nodes with CPUs; 1 if /sys doesn't tell."""
    folder = root / "sys/devices/system/node"
    try:
        names = [entry.name for entry in folder.iterdir()]
    except OSError:
        return 1
    nodes = [name for name in names if name.startswith("node") and name[4:].isdigit()]
    with_cpus = [name for name in nodes if read_text(folder / name / "cpulist")]
    return max(1, len(with_cpus) or len(nodes))


def _affinity() -> frozenset[int] | None:
    try:
        return frozenset(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # macOS has no affinity masks
        return None


def _physical_by_psutil() -> int | None:
    try:
        import psutil
    except ImportError:  # the installer reads the CPU before anything is installed
        return None
    count: int | None = psutil.cpu_count(logical=False)
    return count


def _sysctl(name: str) -> str:
    try:
        answer = subprocess.run(
            ["sysctl", "-n", name], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip()


def read(
    root: Path = Path("/"),
    *,
    affinity: frozenset[int] | None = None,
    machine: str = "",
    physical: Callable[[], int | None] = _physical_by_psutil,
    logical: Callable[[], int | None] = os.cpu_count,
) -> Cpu:
    """The CPU as this process may use it. Everything but `root` stands in for the real machine in tests."""
    text = read_text(root / "proc/cpuinfo")
    model, flags = parse_cpuinfo(text or "")
    if text is None and platform.system() == "Darwin":
        model = _sysctl("machdep.cpu.brand_string")
        flags = frozenset(f"{_sysctl('machdep.cpu.features')} {_sysctl('machdep.cpu.leaf7_features')}".lower().split())
    allowed = affinity if affinity is not None else _affinity() if root == Path("/") else None
    reasons = [f"affinity mask of {len(allowed)} CPUs" if allowed else "no affinity mask"]
    limited = cpuset(root)
    if limited is not None and allowed is not None and limited & allowed:
        if limited & allowed != allowed:
            reasons.append(f"cpuset leaves {len(limited & allowed)}")
        allowed &= limited
    elif limited is not None and allowed is None:
        allowed = limited
        reasons.append(f"cpuset of {len(limited)}")
    threads = len(allowed) if allowed else max(1, logical() or 1)
    groups = core_groups(allowed, root) if allowed else None
    if groups:
        cores = len(groups)
        reasons.append(f"{cores} physical cores by /sys")
    elif known := physical():
        cores = min(known, threads)
        reasons.append(f"no topology in /sys: {known} physical cores by the operating system")
    else:
        cores = threads
        reasons.append(f"no topology in /sys: {threads} hardware threads counted as cores")
    granted = quota(root)
    if granted is not None and math.ceil(granted) < cores:
        cores = max(1, math.ceil(granted))
        reasons.append(f"control group grants CPU time of {granted:g} cores")
    return Cpu(
        model=model or platform.processor() or "unknown CPU",
        machine=machine or platform.machine(),
        flags=flags,
        logical=threads,
        cores=cores,
        quota=granted,
        numa_nodes=numa_nodes(root),
        reason="; ".join(reasons),
    )
