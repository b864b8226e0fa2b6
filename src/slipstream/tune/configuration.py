"""A configuration: what is changed from the default settings, as a set of choices of which each turns one knob."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of the knob called `knob`: the fields of assembly's Options that it sets, as JSON values. `lossy`: the
    output is not what the same file gives by plain decoding."""

    knob: str
    label: str
    options: Mapping[str, Any]
    lossy: bool = False


@dataclass(frozen=True, slots=True)
class Configuration:
    """Choices, at most one a knob, in the order of the table of knobs. Without any it is the default settings."""

    choices: tuple[Choice, ...] = ()
    key: str = field(init=False, compare=False)
    """Equal for equal options, whatever they are called."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", json.dumps(self.options, sort_keys=True))

    @property
    def options(self) -> dict[str, Any]:
        """Fields of assembly's Options that differ from the default settings."""
        return {name: value for choice in self.choices for name, value in choice.options.items()}

    @property
    def name(self) -> str:
        """In words."""
        return ", ".join(choice.label for choice in self.choices) or "default"

    @property
    def knobs(self) -> frozenset[str]:
        """The knobs that are turned."""
        return frozenset(choice.knob for choice in self.choices)

    @property
    def lossy(self) -> "Configuration":
        """Only what changes the output."""
        return Configuration(tuple(choice for choice in self.choices if choice.lossy))

    def without(self, choice: Choice) -> "Configuration":
        """With one knob turned back."""
        return Configuration(tuple(one for one in self.choices if one is not choice))

    def joined(self, other: "Configuration") -> "Configuration | None":
        """Both sets of choices; None if they turn the same knob."""
        if self.knobs & other.knobs:
            return None
        return Configuration((*self.choices, *other.choices))


DEFAULT = Configuration()
