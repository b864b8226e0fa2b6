"""Huge pages on made-up machines."""

from pathlib import Path

from slipstream.host.pages import Pages, read
from tests.host.machines import server, tree


def test_modes_are_those_in_brackets(tmp_path: Path) -> None:
    assert read(tree(tmp_path, server())) == Pages("always", "madvise", {"1048576": 0, "2048": 512})


def test_nothing_readable(tmp_path: Path) -> None:
    assert read(tmp_path) == Pages(None, None, None)
