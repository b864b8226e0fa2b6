"""A machine as the roofline sees it: this one, by what was measured, or a described one."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any

from slipstream.core.errors import RequestError, UnknownName

NEEDED = ("cores", "clock_ghz", "peak_bandwidth", "layer_ms")
OPTIONAL = ("decode_bandwidth", "triad_share", "scaling")
LAYER_MS_PER_CORE = 0.004
"""Milliseconds of thread synchronization a layer, for every core that takes part: what the rates published for 96
cores come to (hosts.toml), taken as proportional. On two cores it hardly matters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Bandwidths in bytes a second, `layer_ms` in milliseconds a layer and pass. `decode_bandwidth` 0: it isn't known,
    see `hosts.toml`, which explains every field. `sources` say where the values come from, by field."""

    name: str
    title: str
    cores: int
    clock_ghz: float
    peak_bandwidth: float
    decode_bandwidth: float = 0.0
    triad_share: float = 1.0
    layer_ms: float
    scaling: float = 1.0
    instruction_sets: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def arithmetic(self) -> float:
        """Core cycles a second, in billions, that a pass can count on."""
        return self.cores * self.clock_ghz * self.scaling

    def bandwidth(self, attained: float) -> float:
        """Bytes a second that decoding gets from memory; `attained` is the share of a triad that it gets elsewhere."""
        return self.decode_bandwidth or self.peak_bandwidth * self.triad_share * attained


def this_machine(title: str, cores: int, clock_ghz: float, triad: float, instruction_sets: tuple[str, ...]) -> Machine:
    """The machine at hand, whose triad was measured in bytes a second."""
    return Machine(
        name="here",
        title=title,
        cores=cores,
        clock_ghz=clock_ghz,
        peak_bandwidth=triad,
        layer_ms=LAYER_MS_PER_CORE * cores,
        instruction_sets=instruction_sets,
    )


def described(name: str, file: Path | None = None) -> Machine:
    """The machine of this name in `file`, else among those that ship. Raises UnknownName, or RequestError naming file
    and field."""
    table = _read(file)
    if name not in table:
        raise UnknownName("machine", name, table)
    return _machine(name, table[name], str(file or "hosts.toml"))


def _read(file: Path | None) -> dict[str, Any]:
    try:
        if file is None:
            return tomllib.loads(resources.files("slipstream.bench").joinpath("hosts.toml").read_text("utf-8"))
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise RequestError(f"can't read {file}: {error.strerror}", hint="name a TOML file of machines") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"{file} is not TOML: {error}", hint="one [name] table for each machine") from None


def _machine(name: str, row: Any, where: str) -> Machine:
    known = {one.name: one for one in fields(Machine) if one.name != "name"}
    if not isinstance(row, dict):
        raise RequestError(f"{where}: {name} is no table", hint=f"write [{name}] and its fields below")
    for given in row:
        if given not in known:
            raise UnknownName(f"field of [{name}] in {where},", given, known)
    values: dict[str, Any] = {"name": name, "title": name, **row}
    for field_name in (*NEEDED, *OPTIONAL):
        value = values.get(field_name)
        if value is None and field_name in OPTIONAL:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise RequestError(f"{where}: [{name}] {field_name} is {value!r}", hint="a positive number is needed")
    values["instruction_sets"] = tuple(map(str, values.get("instruction_sets", ())))
    return Machine(**values)
