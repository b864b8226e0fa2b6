"""The command line as a user runs it, on SmolLM2 in a data root where its curve is already known."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slipstream import assembly
from slipstream.assembly import Options, open_session
from slipstream.cli import main as cli
from tests.engine import tiny_gguf
from tests.isolation import eager_curve, isolate

# One thread: threads that wait for each other crawl when other work has the processors.
SETTINGS: dict[str, Any] = {"threads": 1, "context_length": 1024}

Refuses = Callable[..., str]


def command(*arguments: object) -> list[str]:
    """The command line of `slipstream` in this interpreter."""
    return [sys.executable, "-m", "slipstream", *map(str, arguments)]


def slipstream(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run it to its end; standard input is empty unless `input` is given."""
    if "input" not in options:
        options["stdin"] = subprocess.DEVNULL
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=60, check=False, **options)


def files(folder: Path) -> dict[str, bytes]:
    """Every file below, with its content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="session")
def known_curves(smollm2_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the curve of SmolLM2 (made up: drafts cost next to nothing) for SETTINGS."""
    with pytest.MonkeyPatch.context() as patch:
        root = isolate(patch, tmp_path_factory.mktemp("known"))
        patch.setattr(assembly, "measure_cost", lambda *arguments, **options: eager_curve())
        open_session(Options(model=smollm2_path, memory=False, **SETTINGS)).close()
    return root / "state" / "curves"


@pytest.fixture
def root(own_world: Path, known_curves: Path, smollm2_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This test's data root: SmolLM2 is configured, and its curve known."""
    root = isolate(monkeypatch, own_world, model=smollm2_path, **SETTINGS)
    shutil.copytree(known_curves, root / "state" / "curves")
    return root


@pytest.fixture
def made_up_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured in this process."""
    monkeypatch.setattr(assembly, "measure_cost", lambda *arguments, **options: eager_curve())


@pytest.fixture
def tiny(own_world: Path, monkeypatch: pytest.MonkeyPatch, made_up_curve: None) -> Path:
    """A model of random weights, trained for 512 tokens, configured; nothing is measured of it."""
    isolate(monkeypatch, own_world, threads=1)
    path = tiny_gguf.dense(own_world / "tiny.gguf", template="{{ messages[-1].content }}")
    monkeypatch.setenv("SLIPSTREAM_MODEL", str(path))
    return path


@pytest.fixture
def refuses(capsys: pytest.CaptureFixture[str]) -> Refuses:
    """Checks that a command line fails with this exit code and one line (and hint) that matches; returns both."""

    def check(code: int, says: str, *arguments: object) -> str:
        capsys.readouterr()
        assert cli.main([str(argument) for argument in arguments]) == code
        printed = capsys.readouterr()
        assert printed.out == ""
        return one_line(printed.err, says)

    return check


def one_line(printed: str, says: str) -> str:
    """One "error: ..." line, a hint at most, and `says` in it."""
    lines = printed.splitlines()
    assert lines and lines[0].startswith("error: "), printed
    assert len(lines) == 1 or (len(lines) == 2 and lines[1].startswith("  hint: ")), printed
    assert re.search(says, printed), printed
    assert "Traceback" not in printed and os.linesep * 2 not in printed
    return printed
