"""`slipstream version`: what is installed, and whether the engine uses all that this CPU offers."""

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slipstream import __version__

if TYPE_CHECKING:
    from slipstream.engine.build import EngineBuild
    from slipstream.host.cpu import Cpu
    from slipstream.host.memory import Memory

REBUILD = (
    'CMAKE_ARGS="-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF" '
    "pip install --force-reinstall --no-deps --no-cache-dir --no-binary llama-cpp-python llama-cpp-python=={version}"
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What `--verbose` and `--json` tell. Memory in bytes."""

    slipstream: str
    engine: str
    engine_build: str
    compiled: tuple[str, ...]
    unused: tuple[str, ...]
    cpu: str
    machine: str
    cores: int
    cores_reason: str
    numa_nodes: int
    memory_total: int
    memory_available: int
    memory_reason: str
    host: str
    data_root: str


def facts(build: "EngineBuild", cpu: "Cpu", memory: "Memory", *, host: str, data_root: str) -> Facts:
    """Everything a measurement's reader would ask for."""
    return Facts(
        slipstream=__version__,
        engine=f"llama-cpp-python {build.binding_version}",
        engine_build=build.build_id,
        compiled=tuple(sorted(build.compiled)),
        unused=tuple(build.unused(cpu.flags)),
        cpu=cpu.model,
        machine=cpu.machine,
        cores=cpu.cores,
        cores_reason=cpu.reason,
        numa_nodes=cpu.numa_nodes,
        memory_total=memory.total,
        memory_available=memory.available,
        memory_reason=memory.reason,
        host=host,
        data_root=data_root,
    )


def lines(found: Facts) -> list[str]:
    """The facts for people, with a warning if the build leaves something unused."""
    gib = 1 << 30
    text = [
        f"slipstream {found.slipstream}",
        f"engine     {found.engine}, build {found.engine_build}",
        f"compiled   {' '.join(found.compiled)}",
        f"cpu        {found.cpu}, {found.machine}, {found.numa_nodes} NUMA node{'s' * (found.numa_nodes != 1)}",
        f"cores      {found.cores} usable ({found.cores_reason})",
        f"memory     {found.memory_available / gib:.1f} of {found.memory_total / gib:.1f} GiB ({found.memory_reason})",
        f"host       {found.host}",
        f"data root  {found.data_root}",
    ]
    if found.unused:
        text.append(f"warning: this build doesn't use {', '.join(found.unused)}, which the CPU offers")
        text.append(f"  hint: compile it here: {REBUILD.format(version=found.engine.split()[-1])}")
    return text


def read() -> Facts:
    """The facts of this process."""
    from slipstream.config import load
    from slipstream.engine.build import engine_build
    from slipstream.host import cpu, memory
    from slipstream.host.fingerprint import fingerprint

    this = cpu.read()
    root = load().data_root
    return facts(engine_build(), this, memory.read(), host=fingerprint(this), data_root=f"{root.path} ({root.reason})")


def version(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also engine build, CPU, memory, data root.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The same facts as JSON.")] = False,
) -> None:
    """Versions, and whether the engine's build uses all of this CPU."""
    if as_json:
        answer: dict[str, Any] = asdict(read()) if verbose else {"slipstream": __version__}
        print(json.dumps(answer, indent=2))
        return
    for line in lines(read()) if verbose else [f"slipstream {__version__}"]:
        print(line)
