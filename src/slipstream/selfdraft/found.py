"""Sets that were found, kept by model and task, and searches that were interrupted, kept to go on with."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from slipstream.core.skip import SkipSet
from slipstream.storage.files import read_json_or_set_aside, read_list_or_set_aside, write_atomic

VERSION = 1
KEY_LENGTH = 24


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a search.

    `ratio` is the share of all sub-layers left out. `agreement` was measured on the texts that the search saw,
    `held_out` on text it did not see, with the prompt read by the shortened model itself, as when it drafts from its
    own file. `perplexity_ratio` is shortened over full, on held-out text. `cost` is a draft pass, `speedup` the tokens
    per time with drafts of `length`, both against plain passes and predicted, not timed. `file` is the GGUF written.
    """

    skip: SkipSet
    method: str
    ratio: float
    agreement: float
    held_out: float
    perplexity_ratio: float
    cost: float
    length: int
    speedup: float
    candidates: int
    seconds: float
    task: str
    file: str = ""

    def to_json(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> "Found":
        """Raises KeyError, TypeError or ValueError for anything that `to_json` didn't write."""
        skip = SkipSet(tuple(value["skip"]["attention"]), tuple(value["skip"]["feed_forward"]))
        return cls(**{**value, "skip": skip})


@dataclass(slots=True)
class Shelf:
    """A folder of one model: a file of found sets per task, and one per unfinished search. Damaged ones are set aside
    and said so in `notes`."""

    folder: Path
    notes: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, state: Path, model: str) -> "Shelf":
        """`state` is the data root's state folder, `model` the identity of the model's file."""
        return cls(state / "selfdraft" / model[:KEY_LENGTH])

    def found(self, task: str) -> list[Found]:
        """Sets found for a task, oldest first."""
        return self._read(self._path(task))

    def all(self) -> list[Found]:
        """Sets found for any task."""
        paths = sorted(self.folder.glob("*.found.json")) if self.folder.is_dir() else []
        return [item for path in paths for item in self._read(path)]

    def add(self, found: Found) -> None:
        """Keep a set in place of the one of the same method and size, if there is one. Raises StateFileError."""
        kept = [
            item for item in self.found(found.task) if (item.method, len(item.skip)) != (found.method, len(found.skip))
        ]
        value = {"version": VERSION, "found": [item.to_json() for item in (*kept, found)]}
        write_atomic(self._path(found.task), json.dumps(value))

    def with_file(self, found: Found, file: Path) -> Found:
        """Keep it again with the file that was written of it."""
        named = replace(found, file=str(file))
        self.add(named)
        return named

    def progress(self, task: str, settings: Sequence[object]) -> Any:
        """What `save_progress` kept of a search with these settings; None if there is none."""
        path = self._progress_path(task, settings)
        value, warning = read_json_or_set_aside(path)
        if warning:
            self.notes.append(f"{warning}: the search starts again")
        return value["state"] if isinstance(value, dict) and value.get("version") == VERSION else None

    def save_progress(self, task: str, settings: Sequence[object], state: Any) -> None:
        """Keep an unfinished search, as JSON. Raises StateFileError."""
        write_atomic(self._progress_path(task, settings), json.dumps({"version": VERSION, "state": state}))

    def _path(self, task: str) -> Path:
        return self.folder / f"{_name(task)}.found.json"

    def _progress_path(self, task: str, settings: Sequence[object]) -> Path:
        key = hashlib.sha256(json.dumps([*map(str, settings)]).encode()).hexdigest()[:KEY_LENGTH]
        return self.folder / f"{_name(task)}.{key}.search.json"

    def _read(self, path: Path) -> list[Found]:
        found, warning = read_list_or_set_aside(path, VERSION, "found", Found.from_json)
        if warning:
            self.notes.append(warning)
        return found


def _name(task: str) -> str:
    """A file name for any text: what it can't hold is replaced, and a digest then keeps two such texts apart."""
    plain = re.sub(r"[^a-z0-9_-]", "-", task.lower())[:40]
    return plain if plain == task else f"{plain}-{hashlib.sha256(task.encode()).hexdigest()[:8]}"
