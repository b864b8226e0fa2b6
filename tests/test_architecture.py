"""What import-linter can't say about the tree, and that documents about it are true."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slipstream import __version__

REPO = Path(__file__).resolve().parent.parent
SOURCE = REPO / "src" / "slipstream"
FILES = sorted(SOURCE.rglob("*.py"))
LONGEST = 400
# I/O, clocks and randomness: core has none of them.
IMPURE = {
    "asyncio",
    "datetime",
    "io",
    "os",
    "pathlib",
    "random",
    "secrets",
    "socket",
    "subprocess",
    "threading",
    "time",
}


def imports(path: Path) -> Iterator[str]:
    """Full names of the modules a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def test_core_is_pure_and_needs_nothing() -> None:
    for path in (SOURCE / "core").glob("*.py"):
        for name in imports(path):
            top = name.split(".")[0]
            assert name.startswith("slipstream.core") or top in sys.stdlib_module_names, f"{path}: {name}"
            assert top not in IMPURE, f"{path}: {name}"


def test_config_knows_core_and_storage_alone() -> None:
    ours = [name for name in imports(SOURCE / "config.py") if name.startswith("slipstream")]
    assert {name.split(".")[1] for name in ours} <= {"core", "storage"}


def test_only_host_reads_proc_and_sys() -> None:
    for path in FILES:
        if "host" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            # Docstrings may speak of /proc; a string that starts with it is a path.
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not re.match(r"/(proc|sys)\b", node.value), f"{path}:{node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_file_is_too_long(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST


def test_the_map_of_rooms_is_the_tree() -> None:
    told = set(re.findall(r"^\| `([a-z_]+)(?:/|\.py)` \|", (REPO / "CONTRIBUTING.md").read_text(), re.MULTILINE))
    rooms = {path.relative_to(SOURCE).parts[0] for path in FILES}
    assert told == {room.removesuffix(".py") for room in rooms if not room.startswith("__")}


def test_the_changelog_starts_with_this_version() -> None:
    versions = re.findall(r"^## \[([^]]+)\]", (REPO / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == __version__


def test_the_locked_engine_is_the_pinned_one() -> None:
    pin = re.search(r'"(llama-cpp-python==[\d.]+)"', (REPO / "pyproject.toml").read_text())
    assert pin is not None
    assert f"{pin[1]}\n" in (REPO / "constraints.txt").read_text()
    assert f'ENGINE = "{pin[1]}"' in (REPO / "scripts" / "install.py").read_text()
