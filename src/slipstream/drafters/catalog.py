"""The table of draft sources. A new one is a file of its own and a line here."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Any

from slipstream.core.errors import RequestError, UnknownName
from slipstream.core.ports import Drafter


@dataclass(frozen=True, slots=True)
class Entry:
    """A draft source: where its class and its frozen config stand (imported only when asked for), what it does in one
    line, whether drafting is free (costs no model pass), and whether "auto" uses it."""

    path: str
    config: str
    purpose: str
    free: bool = True
    auto: bool = True

    def load(self, attribute: str) -> Any:
        """The class or config behind a dotted path."""
        module, _, name = attribute.rpartition(".")
        return getattr(import_module(module), name)


_HERE = "slipstream.drafters"

CATALOG: Mapping[str, Entry] = {
    "suffix": Entry(
        f"{_HERE}.suffix.Suffix",
        f"{_HERE}.suffix.SuffixConfig",
        "copies what followed the same words before, in this request and in earlier outputs, by vote",
    ),
    "prompt_lookup": Entry(
        f"{_HERE}.prompt_lookup.PromptLookup",
        f"{_HERE}.prompt_lookup.PromptLookupConfig",
        "copies what followed the longest repeated words of this request",
        auto=False,  # suffix finds the same and votes: docs/decisions/0009-auto-is-suffix-and-reference.md
    ),
    "reference": Entry(
        f"{_HERE}.reference.Reference",
        f"{_HERE}.reference.ReferenceConfig",
        "copies a text that the caller expects (predicted output), and finds back after a difference",
    ),
    "native_head": Entry(
        f"{_HERE}.native_head.NativeHead",
        f"{_HERE}.native_head.NativeHeadConfig",
        "runs the next-token head that the model file itself carries (MTP)",
        free=False,
    ),
    "draft_model": Entry(
        f"{_HERE}.draft_model.DraftModel",
        f"{_HERE}.draft_model.DraftModelConfig",
        "asks a second, smaller model, of the same or any other vocabulary",
        free=False,
    ),
    "self_draft": Entry(
        f"{_HERE}.draft_model.DraftModel",
        f"{_HERE}.draft_model.DraftModelConfig",
        "asks a copy of the model without some of its layers, made by slipstream selfdraft",
        free=False,
    ),
    "cascade": Entry(
        f"{_HERE}.cascade.Cascade",
        f"{_HERE}.cascade.CascadeConfig",
        "routes between several self-drafts over a free source (CAS-Spec)",
        free=False,
        auto=False,  # never ahead of its best level alone where it was measured
    ),
}


def names(*, free: bool | None = None) -> tuple[str, ...]:
    """Every name, in the table's order; only free sources, or only those that cost model passes."""
    return tuple(name for name, entry in CATALOG.items() if free in (None, entry.free))


def automatic() -> tuple[str, ...]:
    """Names that "auto" stands for."""
    return tuple(name for name, entry in CATALOG.items() if entry.auto)


def entry(name: str) -> Entry:
    """The row of a name; raises UnknownName."""
    if name not in CATALOG:
        raise UnknownName("drafter", name, CATALOG)
    return CATALOG[name]


def config(name: str, values: Mapping[str, Any]) -> Any:
    """The config of drafter `name` from a mapping (a file, a command line); unknown keys raise UnknownName."""
    kind = entry(name).load(entry(name).config)
    valid = [field.name for field in fields(kind)]
    for key in values:
        if key not in valid:
            raise UnknownName(f"{name} setting", key, valid)
    try:
        return kind(**values)
    except TypeError as error:
        raise RequestError(f"{name}: {error}", hint=f"settings: {', '.join(valid)}") from error


def create(name: str, config: Any = None, **needs: Any) -> Drafter:
    """A free drafter. `config` is its config object, a mapping, or None for the defaults; `needs` are objects it takes
    besides (`log` for suffix). Sources that need a model are built by assembly."""
    found = entry(name)
    if isinstance(config, Mapping):
        config = globals()["config"](name, config)
    drafter: Drafter = found.load(found.path)(config, **needs)
    return drafter
