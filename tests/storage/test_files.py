"""Whole or absent, also when the disk refuses."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.core.errors import StateFileError
from slipstream.storage.files import read_json_or_set_aside, read_list_or_set_aside, reason, write_atomic


def test_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.json"
    write_atomic(path, "[1]")
    write_atomic(path, b"[2]")
    assert read_json_or_set_aside(path) == ([2], None)
    assert [entry.name for entry in path.parent.iterdir()] == ["file.json"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO])
def test_a_refusal_keeps_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old")

    def refuse(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StateFileError) as caught:
        write_atomic(path, "new")
    assert reason(OSError(number, os.strerror(number))) in caught.value.message
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_nothing_there(tmp_path: Path) -> None:
    assert read_json_or_set_aside(tmp_path / "none") == (None, None)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_damage_is_set_aside(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.json"
    for number in (1, 2):
        path.write_bytes(content)
        value, warning = read_json_or_set_aside(path)
        assert value is None
        assert warning is not None and f"file.json.damaged-{number}" in warning
        assert (tmp_path / f"file.json.damaged-{number}").read_bytes() == content
        assert not path.exists()


def test_a_folder_is_not_damage(tmp_path: Path) -> None:
    with pytest.raises(StateFileError, match="it is a folder"):
        read_json_or_set_aside(tmp_path)


@given(st.binary(max_size=40))
def test_any_content_comes_back(tmp_path: Path, content: bytes) -> None:
    write_atomic(tmp_path / "x", content)
    assert (tmp_path / "x").read_bytes() == content


def test_a_list_is_read_whole_or_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    assert read_list_or_set_aside(path, 2, "numbers", int) == ([], None)
    path.write_text('{"version": 2, "numbers": ["4", 5]}')
    assert read_list_or_set_aside(path, 2, "numbers", int) == ([4, 5], None)
    assert read_list_or_set_aside(path, 3, "numbers", int) == ([], None)
    path.write_text('{"version": 2, "numbers": ["four"]}')
    found, warning = read_list_or_set_aside(path, 2, "numbers", int, "count again")
    assert found == [] and warning and "list.json was damaged and set aside as" in warning
    assert warning.endswith(": count again") and not path.exists() and len(list(tmp_path.iterdir())) == 1
