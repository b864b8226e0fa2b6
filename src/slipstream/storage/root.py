"""The data root: the one folder under which Slipstream writes."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from slipstream.core.errors import StateFileError
from slipstream.storage.files import reason

VARIABLE = "SLIPSTREAM_ROOT"
MEMORY_SUFFIX = ".tokens"

Folder = Literal["state", "results", "models", "tmp"]


@dataclass(frozen=True, slots=True)
class DataRoot:
    """An absolute path, and who chose it. Nothing is created before a folder is asked for."""

    path: Path
    reason: str

    def folder(self, name: Folder) -> Path:
        """The folder `name` under the root, created on demand. Raises StateFileError if it can't be written."""
        folder = self.path / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(folder, reason(error)) from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise self._unusable(folder, "no permission to write")
        return folder

    @property
    def state(self) -> Path:
        """Calibration, memory, caches: kept between runs, safe to lose."""
        return self.folder("state")

    @property
    def results(self) -> Path:
        """Measurements: never deleted by Slipstream."""
        return self.folder("results")

    @property
    def models(self) -> Path:
        """Model files that Slipstream fetched or made."""
        return self.folder("models")

    @property
    def tmp(self) -> Path:
        """Scratch files, in place of the system's /tmp."""
        return self.folder("tmp")

    @property
    def memory(self) -> Path:
        """Remembered outputs, a file per tokenizer."""
        folder = self.state / "memory"
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise self._unusable(folder, reason(error)) from error
        return folder

    def memory_file(self, fingerprint: str) -> Path:
        """The token log of the tokenizer with this fingerprint, whether or not it exists."""
        return self.memory / f"{fingerprint}{MEMORY_SUFFIX}"

    def _unusable(self, folder: Path, why: str) -> StateFileError:
        return StateFileError(
            f"the data root's folder {folder} can't be written: {why}",
            hint=f"it comes from {self.reason}; name another one with {VARIABLE} or root in config.toml",
        )


def _platform_default(environ: Mapping[str, str], platform: str) -> Path:
    if platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "slipstream"
    base = environ.get("XDG_DATA_HOME", "")
    # The XDG rules say that a relative path is to be ignored.
    return (Path(base) if base.startswith("/") else Path.home() / ".local" / "share") / "slipstream"


def find_root(
    configured: Path | None = None, *, environ: Mapping[str, str] = os.environ, platform: str = sys.platform
) -> DataRoot:
    """The data root: SLIPSTREAM_ROOT, else `configured` (root in config.toml), else the platform's data folder."""
    if environ.get(VARIABLE):
        path, why = Path(environ[VARIABLE]), f"the environment variable {VARIABLE}"
    elif configured is not None:
        path, why = configured, "the configuration"
    else:
        path, why = _platform_default(environ, platform), "the platform's default"
    return DataRoot(Path(os.path.abspath(path.expanduser())), why)
