"""What stored JSON values say in words: an arm's model and method, a run's engine, a host's facts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from slipstream.bench.cell import Arm, Run

UNKNOWN = "unknown"
OFF = ("off", "none", "plain", "")
OURS = "slipstream"
"""What Slipstream itself is called among peers (peers.ours.NAME)."""


@dataclass(frozen=True, slots=True)
class Method:
    """How an arm generates: who drafts ("auto": whoever the policy picks), with how many experts, if that was set, and
    by which other engine, if by one."""

    sources: tuple[str, ...] = ()
    experts: int | None = None
    peer: str = ""

    @property
    def name(self) -> str:
        """In words; "plain" if there is nothing to say."""
        parts = [self.peer, " + ".join(source.replace("_", " ") for source in self.sources)]
        if self.experts is not None:
            parts.append(f"{self.experts} expert{'' if self.experts == 1 else 's'}")
        return ", ".join(part for part in parts if part) or "plain"


def method_of(arm: Arm) -> Method:
    """Read off the configuration's settings: `draft` (or `drafters`) and `experts`; and its `peer` and that one's
    `setting`, where that is another engine."""
    settings = _settings(arm)
    # What a measured arm is told leaves out what is as usual; a configuration without settings is told in full.
    usual = () if settings is arm.configuration else "auto"
    chosen = settings.get("draft", settings.get("drafters", usual))
    names = chosen.split(",") if isinstance(chosen, str) else chosen if isinstance(chosen, Sequence) else ()
    sources = tuple(sorted(str(name).strip() for name in names if str(name).strip() not in OFF))
    experts = settings.get("experts")
    peer, setting = (str(arm.configuration.get(key) or "") for key in ("peer", "setting"))
    return Method(
        sources=sources,
        experts=int(experts) if isinstance(experts, (int, float)) else None,
        peer="" if peer in ("", OURS) else f"{peer} {setting}".strip(),
    )


def _settings(arm: Arm) -> Mapping[str, Any]:
    settings = arm.configuration.get("settings")
    return settings if isinstance(settings, Mapping) else arm.configuration


def model_of(run: Run, arm: str) -> str:
    """The file name of the model that an arm ran: from its settings, else from the run's plan, else the only one that
    the run attests."""
    named = next((one for one in run.arms if one.name == arm), Arm(name=arm))
    attested = run.attestation.get("models")
    for place in (_settings(named), run.plan, {"model": list(attested or ())}):
        value = place.get("model") or place.get("models")
        if isinstance(value, (list, tuple)) and len(value) == 1:
            value = value[0]
        if isinstance(value, str) and value:
            return PurePath(value).name.removesuffix(".gguf")
    return UNKNOWN


def engine_of(run: Run) -> str:
    """The engine build that a run's attestation names."""
    return str(run.attestation.get("engine") or UNKNOWN)


def host_of(run: Run) -> str:
    """The name under which runs of one machine stand together: its CPU, and how many cores of it could be used."""
    cpu, cores = run.attestation.get("cpu"), run.attestation.get("cores")
    if not isinstance(cpu, str) or not cpu:
        return UNKNOWN
    return f"{cpu}, {cores} core{'' if cores == 1 else 's'}" if cores else cpu


def flatten(value: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """Nested facts as text by dotted name. Lists of plain values become one line."""
    found: dict[str, str] = {}
    for key, one in value.items():
        name = f"{above}{key}"
        if isinstance(one, Mapping):
            found |= flatten(one, f"{name}.")
        elif isinstance(one, (list, tuple)):
            if any(isinstance(part, Mapping) for part in one):
                found |= flatten({str(number): part for number, part in enumerate(one)}, f"{name}.")
            else:
                found[name] = ", ".join(map(plain, one))
        else:
            found[name] = plain(one)
    return found


def plain(value: Any) -> str:
    """A JSON value as a reader would write it."""
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)
