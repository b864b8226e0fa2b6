"""Profiles: how a model is best opened on this machine, as it was measured, and when that no longer holds."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from slipstream.core.errors import ModelFileError, RequestError
from slipstream.models.gguf import identity
from slipstream.storage.files import read_list_or_set_aside, state_error, write_atomic

VERSION = 1
AGAIN = "slipstream tune makes a new one"
MERGED = "merge"
"""The kind of evidence that two profiles were put together, and no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What a profile holds for: the host's fingerprint, the engine's build id, the identity of the model file."""

    host: str
    engine: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a profile rests on. `value` with its 95 % interval is its tokens a second over those of the defaults, from
    `pairs` interleaved pairs on `prompts` prompts, `held_out` if it wasn't chosen on those. `kind` is the command
    that measured, `run` its run in the result store, `options` the options that it decided; `note` says the rest in a
    line, such as what quality it costs."""

    kind: str
    run: str = ""
    value: float = 1.0
    low: float = 1.0
    high: float = 1.0
    prompts: int = 0
    pairs: int = 0
    held_out: bool = False
    options: tuple[str, ...] = ()
    note: str = ""

    @property
    def summary(self) -> str:
        """One line on it."""
        if not self.pairs:
            return self.note
        where = "held-out pairs" if self.held_out else "pairs"
        figure = f"{self.value:.2f}x ({self.low:.2f} to {self.high:.2f}, {self.pairs} {where}) against the defaults"
        return f"{figure}; {self.note}" if self.note else figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How to open the model of `key`, last seen at `path`. `options` are fields of assembly's Options as JSON values;
    none means that nothing beats the defaults. `files` are other model files they name, with their identities. `made`
    is in seconds since the epoch."""

    key: Key
    path: str
    options: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()
    made: float = 0.0

    @property
    def summary(self) -> str:
        """One line: when it was made, its options, and why."""
        day = time.strftime("%Y-%m-%d", time.localtime(self.made))
        options = ", ".join(describe(self.options)) or "the default settings"
        why = "; ".join(line for line in (one.summary for one in self.evidence) if line)
        return f"{options} ({day}; {why})" if why else f"{options} ({day})"

    def without(self, kind: str) -> "Profile":
        """Without the options that `kind` alone decided; a merge is no decision."""
        kept = tuple(one for one in self.evidence if one.kind not in (kind, MERGED))
        dropped = {name for one in self.evidence if one.kind == kind for name in one.options}
        dropped -= {name for one in kept for name in one.options}
        options = {name: value for name, value in self.options.items() if name not in dropped}
        return replace(self, options=options, files=_named(self.files, options), evidence=kept)

    def to_json(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> "Profile":
        """Raises KeyError, TypeError or ValueError for anything that `to_json` didn't write."""
        if not isinstance(value["options"], dict) or not isinstance(value["files"], dict):
            raise ValueError("options and files are tables")
        key = Key(**value["key"])
        evidence = tuple(Evidence(**{**one, "options": tuple(one["options"])}) for one in value["evidence"])
        return cls(**{**value, "key": key, "evidence": evidence, "made": float(value["made"])})


def describe(options: Mapping[str, Any]) -> list[str]:
    """Options in words, one each; files by their names alone."""
    words = []
    for name, value in options.items():
        label = name.replace("_", " ")
        if isinstance(value, Mapping):
            words += [f"{label} {part} {_short(one)}" for part, one in value.items()]
        elif isinstance(value, Sequence) and not isinstance(value, str):
            words.append(f"{label} {'+'.join(map(str, value)) or 'none'}")
        else:
            words.append(f"{label} {_short(value)}")
    return words


def _short(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, Mapping):
        return " ".join(f"{name} {_short(one)}" for name, one in value.items())
    return Path(value).name if isinstance(value, str) and "/" in value else str(value)


def merge(base: Profile, over: Profile) -> Profile:
    """Both profiles' options in one, those of `over` where they contradict each other; metadata overrides and settings
    of drafters are merged by name. Nobody measured the two together: the evidence says so.

    RequestError if they are for different models, machines or builds.
    """
    if base.key != over.key:
        raise RequestError(f"profiles can't be merged: {difference(base.key, over.key)}", hint="make both anew")
    options = {**base.options, **over.options}
    for name in ("kv_overrides", "drafter_settings"):
        if name in base.options and name in over.options:
            options[name] = {**base.options[name], **over.options[name]}
    kinds = {MERGED, *(one.kind for one in over.evidence)}
    together = [Evidence(kind=MERGED, note="not measured together")] if base.options and over.options else []
    earlier = [one for one in base.evidence if one.kind not in kinds]
    return replace(
        over,
        options=options,
        files=_named({**base.files, **over.files}, options),
        evidence=(*earlier, *over.evidence, *together),
    )


def _named(files: Mapping[str, str], options: Mapping[str, Any]) -> dict[str, str]:
    return {path: name for path, name in files.items() if _names(options, path)}


def _names(value: Any, path: str) -> bool:
    if isinstance(value, Mapping):
        return any(_names(one, path) for one in value.values())
    return bool(value == path)


def difference(ours: Key, now: Key) -> str:
    """Which part of the key changed, in words."""
    if ours.model != now.model:
        return "the model file's content is another"
    if ours.host != now.host:
        return "it was made on another machine, or with other CPUs"
    return f"it was made with another engine build ({ours.engine})"


@dataclass(slots=True)
class Profiles:
    """The data root's profiles, a file per model. What isn't used although it is there, or was damaged and set aside,
    is said in `notes`."""

    folder: Path
    notes: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, state: Path) -> "Profiles":
        """`state` is the data root's state folder; nothing is created."""
        return cls(state / "profiles")

    @property
    def empty(self) -> bool:
        """Whether nothing was ever kept."""
        return not any(self.folder.glob("*.json"))

    def find(self, key: Key, path: Path) -> Profile | None:
        """The profile for exactly this key whose other files are unchanged. If there is one that can't be used, the
        reason goes to `notes`. `path` is the model's file."""
        kept = self._read(self._path(key.model))
        ours = next((profile for profile in kept if profile.key == key), None)
        if ours is not None:
            reason = changed(ours)
        elif kept:
            reason = difference(max(kept, key=lambda profile: profile.made).key, key)
        elif any(profile.path == str(path.absolute()) for profile in self.all()):
            reason = "the model file's content has changed"
        else:
            return None
        if reason:
            self.notes.append(f"the profile of {path.name} is not used: {reason}; {AGAIN}")
            return None
        return ours

    def all(self) -> list[Profile]:
        """Every profile, the newest first."""
        found = [profile for path in sorted(self.folder.glob("*.json")) for profile in self._read(path)]
        return sorted(found, key=lambda profile: -profile.made)

    def save(self, profile: Profile) -> None:
        """Keep it, in place of an earlier one of its key. Raises StateFileError."""
        path = self._path(profile.key.model)
        others = [one for one in self._read(path) if one.key != profile.key]
        self._write(path, [*others, profile])

    def forget(self, model: str) -> int:
        """Drop what is kept for a model (its identity); returns how many profiles that were. Raises StateFileError."""
        path = self._path(model)
        count = len(self._read(path))
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise state_error("removed", path, error) from error
        return count

    def _path(self, model: str) -> Path:
        return self.folder / f"{model[:24]}.json"

    def _read(self, path: Path) -> list[Profile]:
        found, warning = read_list_or_set_aside(path, VERSION, "profiles", Profile.from_json, AGAIN)
        if warning:
            self.notes.append(warning)
        return found

    @staticmethod
    def _write(path: Path, profiles: Sequence[Profile]) -> None:
        value = {"version": VERSION, "profiles": [profile.to_json() for profile in profiles]}
        write_atomic(path, json.dumps(value, indent=1) + "\n")


def changed(profile: Profile) -> str:
    """Why a profile's other files no longer are what they were; empty if they are."""
    for name, known in profile.files.items():
        path = Path(name)
        try:
            if identity(path) != known:
                return f"{path.name} has changed"
        except ModelFileError:
            return f"{path.name} is gone or can't be read"
    return ""
