"""Which llama.cpp this is: versions, instruction sets compiled in, and what the CPU offers beyond them."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

from llama_cpp import llama_cpp as library

BINDING = "llama-cpp-python"

INSTRUCTION_SETS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "SSE3": frozenset({"pni", "sse3"}),
        "SSSE3": frozenset({"ssse3"}),
        "AVX": frozenset({"avx"}),
        "AVX2": frozenset({"avx2"}),
        "F16C": frozenset({"f16c"}),
        "FMA": frozenset({"fma"}),
        "BMI2": frozenset({"bmi2"}),
        "AVX512": frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd"}),
        "AVX512_VBMI": frozenset({"avx512vbmi", "avx512_vbmi"}),
        "AVX512_VNNI": frozenset({"avx512_vnni", "avx512vnni"}),
        "AVX512_BF16": frozenset({"avx512_bf16"}),
        "AVX_VNNI": frozenset({"avx_vnni"}),
        "AMX_INT8": frozenset({"amx_int8"}),
        "NEON": frozenset({"asimd", "neon"}),
        "ARM_FMA": frozenset({"asimd"}),
        "FP16_VA": frozenset({"asimdhp"}),
        "DOTPROD": frozenset({"asimddp"}),
        "MATMUL_INT8": frozenset({"i8mm"}),
        "SVE": frozenset({"sve"}),
        "SME": frozenset({"sme"}),
    }
)
"""llama.cpp's name of an instruction set that speeds it up, and the kernel's names (/proc/cpuinfo) of what it needs."""

NEEDS_ALL = frozenset({"AVX512"})
SUPERSEDED: Mapping[str, str] = MappingProxyType({"AVX_VNNI": "AVX512_VNNI"})
"""What is no loss if the other is compiled in."""


@dataclass(frozen=True, slots=True)
class EngineBuild:
    """The loaded library. `build_id` changes with anything that can change its speed: measurements are kept by it."""

    binding_version: str
    library_version: str
    system_info: str
    compiled: frozenset[str]
    build_id: str

    def unused(self, offered: Collection[str]) -> tuple[str, ...]:
        """Instruction sets the CPU has (`offered`: flags as /proc/cpuinfo names them) but this build does not use."""
        flags = {flag.lower() for flag in offered}
        return tuple(
            name
            for name, needs in INSTRUCTION_SETS.items()
            if name not in self.compiled
            and SUPERSEDED.get(name) not in self.compiled
            and (needs <= flags if name in NEEDS_ALL else needs & flags)
        )


@cache
def engine_build() -> EngineBuild:
    """Facts of the loaded library; read once per process."""
    info = bytes(library.llama_print_system_info()).decode("utf-8", "replace").strip().strip("|").strip()
    binding = version(BINDING)
    number = _library_version()
    parts = [binding, number, _digest(Path(library.__file__).parent / "lib")]
    return EngineBuild(binding, number, info, parse_system_info(info), "-".join(part for part in parts if part))


def parse_system_info(text: str) -> frozenset[str]:
    """Names set to a non-zero number in "CPU : SSE3 = 1 | AVX = 1 | AMX_INT8 = 0 | ..."."""
    found = set()
    for part in text.split("|"):
        name, equals, value = part.rpartition(":")[2].partition("=")
        if equals and value.strip() not in ("", "0"):
            found.add(name.strip())
    return frozenset(found)


def _library_version() -> str:
    getter: Any = getattr(library, "llama_version", None)
    text = getter() if getter else b""
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else ""


def _digest(folder: Path) -> str:
    """8 hex digits over the library files that compute: the same version can be compiled in many ways."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*ggml-cpu*")) + sorted(folder.glob("*llama.*")):
        if path.is_file() and not path.is_symlink():
            digest.update(path.read_bytes())
    return digest.hexdigest()[:8]
