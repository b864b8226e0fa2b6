"""How fast the cores may run: governor, boost, energy preference, frequency caps, heat. All of it from /sys."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from slipstream.host.cgroup import read_text

CPUS = "sys/devices/system/cpu"
CPU_SENSORS = frozenset({"k10temp", "zenpower", "coretemp", "cpu_thermal"})
"""Names by which kernel drivers call the CPU's own temperature sensors."""
NUMBERED = re.compile(r"(cpu|policy)\d+")


@dataclass(frozen=True, slots=True)
class Power:
    """`governors`, `energy_preferences` and `caps_mhz` count cores by value: {"performance": 96}. `temperature` is the
    hottest CPU sensor in degrees Celsius, `throttled` the throttling events that the cores count since boot. None: not
    readable (in a virtual machine mostly)."""

    driver: str | None
    governors: Mapping[str, int] | None
    energy_preferences: Mapping[str, int] | None
    caps_mhz: Mapping[str, int] | None
    boost: bool | None
    temperature: float | None
    throttled: int | None


def read(root: Path = Path("/")) -> Power:
    """Of all cores, also those that this process may not use: they share its power budget."""
    drivers = _counts(root, "cpufreq/scaling_driver")
    caps = _counts(root, "cpufreq/scaling_max_freq")
    return Power(
        driver=next(iter(drivers or ()), None),
        governors=_counts(root, "cpufreq/scaling_governor"),
        energy_preferences=_counts(root, "cpufreq/energy_performance_preference"),
        caps_mhz={str(int(khz) // 1000): count for khz, count in caps.items() if khz.isdigit()} if caps else None,
        boost=_boost(root),
        temperature=_temperature(root),
        throttled=_throttled(root),
    )


def _cores(root: Path) -> Iterator[Path]:
    return (path for path in sorted((root / CPUS).glob("cpu[0-9]*")) if NUMBERED.fullmatch(path.name))


def _counts(root: Path, name: str) -> dict[str, int] | None:
    found = Counter(text for core in _cores(root) if (text := read_text(core / name)))
    return dict(sorted(found.items())) or None


def _boost(root: Path) -> bool | None:
    """The kernel's common switch, else Intel's inverted one."""
    text = read_text(root / CPUS / "cpufreq/boost")
    if text in ("0", "1"):
        return text == "1"
    text = read_text(root / CPUS / "intel_pstate/no_turbo")
    return text == "0" if text in ("0", "1") else None


def _temperature(root: Path) -> float | None:
    sensors = [
        sensor
        for chip in sorted((root / "sys/class/hwmon").glob("hwmon*"))
        if read_text(chip / "name") in CPU_SENSORS
        for sensor in chip.glob("temp*_input")
    ]
    if not sensors:
        zones = sorted((root / "sys/class/thermal").glob("thermal_zone*"))
        sensors = [zone / "temp" for zone in zones if re.search("cpu|pkg", read_text(zone / "type") or "")]
    degrees = [int(text) / 1000 for sensor in sensors if re.fullmatch(r"-?\d+", text := read_text(sensor) or "")]
    return max(degrees, default=None)


def _throttled(root: Path) -> int | None:
    counters = [
        int(text)
        for core in _cores(root)
        for name in ("core_throttle_count", "package_throttle_count")
        if (text := read_text(core / "thermal_throttle" / name) or "").isdigit()
    ]
    return sum(counters) if counters else None


def nominal_ghz(root: Path = Path("/")) -> float | None:
    """The clock that the CPU is sold with, which doesn't move with load: the kernel's base frequency, else half its
    "bogomips" (x86 counts those in twice the nominal clock)."""
    base = read_text(root / CPUS / "cpu0/cpufreq/base_frequency") or ""
    if base.isdigit() and int(base):
        return int(base) / 1e6
    match = re.search(r"^bogomips\s*:\s*([\d.]+)", read_text(root / "proc/cpuinfo") or "", re.MULTILINE)
    return float(match[1]) / 2000 if match else None
