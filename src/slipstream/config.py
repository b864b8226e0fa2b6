"""Settings: environment over config file over defaults. A name that nobody reads is refused, never ignored."""

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from slipstream.core.errors import RequestError
from slipstream.storage.root import DataRoot, find_root

PREFIX = "SLIPSTREAM_"
CONFIG_VARIABLE = "SLIPSTREAM_CONFIG"
# Read elsewhere: the config file's own place, and the tests' models.
OTHER_VARIABLES = frozenset({CONFIG_VARIABLE, "SLIPSTREAM_TEST_MODELS"})


class Settings(BaseSettings):
    """What can be set in config.toml (by these names) and in the environment (SLIPSTREAM_ + the name in capitals)."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid")

    root: Path | None = Field(default=None, description="data root; none: the platform's data folder")
    model: Path | None = Field(default=None, description="GGUF file; none: the embedded SmolLM2")
    draft_model: Path | None = Field(default=None, description="GGUF file of a smaller model that drafts")
    threads: int | None = Field(default=None, ge=1, le=4096, description="threads; none: usable physical cores")
    context_length: int | None = Field(
        default=None, ge=16, le=1 << 24, description="tokens of context per slot; none: chosen by model and memory"
    )
    memory: bool = Field(default=True, description="remember outputs, so that later requests can draft from them")
    drafters: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="settings of draft sources by name, a table [drafters.NAME] each"
    )
    memory_tokens: int = Field(default=1_000_000, ge=1, le=1 << 32, description="most tokens kept in the memory")
    profile: bool = Field(default=True, description="open models as slipstream tune found best here")

    @field_validator("root", "model", "draft_model", mode="after")
    @classmethod
    def _expand_home(cls, value: Path | None) -> Path | None:
        return value.expanduser() if value is not None else None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over what `load` passes from the file."""
        return env_settings, init_settings

    @property
    def data_root(self) -> DataRoot:
        """Where Slipstream writes."""
        return find_root(self.root)


def config_path(environ: Mapping[str, str] = os.environ) -> Path:
    """The config file's path, whether or not it exists."""
    if environ.get(CONFIG_VARIABLE):
        return Path(environ[CONFIG_VARIABLE]).expanduser()
    base = environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".config") / "slipstream" / "config.toml"


def _unknown(kind: str, name: str, valid: Iterable[str]) -> RequestError:
    names = sorted(valid)
    near = difflib.get_close_matches(name, names, n=1)
    guess = f"did you mean {near[0]}? " if near else ""
    return RequestError(f"unknown {kind} {name}", hint=f"{guess}valid: {', '.join(names)}")


def _read_file(path: Path, *, named: bool) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if named:
            raise RequestError(f"the config file {path} doesn't exist", hint=f"{CONFIG_VARIABLE} names it") from None
        return {}
    except (OSError, ValueError) as error:  # ValueError: not TOML or not UTF-8
        raise RequestError(f"the config file {path} can't be read: {error}", hint="correct or remove it") from error
    for key in values:
        if key not in Settings.model_fields:
            raise _unknown(f"setting in {path}:", key, Settings.model_fields)
    return values


def load() -> Settings:
    """The settings in force. Raises RequestError (one line) for unknown names and values out of range."""
    variables = {PREFIX + name.upper() for name in Settings.model_fields}
    for variable in sorted(os.environ):
        if variable.startswith(PREFIX) and variable not in variables | OTHER_VARIABLES:
            raise _unknown("environment variable", variable, variables | {CONFIG_VARIABLE})
    path = config_path()
    values = _read_file(path, named=bool(os.environ.get(CONFIG_VARIABLE)))
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        variable = PREFIX + name.upper()
        place = variable if variable in os.environ else f"{name} in {path}"
        raise RequestError(f"{place} is {first['input']!r}", hint=str(first["msg"]).lower()) from None
