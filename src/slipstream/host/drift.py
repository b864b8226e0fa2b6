"""What two attestations differ in, if a ratio of results across them would be dishonest (requirement R2)."""

from collections.abc import Iterator, Mapping
from typing import Any

from slipstream.host.attest import Attestation

APART = 12 * 3600.0
"""Seconds after which two runs are no longer of the same window: hosts drift from day to day."""
REBOOT = 60.0
"""Seconds by which two estimates of the time of boot may differ."""
SWAPPED = 64 << 20
"""Bytes of growth in swap that say memory was short."""
STATE = frozenset(
    {
        "taken", "memory_available", "memory_total", "swap_used", "load", "uptime", "argv", "power.temperature",
        "power.throttled", "topology.nodes",
    }
)  # fmt: skip
"""What changes from minute to minute, or is what arms differ in on purpose; judged apart where it says something."""


def differences(before: Attestation, after: Attestation) -> tuple[str, ...]:
    """One line for each, in the order of the record; empty if results may be compared. What either couldn't read
    counts as the same only if neither could."""
    ours, theirs = dict(_flat(before.to_json())), dict(_flat(after.to_json()))
    found = [
        f"{name}: {_shown(ours.get(name))}, then {_shown(theirs.get(name))}"
        for name in dict.fromkeys((*ours, *theirs))
        if name not in STATE and ours.get(name) != theirs.get(name)
    ]
    layouts = [[(node.number, node.cpus, node.total) for node in one.topology.nodes or ()] for one in (before, after)]
    if layouts[0] != layouts[1]:
        found.append(f"NUMA nodes: {len(layouts[0])} of them, then {len(layouts[1])}, or of other sizes")
    return (*found, *_happened(before, after))


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested records by dotted name; counts by value and variables stay together."""
    for name, item in value.items():
        if name in ("topology", "power", "pages"):
            yield from _flat(item, f"{name}.")
        else:
            yield f"{prefix}{name}", item


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {item}" for name, item in value.items()) or "none"
    if isinstance(value, (tuple, list)):
        return " ".join(map(str, value)) or "none"
    return "not readable" if value is None else str(value) or "none"


def _happened(before: Attestation, after: Attestation) -> Iterator[str]:
    apart = abs(after.taken - before.taken)
    if apart > APART:
        yield f"they are {apart / 3600:.0f} hours apart"
    if before.uptime is not None and after.uptime is not None:
        boots = before.taken - before.uptime, after.taken - after.uptime
        if abs(boots[1] - boots[0]) > REBOOT:
            yield "the machine was started again in between"
    events = (after.power.throttled or 0) - (before.power.throttled or 0)
    if events > 0:
        yield f"the cores were throttled {events} times in between"
    grown = (after.swap_used or 0) - (before.swap_used or 0)
    if grown > SWAPPED:
        yield f"{grown >> 20} MB went to swap in between"
