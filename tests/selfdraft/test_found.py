"""Found sets and unfinished searches survive on disk."""

from dataclasses import replace
from pathlib import Path

import pytest

from slipstream.core.skip import SkipSet
from slipstream.selfdraft.found import Found, Shelf

FOUND = Found(SkipSet((1, 3), (2,)), "swift", 0.2, 0.9, 0.8, 1.4, 0.7, 3, 1.2, 40, 12.5, "chat")


def test_round_trip(tmp_path: Path) -> None:
    shelf = Shelf.open(tmp_path, "0123456789abcdef0123456789abcdef")
    assert shelf.found("chat") == shelf.all() == []
    shelf.add(FOUND)
    other = replace(FOUND, method="clasp", task="Code & more/less")
    shelf.add(other)
    assert shelf.found("chat") == [FOUND] and shelf.found("Code & more/less") == [other]
    assert sorted(shelf.all(), key=lambda item: item.method) == [other, FOUND]
    better = replace(FOUND, agreement=0.95)
    shelf.add(better)
    assert shelf.found("chat") == [better]
    named = shelf.with_file(better, tmp_path / "a.gguf")
    assert named.file.endswith("a.gguf") and shelf.found("chat") == [named]


def test_models_are_kept_apart(tmp_path: Path) -> None:
    Shelf.open(tmp_path, "a" * 32).add(FOUND)
    assert Shelf.open(tmp_path, "b" * 32).all() == []


def test_progress_is_known_by_its_settings(tmp_path: Path) -> None:
    shelf = Shelf.open(tmp_path, "a" * 32)
    assert shelf.progress("chat", ["swift", 0.45]) is None
    shelf.save_progress("chat", ["swift", 0.45], {"tried": []})
    assert shelf.progress("chat", ["swift", 0.45]) == {"tried": []}
    assert shelf.progress("chat", ["swift", 0.5]) is None
    assert shelf.all() == []


@pytest.mark.parametrize("content", ["", "[1]", '{"version": 1, "found": [{"skip": 3}]}'])
def test_damaged_files_are_set_aside(tmp_path: Path, content: str) -> None:
    shelf = Shelf.open(tmp_path, "a" * 32)
    shelf.add(FOUND)
    path = shelf.folder / "chat.found.json"
    path.write_text(content)
    assert shelf.found("chat") == [] and "damaged" in shelf.notes[0]
    assert (shelf.folder / "chat.found.json.damaged-1").exists()
    shelf.add(FOUND)
    assert shelf.found("chat") == [FOUND]
