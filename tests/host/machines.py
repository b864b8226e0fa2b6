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


def server(cores: int = 4) -> dict[str, str]:
    """A bare-metal host of two NUMA nodes that tells everything: SMT on, boost on, no hypervisor."""
    files = smt_machine(cores)
    files["proc/cpuinfo"] = CPUINFO + "microcode\t: 0xb002116\nbogomips\t: 5000.00\n"
    for number in range(2 * cores):
        folder = f"sys/devices/system/cpu/cpu{number}"
        files |= {
            f"{folder}/cpufreq/scaling_governor": "performance\n",
            f"{folder}/cpufreq/scaling_driver": "amd-pstate-epp\n",
            f"{folder}/cpufreq/energy_performance_preference": "performance\n",
            f"{folder}/cpufreq/scaling_max_freq": "4509375\n",
            f"{folder}/thermal_throttle/core_throttle_count": "1\n",
        }
    for node in range(2):
        first, last = node * cores, node * cores + cores - 1
        files |= {
            f"sys/devices/system/node/node{node}/cpulist": f"{first}-{last}\n",
            f"sys/devices/system/node/node{node}/meminfo": (
                f"Node {node} MemTotal:  2048 kB\nNode {node} MemFree: 8 kB\n"
            ),
        }
    return files | {
        "sys/devices/system/cpu/cpufreq/boost": "1\n",
        "sys/class/hwmon/hwmon0/name": "nvme\n",
        "sys/class/hwmon/hwmon0/temp1_input": "91000\n",
        "sys/class/hwmon/hwmon1/name": "k10temp\n",
        "sys/class/hwmon/hwmon1/temp1_input": "64250\n",
        "sys/class/hwmon/hwmon1/temp2_input": "58000\n",
        "sys/class/dmi/id/sys_vendor": "Supermicro\n",
        "sys/class/dmi/id/product_name": "AS-1115\n",
        "sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never\n",
        "sys/kernel/mm/transparent_hugepage/defrag": "always defer defer+madvise [madvise] never\n",
        "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "512\n",
        "sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages": "0\n",
        "proc/sys/kernel/numa_balancing": "0\n",
        "proc/sys/kernel/osrelease": "6.8.0-45-generic\n",
        "proc/loadavg": "0.52 0.40 0.30 1/900 4242\n",
        "proc/uptime": "86400.50 100.00\n",
        "proc/meminfo": "MemTotal: 4096 kB\nMemAvailable: 3000 kB\nSwapTotal: 1000 kB\nSwapFree: 900 kB\n",
    }
