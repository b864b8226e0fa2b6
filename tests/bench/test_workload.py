"""Prompt files: what is read, and what is said of a bad one."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from slipstream.bench.task_classes import CLASSES, class_of
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


def test_answers_and_tests_come_along(file: Path) -> None:
    file.write_text(
        "\n".join(
            [
                row(prompt="how many?", answer=18),
                row(prompt="how many then?", answer="8 #### 42", reference="43"),
                row(prompt="write f", test="assert f()", entry_point="f", reference=None),
            ]
        )
    )
    first, second, third = load(file)
    assert (first.reference, second.reference, third.reference) == ("18", "43", "")
    assert (third.test, third.entry_point) == ("assert f()", "f")


def test_prompts_are_distinct(file: Path) -> None:
    file.write_text("\n".join([row(prompt="Why  so?"), row(prompt="Why not?"), row(prompt=" Why so?\n", task="chat")]))
    with pytest.raises(RequestError, match=r"line 3: the same prompt as in line 1.*distinct"):
        load(file)


def test_filler_is_refused(file: Path) -> None:
    file.write_text(row(prompt="x") + "\n" + row(prompt="the sun shines and " * 300))
    with pytest.raises(RequestError, match=r"line 2: filler text, it is one passage over and over"):
        load(file)


def test_a_long_line_is_refused_without_reading_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slipstream.bench.workload.LONGEST_LINE", 1 << 20)
    file.write_text(row(prompt="x") + "\n" + "a" * (2 << 20))
    with pytest.raises(RequestError, match="line 2: longer than 1 MiB"):
        load(file)


def test_the_place_of_an_error_is_named(file: Path) -> None:
    file.write_text(row(prompt="x") + '\n{"prompt": "y",, "id": 2}')
    with pytest.raises(RequestError, match="line 2: not JSON at column 16 "):
        load(file)
    file.write_bytes(b'{"prompt": "x"}\n{"prompt": "caf\xe9"}')
    with pytest.raises(RequestError, match="not UTF-8 at byte 31, line 2"):
        load(file)


@pytest.mark.parametrize("line", ["[" * 100_000, '{"id": ' + "9" * 5000 + ', "prompt": "x"}'])
def test_json_that_python_can_not_hold(file: Path, line: str) -> None:
    file.write_text(line)
    with pytest.raises(RequestError, match="line 1: not JSON that can be read"):
        load(file)


def test_recorded_answers_are_sent_to_replay(file: Path) -> None:
    file.write_text(row(id="a", response="SELECT 1"))
    with pytest.raises(RequestError, match=r"no prompt.*slipstream bench replay"):
        load(file)


def test_a_byte_order_mark_is_no_part_of_it(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + row(prompt="x").encode())
    assert load(file)[0].text == "x"


PROMPTS = [Prompt(f"{task}{n}", task, "x") for n in range(3) for task in ("chat", "edit", "math")]


def test_pick_takes_the_first_of_every_task() -> None:
    assert pick(PROMPTS) == PROMPTS
    assert [prompt.id for prompt in pick(iter(PROMPTS), each=1)] == ["chat0", "edit0", "math0"]
    assert [prompt.id for prompt in pick(PROMPTS, ("math", "chat"), each=2)] == ["chat0", "math0", "chat1", "math1"]


def test_pick_knows_task_classes_where_no_task_has_the_name() -> None:
    prompts = [Prompt(task, task, "x") for task in ("copy", "code_edit", "gsm8k", "edit")]
    assert [prompt.id for prompt in pick(prompts, ("edit", "math"))] == ["gsm8k", "edit"]
    assert [prompt.id for prompt in pick(prompts[:3], ("edit",))] == ["copy", "code_edit"]


def test_pick_refuses_a_task_that_is_not_there() -> None:
    with pytest.raises(RequestError, match=r"'code'.*chat, edit, math"):
        pick(PROMPTS, ("code",))


def test_the_built_in_prompts_cover_every_class_twice() -> None:
    counts = Counter(class_of(prompt.task) for prompt in built_in())
    assert set(counts) == set(CLASSES)
    assert min(counts.values()) >= 2


def test_half_a_character_is_refused(file: Path) -> None:
    file.write_text('{"prompt": "smile \\ud83d"}')
    with pytest.raises(RequestError, match="line 1: half of a character"):
        load(file)
