"""`slipstream run` as a user runs it: a process of its own on the real model."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from slipstream.bench.workload import built_in
from tests.cli.conftest import command, one_line, slipstream

EDIT = next(prompt.text for prompt in built_in() if prompt.id == "edit/1")
STATS = {
    "prompt_tokens", "reused_tokens", "tokens", "rounds", "draft_rounds", "draft_round_tokens", "prefill_ms",
    "decode_ms", "target_ms", "draft_ms", "paid_ms", "plan_ms", "tokens_per_second", "tokens_per_round",
    "accepted_length", "drafted", "accepted", "sources",
}  # fmt: skip
SCHEMA = {
    "type": "object",
    "properties": {"fruit": {"enum": ["apple", "pear"]}, "ripe": {"type": "boolean"}},
    "required": ["fruit", "ripe"],
    "additionalProperties": False,
}


def test_the_prompt_may_come_from_anywhere(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "prompt.txt"
    file.write_text("Say hello.")
    options = ("-n", 8, "--ignore-end", "--no-memory")
    answers = [
        slipstream("run", "Say hello.", "--stats", *options),
        slipstream("run", "--file", file, *options),
        slipstream("run", *options, input="Say hello."),
    ]
    assert [answer.returncode for answer in answers] == [0, 0, 0]
    assert answers[0].stdout.strip()
    assert answers[0].stdout == answers[1].stdout == answers[2].stdout
    # Figures are for people who asked, and don't get into the text.
    assert "8 tokens at " in answers[0].stderr and "tokens per round" in answers[0].stderr
    assert answers[1].stderr == answers[2].stderr == ""


def test_json_and_trace(root: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    answer = slipstream("run", EDIT, "-n", 32, "--json", "--trace", trace)
    assert (answer.returncode, answer.stderr) == (0, "")
    found = json.loads(answer.stdout)
    assert set(found) == {"text", "tokens", "finish", "stats"}
    stats = found["stats"]
    assert set(stats) == STATS
    assert stats["tokens"] == len(found["tokens"]) and found["text"]
    assert stats["tokens_per_second"] == pytest.approx(1000 * stats["tokens"] / stats["decode_ms"])
    assert stats["accepted"] == sum(source["accepted"] for source in stats["sources"].values()) > 0
    rounds = [json.loads(line) for line in trace.read_text().splitlines()]
    assert len(rounds) == stats["rounds"]
    assert all(line["reason"] for line in rounds)
    assert [token for line in rounds for token in line["slots"][0]["emitted"]] == found["tokens"]
    assert all(line["width"] == 1 + line["slots"][0]["drafted"] for line in rounds)
    # What was learnt and the answer itself are there for the next run.
    assert list((root / "state" / "acceptance").iterdir())
    again = json.loads(slipstream("run", EDIT, "-n", 32, "--json").stdout)
    assert again["stats"]["rounds"] < stats["rounds"]


def test_a_schema_is_followed_and_drafts_may_be_off(root: Path, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps(SCHEMA))
    for given, more in ((json.dumps(SCHEMA), ["--draft", "off"]), (f"@{schema}", [])):
        answer = slipstream("run", "A ripe pear.", "-n", 64, "--json", "--no-memory", "--json-schema", given, *more)
        assert answer.returncode == 0, answer.stderr
        found = json.loads(answer.stdout)
        value = json.loads(found["text"])
        assert value["fruit"] in ("apple", "pear") and isinstance(value["ripe"], bool) and len(value) == 2
        assert not more or found["stats"]["drafted"] == 0
        assert found["finish"] == "stop"


def test_ctrl_c_keeps_the_text_and_a_second_process_is_told_who_holds_the_memory(root: Path, tmp_path: Path) -> None:
    memory = tmp_path / "memory.tokens"
    line = command("run", "Count from one to one thousand.", "-n", 900, "--ignore-end", "--memory-file", memory)
    # A group of its own, as in a terminal; unbuffered to see the first word.
    process = subprocess.Popen(
        line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        assert process.stdout and process.stderr
        first = os.read(process.stdout.fileno(), 1)
        assert first
        second = slipstream("run", "Hello", "--memory-file", memory)
        assert second.returncode == 6 and second.stdout == ""
        one_line(second.stderr, f"in use by process {process.pid}\n")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert len(first + out) > 10 and out.endswith(b"\n")
    assert err == b""
    # The memory is whole, and free again.
    third = slipstream("run", "Hello", "-n", 1, "--memory-file", memory)
    assert (third.returncode, third.stderr) == (0, "")


def test_ctrl_c_while_measuring_leaves_nothing(root: Path) -> None:
    (known,) = (root / "state" / "curves").iterdir()
    known.unlink()
    process = subprocess.Popen(
        command("run", "Hello"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert process.stderr
        assert b"measuring" in process.stderr.readline()
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, out, err) == (130, b"", b"")
    assert list((root / "state" / "curves").iterdir()) == []


def test_a_reader_that_leaves_is_no_error(root: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as gone:
        answer = subprocess.run(
            command("run", "Hello", "-n", 4), stdin=subprocess.DEVNULL, stdout=gone, stderr=subprocess.PIPE, timeout=30,
            check=False,
        )  # fmt: skip
    assert (answer.returncode, answer.stderr) == (1, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_behind_the_output_is_one_line(root: Path) -> None:
    with open("/dev/full", "wb") as full:
        answer = subprocess.run(
            command("run", "Hello", "-n", 4), stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, text=True,
            timeout=30, check=False,
        )  # fmt: skip
    assert answer.returncode == 6
    one_line(answer.stderr, "No space left")


def test_characters_that_the_terminal_lacks_are_replaced(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    answer = slipstream("run", "🦜🎉🥳 🦜🎉🥳 🦜🎉🥳 🦜🎉🥳 🦜🎉", "--raw", "-n", 8, "--no-memory")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "?" in answer.stdout
