"""Prompt files: what is read, and what is said of a bad one."""

import json
from pathlib import Path
from typing import Any

import pytest

from slipstream.bench.workload import Prompt, built_in, load, pick
from slipstream.core.errors import RequestError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "prompts.jsonl"


def row(**values: Any) -> str:
    return json.dumps(values, ensure_ascii=False)


def test_reads_both_shapes_in_order(file: Path) -> None:
    lines = [
        row(id="a", task="chat", turns=["first", "second"]),
        "",
        row(id="b", task="edit", prompt="text", reference="answer"),
    ]
    file.write_text("\n".join([*lines, row(prompt="alone"), ""]), "utf-8")
    assert load(file) == [
        Prompt("a", "chat", "first"), Prompt("b", "edit", "text", "answer"), Prompt("4", "default", "alone"),
    ]  # fmt: skip


def test_a_line_ends_only_where_json_lines_end(file: Path) -> None:
    text = "one\u2028two\u0085three"
    file.write_bytes((row(id="a", prompt=text) + "\r\n" + row(id="b", prompt="x")).encode())
    assert [prompt.text for prompt in load(file)] == [text, "x"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"id": "b", "turns": ["x"]', "not JSON"),
        ("[1]", "no prompt"),
        ('"text"', "no prompt"),
        (row(id="b"), "no prompt"),
        (row(id="b", turns=[]), "no prompt"),
        (row(id="b", turns=[3]), "no prompt"),
        (row(id="b", prompt="  "), "no prompt"),
        (row(id="a", prompt="again"), "'a' occurs twice"),
    ],
)
def test_a_bad_line_is_named(file: Path, line: str, problem: str) -> None:
    file.write_text(f"{row(id='a', prompt='x')}\n\n{line}\n", "utf-8")
    with pytest.raises(RequestError, match=problem) as caught:
        load(file)
    assert f"{file}, line 3" in str(caught.value)
    assert caught.value.hint


def test_a_file_that_is_missing_a_folder_or_empty_is_refused(file: Path) -> None:
    for path in (file, file.parent):
        with pytest.raises(RequestError, match="can't read") as caught:
            load(path)
        assert str(path) in str(caught.value)
    file.write_text("\n", "utf-8")
    with pytest.raises(RequestError, match="holds no prompt"):
        load(file)


def test_a_file_that_is_not_utf8_is_refused_with_the_place(file: Path) -> None:
    file.write_bytes(b'{"prompt": "caf\xe9"}')
    with pytest.raises(RequestError, match="not UTF-8 at byte 15"):
        load(file)


PROMPTS = [Prompt(f"{task}{n}", task, "x") for n in range(3) for task in ("chat", "edit", "math")]


def test_pick_takes_the_first_of_every_task() -> None:
    assert pick(PROMPTS) == PROMPTS
    assert [prompt.id for prompt in pick(iter(PROMPTS), each=1)] == ["chat0", "edit0", "math0"]
    assert [prompt.id for prompt in pick(PROMPTS, ("math", "chat"), each=2)] == ["chat0", "math0", "chat1", "math1"]


def test_pick_refuses_a_task_that_is_not_there() -> None:
    with pytest.raises(RequestError, match=r"'code'.*chat, edit, math"):
        pick(PROMPTS, ("code",))


def test_the_built_in_prompts_cover_copying_and_talking() -> None:
    prompts = built_in()
    assert {"edit", "copy", "chat", "math", "summary"} <= {prompt.task for prompt in prompts}
