"""Which memory belongs to which cores: NUMA nodes, and whether the kernel moves pages between them."""

from dataclasses import dataclass
from pathlib import Path

from slipstream.host.cgroup import read_text
from slipstream.host.cpu import parse_cpu_list
from slipstream.host.memory import parse_table

NODES = "sys/devices/system/node"


@dataclass(frozen=True, slots=True)
class Node:
    """A NUMA node: its number, its hardware threads, bytes of memory in all and free. None: not readable."""

    number: int
    cpus: int
    total: int | None
    free: int | None


@dataclass(frozen=True, slots=True)
class Topology:
    """`balancing`: the kernel moves pages after the threads that use them, which disturbs a decode. `threads_per_core`
    is 2 where SMT is on. None: not readable."""

    nodes: tuple[Node, ...] | None
    balancing: bool | None
    threads_per_core: int | None


def read(root: Path = Path("/")) -> Topology:
    """The whole machine, also what this process may not use."""
    folders = [path for path in (root / NODES).glob("node[0-9]*") if path.name[4:].isdigit()]
    balancing = read_text(root / "proc/sys/kernel/numa_balancing")
    return Topology(
        nodes=tuple(_node(path) for path in sorted(folders, key=lambda path: int(path.name[4:]))) or None,
        balancing=balancing != "0" if balancing else None,
        threads_per_core=_threads_per_core(root),
    )


def _node(folder: Path) -> Node:
    # Lines read "Node 0 MemTotal:  123 kB".
    lines = (read_text(folder / "meminfo") or "").splitlines()
    table = parse_table("\n".join(line.split(maxsplit=2)[-1] for line in lines if line.strip()))
    cpus = parse_cpu_list(read_text(folder / "cpulist") or "")
    return Node(int(folder.name[4:]), len(cpus), table.get("MemTotal"), table.get("MemFree"))


def _threads_per_core(root: Path) -> int | None:
    folders = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/topology")
    texts = (read_text(folder / "core_cpus_list") or read_text(folder / "thread_siblings_list") for folder in folders)
    return max((len(parse_cpu_list(text)) for text in texts if text), default=None)
