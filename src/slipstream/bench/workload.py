"""Prompts by task class, from JSON lines: {"id", "task", "turns": [...]} or {"id", "task", "prompt"}."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from slipstream.core.errors import RequestError


@dataclass(frozen=True, slots=True)
class Prompt:
    """One user turn. `reference` is the answer expected, where the file gives one."""

    id: str
    task: str
    text: str
    reference: str = ""


def load(path: Path) -> list[Prompt]:
    """Prompts of a file, in order. Raises RequestError naming file, line and what is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RequestError(f"{path} is not UTF-8 at byte {error.start}", hint="save it as UTF-8") from None
    except OSError as error:
        raise RequestError(f"can't read {path}: {error.strerror}", hint="give a JSON-lines file of prompts") from None
    return _parse(text.split("\n"), str(path))


def built_in() -> list[Prompt]:
    """The small set that ships with the package, in our own words."""
    text = resources.files("slipstream.bench").joinpath("prompts.jsonl").read_text(encoding="utf-8")
    return _parse(text.split("\n"), "the built-in prompts")


def pick(prompts: Iterable[Prompt], tasks: Sequence[str] = (), each: int | None = None) -> list[Prompt]:
    """The first `each` prompts of every task in `tasks` (of every task, if none is named)."""
    prompts = list(prompts)
    known = {prompt.task for prompt in prompts}
    for task in tasks:
        if task not in known:
            raise RequestError(f"no prompt of task {task!r}", hint=f"tasks there are: {', '.join(sorted(known))}")
    seen: Counter[str] = Counter()
    chosen = []
    for prompt in prompts:
        seen[prompt.task] += 1
        if (not tasks or prompt.task in tasks) and (each is None or seen[prompt.task] <= each):
            chosen.append(prompt)
    return chosen


def _parse(lines: Sequence[str], where: str) -> list[Prompt]:
    prompts = []
    ids: set[str] = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise RequestError(f"{where}, line {number}: not JSON ({error.msg})", hint="one object a line") from None
        turns = row.get("turns") if isinstance(row, dict) else None
        text = turns[0] if isinstance(turns, list) and turns else row.get("prompt") if isinstance(row, dict) else None
        if not isinstance(text, str) or not text.strip():
            raise RequestError(f"{where}, line {number}: no prompt", hint='give "turns": [text] or "prompt": text')
        name = str(row.get("id", number))
        if name in ids:
            raise RequestError(f"{where}, line {number}: id {name!r} occurs twice", hint="prompts must be distinct")
        ids.add(name)
        prompts.append(Prompt(name, str(row.get("task", "default")), text, _text(row.get("reference"))))
    if not prompts:
        raise RequestError(f"{where} holds no prompt", hint="one JSON object a line")
    return prompts


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
