"""Made-up machines: trees of /proc and /sys files under a temporary root."""

from collections.abc import Mapping
from pathlib import Path

CPUINFO = """\
processor\t: 0
model name\t: AMD EPYC 9655 96-Core Processor
flags\t\t: fpu sse2 ssse3 fma avx2 avx512f avx512_bf16 constant_tsc

processor\t: 1
model name\t: another one
flags\t\t: fpu
"""


def tree(root: Path, files: Mapping[str, str]) -> Path:
    """Write the files under `root` and return it."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def smt_machine(cores: int) -> dict[str, str]:
    """A host with two hardware threads per core: thread n and n + cores are siblings."""
    files = {"proc/cpuinfo": CPUINFO}
    for number in range(2 * cores):
        first = number % cores
        files[f"sys/devices/system/cpu/cpu{number}/topology/core_cpus_list"] = f"{first},{first + cores}\n"
    return files


def v2(path: str, files: Mapping[str, str]) -> dict[str, str]:
    """Files of a cgroup v2 group at `path` of this process."""
    folder = f"sys/fs/cgroup{path.rstrip('/')}"
    return {"proc/self/cgroup": f"0::{path}\n", "sys/fs/cgroup/cgroup.procs": ""} | {
        f"{folder}/{name}": text for name, text in files.items()
    }
