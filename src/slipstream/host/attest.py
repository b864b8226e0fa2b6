"""What a result was measured on: a record of the host and the launch, stored with every run (requirements R2, R9, R28).

What can't be read is None, never a guess. Nothing in it tells one owner from another: no serials, host or user names.
"""

import os
import platform
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from slipstream.host import cgroup, cpu, launch, memory, pages, power, topology
from slipstream.host.cgroup import read_text
from slipstream.host.pages import Pages
from slipstream.host.power import Power
from slipstream.host.topology import Node, Topology

CONTAINER = re.compile(r"docker|kubepods|containerd|libpod|podman|lxc|garden|nspawn")
CONTAINER_FILES = (".dockerenv", "run/.containerenv")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """Sizes in bytes, times in seconds; `taken` since the epoch, `uptime` since boot.

    `cores`, `logical`, `quota`, `memory_total` and `memory_available` are what this process may use (`cpu.Cpu`,
    `memory.Memory`); `memory_limit` is the control groups' limit. `virtual` and `container` name what speaks for one,
    "" if nothing does. `load` are the averages over 1, 5 and 15 minutes. `engine` and `system_info` are the engine's
    build, `models` content hashes by file name, `argv` and `environment` how the process was really started.
    """

    taken: float
    cpu: str
    machine: str
    microcode: str | None
    instruction_sets: tuple[str, ...]
    cores: int
    logical: int
    quota: float | None
    topology: Topology
    power: Power
    pages: Pages
    memory_total: int
    memory_available: int
    memory_limit: int | None
    swap_used: int | None
    load: tuple[float, float, float] | None
    kernel: str | None
    uptime: float | None
    virtual: str | None
    container: str
    engine: str = ""
    system_info: str = ""
    models: Mapping[str, str] = field(default_factory=dict)
    argv: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Attestation":
        """Raises KeyError or TypeError for anything that `to_json` didn't write."""
        given = dict(value)
        layout = given["topology"]
        nodes = None if layout["nodes"] is None else tuple(Node(**node) for node in layout["nodes"])
        given["topology"] = Topology(nodes, layout["balancing"], layout["threads_per_core"])
        given["power"], given["pages"] = Power(**given["power"]), Pages(**given["pages"])
        for name in ("instruction_sets", "argv", "load"):
            given[name] = tuple(given[name]) if given[name] is not None else None
        return cls(**given)


def read(
    root: Path = Path("/"),
    *,
    engine: str = "",
    system_info: str = "",
    models: Mapping[str, str] | None = None,
    argv: Sequence[str] | None = None,
    environ: Mapping[str, str] = os.environ,
    taken: float | None = None,
) -> Attestation:
    """The machine as it is now. Engine and models are known further up and come as arguments; `argv` None: this
    process's own. Takes a few milliseconds for every ten cores."""
    processor, room = cpu.read(root), memory.read(root)
    table = memory.parse_table(read_text(root / "proc/meminfo") or "")
    whole = table.get("MemTotal")
    swap = table["SwapTotal"] - table["SwapFree"] if {"SwapTotal", "SwapFree"} <= table.keys() else None
    return Attestation(
        taken=time.time() if taken is None else taken,
        cpu=processor.model,
        machine=processor.machine,
        microcode=_microcode(root),
        instruction_sets=processor.vector_flags,
        cores=processor.cores,
        logical=processor.logical,
        quota=processor.quota,
        topology=topology.read(root),
        power=power.read(root),
        pages=pages.read(root),
        memory_total=room.total,
        memory_available=room.available,
        memory_limit=room.total if whole is not None and room.total < whole else None,
        swap_used=swap,
        load=_load(root),
        kernel=read_text(root / "proc/sys/kernel/osrelease") or (platform.release() if _here(root) else None),
        uptime=_uptime(root),
        virtual=_virtual(root, processor.flags),
        container=_container(root),
        engine=engine,
        system_info=system_info,
        models=dict(models or {}),
        argv=launch.arguments(sys.argv if argv is None else argv),
        environment=launch.environment(environ),
    )


def _here(root: Path) -> bool:
    return root == Path("/")


def _microcode(root: Path) -> str | None:
    match = re.search(r"^microcode\s*:\s*(\S+)", read_text(root / "proc/cpuinfo") or "", re.MULTILINE)
    return match[1] if match else None


def _numbers(text: str | None) -> list[float]:
    return [float(word) for word in (text or "").split() if re.fullmatch(r"\d+(\.\d+)?", word)]


def _load(root: Path) -> tuple[float, float, float] | None:
    found = _numbers(read_text(root / "proc/loadavg"))
    if len(found) >= 3:
        return found[0], found[1], found[2]
    return os.getloadavg() if _here(root) and hasattr(os, "getloadavg") else None


def _uptime(root: Path) -> float | None:
    return next(iter(_numbers(read_text(root / "proc/uptime"))), None)


def _virtual(root: Path, flags: frozenset[str]) -> str | None:
    """What the hypervisor calls its machine; ARM has no flag that tells whether there is one."""
    names = (read_text(root / f"sys/class/dmi/id/{name}") for name in ("sys_vendor", "product_name"))
    product = " ".join(name for name in names if name)
    if "hypervisor" in flags:
        return product or read_text(root / "sys/hypervisor/type") or "a hypervisor"
    return "" if "fpu" in flags else None


def _container(root: Path) -> str:
    for name in CONTAINER_FILES:
        if (root / name).exists():
            return f"/{name}"
    paths = cgroup.groups(read_text(root / "proc/self/cgroup") or "").values()
    match = next(filter(None, map(CONTAINER.search, paths)), None)
    return f"control group of {match[0]}" if match else ""
