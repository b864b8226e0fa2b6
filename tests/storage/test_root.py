"""Who chooses the data root, and what happens when it can't be written."""

from pathlib import Path

import pytest

from slipstream.core.errors import StateFileError
from slipstream.storage.root import find_root


def test_precedence(tmp_path: Path) -> None:
    assert find_root(tmp_path / "b", environ={"SLIPSTREAM_ROOT": str(tmp_path / "a")}).path == tmp_path / "a"
    assert find_root(tmp_path / "b", environ={}).path == tmp_path / "b"
    assert find_root(environ={"XDG_DATA_HOME": "/x"}, platform="linux").path == Path("/x/slipstream")
    # A relative XDG path is to be ignored.
    assert find_root(environ={"XDG_DATA_HOME": "x"}, platform="linux").path == Path.home() / ".local/share/slipstream"
    assert find_root(environ={}, platform="darwin").path == Path.home() / "Library/Application Support/slipstream"


def test_always_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_root(Path("x/../y"), environ={}).path == tmp_path / "y"


def test_folders_appear_on_demand(tmp_path: Path) -> None:
    root = find_root(tmp_path / "root", environ={})
    assert not root.path.exists()
    assert root.state.is_dir()
    assert root.tmp == tmp_path / "root" / "tmp"
    assert sorted(entry.name for entry in root.path.iterdir()) == ["state", "tmp"]


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("")
    with pytest.raises(StateFileError, match="a part of the path is a file") as caught:
        _ = find_root(tmp_path / "root", environ={}).results
    assert "SLIPSTREAM_ROOT" in caught.value.hint
