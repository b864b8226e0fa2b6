"""Replaying recorded answers: counts, trials, and that a drafter can't change them."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from slipstream.bench.replay import Answer, Case, Replay, read_cases, render, replay, replay_report
from slipstream.core.draft import Draft
from slipstream.core.errors import RequestError, StateFileError
from slipstream.core.request import Request


class ByteTokenizer:
    """A token per byte."""

    end_tokens: frozenset[int] = frozenset()

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        return list(text.encode())

    def piece(self, token: int) -> bytes:
        return bytes([token])


class Oracle:
    """Drafts the true answer, wrong from the `wrong`-th token of a draft on."""

    name = "oracle"
    by_match = False

    def __init__(self, answer: Sequence[int], wrong: int = 1000) -> None:
        self.answer, self.wrong, self.done = answer, wrong, 0

    def begin(self, slot: int, request: Request) -> bool:
        self.done = 0
        return True

    def propose(self, slot: int, limit: int, after: Sequence[int] = ()) -> Draft:
        tokens = list(self.answer[self.done : self.done + limit])
        tokens[self.wrong :] = [-1] * len(tokens[self.wrong :])
        return Draft(self.name, tuple(tokens), (1.0,) * len(tokens))

    def commit(self, slot: int, tokens: Sequence[int]) -> None:
        self.done += len(tokens)

    def end(self, slot: int) -> None: ...


@pytest.mark.parametrize(("wrong", "rounds"), [(1000, 6), (3, 25), (0, 100)])
def test_counts_accepted_tokens_and_one_more_a_round(wrong: int, rounds: int) -> None:
    answer, counts = tuple(range(100)), Replay()
    replay(Case("c", 0, (Answer((1,), answer),)), Oracle(answer, wrong), counts)
    assert (counts.tokens, counts.rounds) == (100, rounds)
    assert counts.accepted == 100 - rounds
    assert counts.drafted >= counts.accepted
    assert counts.tokens_per_round == 100 / rounds
    assert counts.microseconds_per_token > 0
    assert Replay().tokens_per_round == Replay().drafted_per_token == Replay().microseconds_per_token == 0


def write(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    return path


def test_every_assistant_message_is_a_request_over_all_before_it(tmp_path: Path) -> None:
    call = {"id": "call_x", "function": {"name": "find", "arguments": '{"a":1}'}}
    path = write(
        tmp_path / "rows.jsonl",
        {
            "id": "set/4/2",
            "messages": [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": "yes"},
                {"role": "tool", "content": "t"},
                {"role": "assistant", "tool_calls": [call]},
            ],
        },
        {"id": "sql/7", "response": "SELECT"},
        {"prompt": "p", "response": "q"},
    )
    talk, sql, plain = read_cases(path, ByteTokenizer())
    assert (talk.trial, talk.phase, len(talk.answers)) == (2, "later", 2)
    first, second = talk.answers
    assert bytes(first.prompt) == b"<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    assert bytes(first.tokens) == b"yes<|im_end|>"
    assert bytes(second.prompt).startswith(bytes(first.prompt + first.tokens))
    assert bytes(second.tokens) == b'<tool_call>\n{"name": "find", "arguments": {"a":1}}\n</tool_call><|im_end|>'
    assert (sql.phase, bytes(sql.answers[0].tokens)) == ("first", b"SELECT<|im_end|>")
    assert b"user\np<" in bytes(plain.answers[0].prompt)


def test_calls_with_structured_arguments_are_rendered_too() -> None:
    call = {"function": {"name": "f", "arguments": {"a": 1}}}
    assert render({"content": "so", "tool_calls": [call]}) == (
        'so\n<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'
    )


def test_the_memory_pays_on_later_trials(tmp_path: Path) -> None:
    answers = [f"The answer to question {number} is {number * number}, I am sure." for number in range(6)]
    rows = [
        {
            "id": f"set/{task}/{trial}",
            "messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": text}],
        }
        for trial in (0, 1)
        for task, text in enumerate(answers)
    ]
    report = replay_report([write(tmp_path / "rows.jsonl", *rows)], ByteTokenizer())
    figures = {(row.drafter, row.phase): row.tokens_per_round for row in report}
    assert len(figures) == 4
    assert figures["suffix", "later"] > 2 * figures["prompt_lookup", "later"]
    assert figures["suffix", "first"] > 1.25 * figures["prompt_lookup", "first"]


def test_files_that_cannot_be_replayed_are_named(tmp_path: Path) -> None:
    with pytest.raises(StateFileError, match="missing"):
        replay_report([tmp_path / "missing.jsonl"], ByteTokenizer())
    with pytest.raises(RequestError, match="line 2"):
        replay_report([write(tmp_path / "bad.jsonl", {"response": "a"}, {"answer": "b"})], ByteTokenizer())


def test_a_row_ends_only_where_json_lines_end(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"response": "one\u2028two\u0085three"}, ensure_ascii=False) + "\n", "utf-8")
    (case,) = read_cases(path, ByteTokenizer())
    assert "\u2028two\u0085three".encode() in bytes(case.answers[0].tokens)
