"""Keeps a test (or a fixture that outlives one) away from the user's own data and settings."""

import os
from pathlib import Path

import pytest

from slipstream.control.curve import VerifyCost


def isolate(monkeypatch: pytest.MonkeyPatch, folder: Path, **settings: object) -> Path:
    """Settings and data root under `folder` and nothing else; `settings` go to SLIPSTREAM_ variables. Returns the
    root."""
    for name in list(os.environ):
        if name.startswith("SLIPSTREAM_") and name != "SLIPSTREAM_TEST_MODELS":
            monkeypatch.delenv(name)
    monkeypatch.setenv("SLIPSTREAM_ROOT", str(folder / "root"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "data"))
    for name, value in settings.items():
        monkeypatch.setenv(f"SLIPSTREAM_{name.upper()}", str(value))
    return folder / "root"


def eager_curve() -> VerifyCost:
    """A machine on which drafts cost next to nothing, so that they are made wherever there are any."""
    return VerifyCost({64: {1: 10.0, 2: 10.1, 4: 10.2, 8: 10.4, 16: 10.8, 32: 11.6, 64: 13.2}})
