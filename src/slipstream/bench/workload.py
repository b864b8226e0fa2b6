"""Prompts by task class, from JSON lines: {"id", "task", "turns": [...]} or {"id", "task", "prompt"}."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import IO, Any

from slipstream.bench.filler import filler
from slipstream.bench.task_classes import class_of
from slipstream.core.errors import RequestError
from slipstream.storage.files import reason

LONGEST_LINE = 16 << 20
"""Bytes. No context holds as much; a longer line is a file of another kind."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One user turn (the first, where a file has several). `reference` is the answer expected, where the file gives one
    as "reference" or "answer"; `test` and `entry_point` are unit tests and the name of the function that they call, as
    HumanEval writes them."""

    id: str
    task: str
    text: str
    reference: str = ""
    test: str = ""
    entry_point: str = ""


def load(path: Path) -> list[Prompt]:
    """Prompts of a file, in order, no two alike.

    Raises RequestError naming file, line and what is wrong with it: not readable, not UTF-8, not JSON, without a
    prompt, an id or a prompt that was there before (a drafter would copy its own earlier answer), or filler text.
    """
    try:
        with path.open("rb") as file:
            return _parse(file, str(path))
    except OSError as error:
        raise RequestError(f"can't read {path}: {reason(error)}", hint="give a JSON-lines file of prompts") from None


def built_in() -> list[Prompt]:
    """The small set that ships with the package, in our own words: every task class has two prompts at least."""
    with resources.files("slipstream.bench").joinpath("prompts.jsonl").open("rb") as file:
        return _parse(file, "the built-in prompts")


def pick(prompts: Iterable[Prompt], tasks: Sequence[str] = (), each: int | None = None) -> list[Prompt]:
    """The first `each` prompts of every task in `tasks` (of every task, if none is named). A name that no prompt bears
    as its task may be that of a task class."""
    prompts = list(prompts)
    known = {prompt.task for prompt in prompts}
    wanted = set[str]()
    for name in tasks:
        found = {name} & known or {task for task in known if class_of(task) == name}
        if not found:
            raise RequestError(f"no prompt of task {name!r}", hint=f"tasks there are: {', '.join(sorted(known))}")
        wanted |= found
    seen: Counter[str] = Counter()
    chosen = []
    for prompt in prompts:
        seen[prompt.task] += 1
        if (not tasks or prompt.task in wanted) and (each is None or seen[prompt.task] <= each):
            chosen.append(prompt)
    return chosen


def _parse(file: IO[bytes], where: str) -> list[Prompt]:
    prompts = []
    ids: dict[str, int] = {}
    texts: dict[str, int] = {}
    for number, line in _lines(file, where):
        if not line.strip():
            continue
        place = f"{where}, line {number}"
        prompt = _prompt(_row(line, place), number, place)
        if (first := ids.setdefault(prompt.id, number)) != number:
            raise RequestError(f"{place}: id {prompt.id!r} occurs twice, first in line {first}", hint="rename one")
        words = " ".join(prompt.text.split())
        if (first := texts.setdefault(words, number)) != number:
            raise RequestError(
                f"{place}: the same prompt as in line {first}",
                hint="prompts must be distinct: a drafter copies its own earlier answer to a repeated one",
            )
        prompts.append(prompt)
    if not prompts:
        raise RequestError(f"{where} holds no prompt", hint="one JSON object a line")
    return prompts


def _lines(file: IO[bytes], where: str) -> Iterator[tuple[int, str]]:
    """Numbered lines. JSON lines end at line feeds alone, not at everything that Unicode calls a line end."""
    start = number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise RequestError(
                f"{where}, line {number}: longer than {LONGEST_LINE >> 20} MiB", hint="one JSON object a line"
            )
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise RequestError(
                f"{where} is not UTF-8 at byte {start + error.start}, line {number}", hint="save it as UTF-8"
            ) from None
        yield number, text if start else text.removeprefix("\ufeff")
        start += len(line)


def _row(line: str, place: str) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise RequestError(
            f"{place}: not JSON at column {error.colno} ({error.msg})", hint="one object a line"
        ) from None
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{place}: not JSON that can be read ({error})", hint="one object a line") from None
    return row if isinstance(row, dict) else {}


def _prompt(row: Mapping[str, Any], number: int, place: str) -> Prompt:
    turns = row.get("turns")
    text = turns[0] if isinstance(turns, list) and turns else row.get("prompt")
    if not isinstance(text, str) or not text.strip():
        recorded = (
            "; recorded answers are for slipstream bench replay" if "messages" in row or "response" in row else ""
        )
        raise RequestError(f"{place}: no prompt", hint=f'give "turns": [text] or "prompt": text{recorded}')
    if not _encodes(text):
        raise RequestError(f"{place}: half of a character (a lone surrogate) in the prompt", hint="save it as UTF-8")
    if why := filler(text):
        raise RequestError(f"{place}: filler text, {why}", hint="use prompts that somebody would really send")
    return Prompt(
        id=str(row.get("id", number)),
        task=_text(row, "task") or "default",
        text=text,
        reference=_text(row, "reference") or _text(row, "answer"),
        test=_text(row, "test"),
        entry_point=_text(row, "entry_point"),
    )


def _text(row: Mapping[str, Any], field: str) -> str:
    """A field as text; numbers are answers too."""
    value = row.get(field)
    return str(value) if isinstance(value, str | int | float) else ""


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
