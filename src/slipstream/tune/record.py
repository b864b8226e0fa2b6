"""What an unfinished search has measured, in order: run again, the search repeats its questions and finds the answers.

A search decides by measurements alone and by no clock, so the same answers lead to the same next question.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from slipstream.bench.cell import Cell
from slipstream.bench.workload import Prompt
from slipstream.storage.files import state_error, write_atomic
from slipstream.tune.configuration import Configuration
from slipstream.tune.race import Launch, Measure


class Record:
    """A file of JSON lines, a question and its answer each. Every method raises StateFileError if it can't be read or
    written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines = self._read()
        self._next = 0

    @property
    def known(self) -> int:
        """Answers that are still there to be found."""
        return len(self._lines) - self._next

    def answer(self, question: Any, find: Callable[[], Any]) -> Any:
        """The recorded answer, if this question was asked at this place; else what `find` says, recorded. Both are JSON
        values."""
        asked = json.loads(json.dumps(question))
        if self.known:
            line = self._lines[self._next]
            if line["question"] == asked:
                self._next += 1
                return line["answer"]
            # From here on the search takes another course: what follows belongs to the old one.
            del self._lines[self._next :]
            write_atomic(self.path, "".join(json.dumps(kept) + "\n" for kept in self._lines))
        line = {"question": asked, "answer": find()}
        self._append(json.dumps(line) + "\n")
        self._lines.append(line)
        self._next += 1
        return line["answer"]

    def forget(self) -> None:
        """Remove the file: the search is over, or is to start anew."""
        self._lines, self._next = [], 0
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise state_error("removed", self.path, error) from error

    def _read(self) -> list[Any]:
        try:
            text = self.path.read_text("utf-8", errors="replace")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise state_error("read", self.path, error) from error
        lines = []
        for line in text.splitlines():
            try:
                value = json.loads(line)
                lines.append({"question": value["question"], "answer": value["answer"]})
            except (ValueError, KeyError, TypeError):
                # Cut off when it was written: what was measured before it stands.
                write_atomic(self.path, "".join(json.dumps(kept) + "\n" for kept in lines))
                break
        return lines

    def _append(self, line: str) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            raise state_error("written", self.path, error) from error


def cell_from_json(value: Any) -> Cell:
    """The cell of its own `asdict`."""
    return Cell(**{**value, "token_ids": tuple(value["token_ids"])})


def recorded(measure: Measure, record: Record) -> Measure:
    """The same, asking the record first."""

    def launch(configuration: Configuration, prompts: Sequence[Prompt]) -> Launch:
        def find() -> Any:
            found = measure(configuration, prompts)
            return {"seconds": found.seconds, "opening": found.opening, "cells": [asdict(cell) for cell in found.cells]}

        question = ["launch", configuration.options, [prompt.id for prompt in prompts]]
        value = record.answer(question, find)
        cells = tuple(cell_from_json(cell) for cell in value["cells"])
        return Launch(cells, value["seconds"], value["opening"])

    return launch
