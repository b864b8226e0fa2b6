"""A mixture of experts by its header: how many experts a token uses, what changes that, and how far one may go."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Literal

from slipstream.core.errors import RequestError
from slipstream.models.gguf import Header

USED = "expert_used_count"
WARNED, BLOCKED = 0.5, 0.25
"""Shares of the default count below which there is a warning, and a refusal. Measured on seven large models: half of
the experts is mostly safe, a quarter loses much, an eighth writes gibberish."""
SWEPT = (1.0, 0.75, 0.5, 0.375, 0.25)
"""Shares of the default count that are tried if nobody says which: down to where counts are refused."""


@dataclass(frozen=True, slots=True)
class Experts:
    """`default` of `total` experts run for every token, and `shared` ones beside them. `key` is the metadata that holds
    the default."""

    key: str
    default: int
    total: int
    shared: int

    def override(self, count: int) -> dict[str, int]:
        """What to replace in the metadata, at load, to use `count` experts."""
        return {self.key: count}


@dataclass(frozen=True, slots=True)
class Limit:
    """Whether a count may be used, and why not."""

    verdict: Literal["fine", "warned", "blocked"]
    reason: str


def experts_of(header: Header) -> Experts:
    """RequestError for a dense model, and for one whose blocks use different numbers of experts: the engine has no way
    to replace those."""
    key = f"{header.architecture}.{USED}"
    if not header.expert_count or not header.experts_used:
        raise RequestError(f"{header.path.name} has no experts: it is dense", hint="name a mixture-of-experts model")
    if not isinstance(header.metadata.get(key), int):
        raise RequestError(
            f"blocks of {header.path.name} use different numbers of experts, which can't be replaced at load",
            hint="run it as it is",
        )
    shared = header.metadata.get(f"{header.architecture}.expert_shared_count", 0)
    return Experts(key, header.experts_used, header.expert_count, shared if isinstance(shared, int) else 0)


def limit(experts: Experts, count: int) -> Limit:
    """What to say of a count. RequestError outside 1 to the number of experts: the engine would end the process."""
    if not 1 <= count <= experts.total:
        raise RequestError(f"{count} experts a token", hint=f"1 to {experts.total}; the default is {experts.default}")
    share = count / experts.default
    what = f"{count} of {experts.default} experts"
    if share < BLOCKED:
        return Limit("blocked", f"{what} is less than a quarter: models then mostly write gibberish")
    if share < WARNED:
        return Limit("warned", f"{what} is less than half: expect clearly worse answers")
    return Limit("fine", "" if share >= 1 else f"{what}: answers differ, check that they are good enough")


def require(experts: Experts, count: int, *, force: bool = False) -> Limit:
    """The limit of a count that is to be used. RequestError if it is blocked and not forced."""
    found = limit(experts, count)
    if found.verdict == "blocked" and not force:
        insist = f"slipstream experts --force, elsewhere --override-kv {experts.key}=int:{count}"
        raise RequestError(found.reason, hint=f"use more, or insist: {insist}")
    return found


def default_counts(experts: Experts) -> tuple[int, ...]:
    """Counts to try, the default first, then downwards."""
    return tuple(dict.fromkeys(ceil(share * experts.default) for share in SWEPT))


def override_of(header: Header, count: int) -> dict[str, int]:
    """What to replace at load for `count` experts. RequestError if the model has none, or not so many."""
    experts = experts_of(header)
    limit(experts, count)
    return experts.override(count)


def check_override(header: Header, overrides: Mapping[str, object]) -> None:
    """RequestError for a number of experts among `overrides` at which the engine would end the process, or which it
    would pass over in silence."""
    key = f"{header.architecture}.{USED}"
    if key in overrides:
        count = overrides[key]
        if not isinstance(count, int) or isinstance(count, bool):
            raise RequestError(f"{key} is {count!r}", hint=f"write it as {key}=int:2")
        override_of(header, count)
