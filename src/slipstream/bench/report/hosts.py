"""The machines that runs were made on: what is the same in all of a machine's runs, and what changed between them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from slipstream.bench.cell import Run
from slipstream.bench.report.naming import flatten, host_of

OF_THE_RUN = ("argv", "engine", "environment", "memory_available", "models", "system_info", "taken", "uptime")
"""Facts of an attestation that are the run's, even where all runs agree."""
SIZE = re.compile(r"^(memory_\w+|swap_used|topology\.nodes\.\d+\.(total|free))$")
"""Facts in bytes."""
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Host:
    """A machine: what holds in every run on it, as texts by dotted name, and how many runs those are."""

    name: str
    facts: Mapping[str, str]
    runs: int


def hosts_of(runs: Sequence[Run]) -> tuple[Host, ...]:
    """Hosts in the order of `runs`, which is newest first; runs without a record have none."""
    names = dict.fromkeys(host_of(run) for run in runs if run.attestation)
    groups = {name: [run for run in runs if run.attestation and host_of(run) == name] for name in names}
    return tuple(Host(name, _steady(group), len(group)) for name, group in groups.items())


def changing(run: Run, hosts: Iterable[Host]) -> dict[str, str]:
    """What a run's attestation says beyond what always holds on its host."""
    steady = next((host.facts for host in hosts if host.name == host_of(run)), {})
    return {key: value for key, value in facts_of(run).items() if steady.get(key) != value}


def _steady(runs: Sequence[Run]) -> dict[str, str]:
    first, *others = map(facts_of, runs)
    return {
        key: value
        for key, value in first.items()
        if key.split(".")[0] not in OF_THE_RUN and all(other.get(key) == value for other in others)
    }


def label(key: str) -> str:
    """A fact's dotted name in words."""
    return key.replace(".", " ").replace("_", " ") if not key.startswith("models.") else key.removeprefix("models.")


def facts_of(run: Run) -> dict[str, str]:
    """A run's attestation as texts, with sizes in GiB."""
    texts = flatten(run.attestation)
    return {
        key: f"{int(text) / GIB:.4g} GiB" if SIZE.search(key) and text.isdigit() else text
        for key, text in texts.items()
    }
