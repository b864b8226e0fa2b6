"""A model's stored profile, put beneath what the caller and the configuration ask for."""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from slipstream.assembly.options import Options
from slipstream.config import Settings
from slipstream.core.errors import UnknownName
from slipstream.host.cpu import Cpu
from slipstream.host.fingerprint import fingerprint
from slipstream.models.gguf import identity
from slipstream.profile import Key, Profile, Profiles

GROUPS = (
    ("drafters", "draft_model", "self_draft", "drafter_settings"),
    ("flash_attention", "key_type", "value_type"),
    ("batch_size", "micro_batch"),
    ("threads", "batch_threads"),
)
"""Options that were chosen together: where the caller gives one of them, none is taken from the profile."""

TABLES = ("kv_overrides",)
"""Options that are merged by key instead."""

READ: Mapping[str, Callable[[Any], Any]] = {
    "model": Path, "draft_model": Path, "self_draft": Path, "drafters": tuple,
}  # fmt: skip
"""What a JSON value has to become."""


def with_stored_profile(
    options: Options, settings: Settings, path: Path, processor: Cpu, state: Path
) -> tuple[Options, list[str]]:
    """The options with the stored profile of the model at `path` beneath them, and what the user should know of it.

    `state` is the data root's state folder, which need not exist. Raises ModelFileError or StateFileError.
    """
    profiles = Profiles.open(state)
    if not (settings.profile if options.profile is None else options.profile) or profiles.empty:
        return options, []

    # Imported here: without profiles a wrong command line is answered before llama.cpp is loaded.
    from slipstream.engine.build import engine_build

    key = Key(host=fingerprint(processor), engine=engine_build().build_id, model=identity(path))
    profile = profiles.find(key, path)
    if profile is None or not profile.options:
        return options, profiles.notes
    return with_profile(options, profile, settings), [*profiles.notes, f"profile: {profile.summary}; --no-profile"]


def with_profile(options: Options, profile: Profile, settings: Settings) -> Options:
    """The options with a profile's beneath those that were given. A field at its default counts as not given; threads
    and a draft model in the configuration count as given. Raises UnknownName for a profile with unknown options."""
    defaults = {field.name: field.default for field in fields(Options)}
    for name in profile.options:
        if name not in defaults:
            raise UnknownName("option in a profile", name, defaults)
    given = {name for name, default in defaults.items() if getattr(options, name) not in (default, {})}
    given |= {name for name in ("threads", "draft_model") if getattr(settings, name) is not None}
    for group in GROUPS:
        given |= set(group) if given & set(group) else set()
    # The model that was given is the one whose profile this is: the profile may name another file of it.
    taken = {name: value for name, value in profile.options.items() if name == "model" or name not in given}
    taken |= {
        name: {**profile.options[name], **(getattr(options, name) or {})} for name in TABLES if name in profile.options
    }
    return replace(options, **{name: READ.get(name, _same)(value) for name, value in taken.items()})


def _same(value: Any) -> Any:
    return value
