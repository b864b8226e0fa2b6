"""docs/reference is what the code says, and nothing is left undocumented."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from slipstream.cli.main import load
from slipstream.cli.table import COMMANDS, Entry
from slipstream.drafters.catalog import CATALOG

REPO = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", REPO / "scripts" / "reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["cli.md", "drafters.md", "errors.md"])
def test_nothing_is_stale(reference: ModuleType, name: str) -> None:
    written = (REPO / "docs" / "reference" / name).read_text()
    assert written == reference.PAGES[name](), f"docs/reference/{name} is stale: run make docs"


def test_every_command_has_a_page(reference: ModuleType) -> None:
    names = [name for name, text in reference.commands()]
    assert len(names) == len(set(names))
    assert {f"slipstream {entry.name}" for entry in COMMANDS} <= set(names)


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: str(entry.name))
def test_every_command_and_option_says_what_it_does(entry: Entry) -> None:
    def check(command: object, path: str) -> None:
        assert getattr(command, "help", None), f"{path} has no docstring"
        for parameter in getattr(command, "params", []):
            assert getattr(parameter, "help", None), f"{path}: {parameter.name} has no help"
        for name, below in getattr(command, "commands", {}).items():
            check(below, f"{path} {name}")

    check(load(entry), f"slipstream {entry.name}")


def test_every_draft_source_is_described(reference: ModuleType) -> None:
    page = reference.drafters_page()
    for name, entry in CATALOG.items():
        assert f"## {name}\n" in page
        assert entry.load(entry.config).__doc__, f"the config of {name} has no docstring"
