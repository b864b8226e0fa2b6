"""Whatever is wrong with what a user gives: one line that says so, the right exit code, nothing half-written."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slipstream.cli import main as cli
from slipstream.cli.table import COMMANDS
from slipstream.engine.target import LlamaTarget
from slipstream.host import memory
from slipstream.host.memory import Memory
from tests.cli.conftest import Refuses, command, files, one_line, slipstream
from tests.engine import tiny_gguf

REQUEST, MODEL, SHORTAGE, OVERFLOW, STATE = 2, 3, 4, 5, 6


@pytest.fixture
def no_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is loaded all the same fails the test."""

    def load(*arguments: Any, **options: Any) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(LlamaTarget, "open", load)


def run(*arguments: object) -> tuple[object, ...]:
    return ("run", "Hello", "-n", 2, *arguments)


# The model


def test_a_missing_model(refuses: Refuses, own_world: Path) -> None:
    refuses(MODEL, "no model file at .*nowhere.gguf", *run("-m", own_world / "nowhere.gguf"))
    refuses(MODEL, "is not a file", *run("-m", own_world))
    assert files(own_world) == {}


@pytest.mark.parametrize("kept", [3, 20, 200, 20_000, -1])
def test_a_truncated_model(refuses: Refuses, own_world: Path, tiny: Path, no_loading: None, kept: int) -> None:
    tiny.write_bytes(tiny.read_bytes()[:kept])
    before = files(own_world)
    refuses(MODEL, "truncated|not a GGUF file|goes past the end", *run("-m", tiny))
    assert files(own_world) == before


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04" + bytes(100), b"GGUF" + b"\xff" * 100, b"GGUF" + bytes(100)])
def test_what_is_no_model(refuses: Refuses, own_world: Path, no_loading: None, content: bytes) -> None:
    (own_world / "model.gguf").write_bytes(content)
    refuses(MODEL, "not a GGUF file|version", *run("-m", own_world / "model.gguf"))
    assert list(files(own_world)) == ["model.gguf"]


def test_a_truncated_model_as_a_process(own_world: Path, tiny: Path) -> None:
    tiny.write_bytes(tiny.read_bytes()[:-1000])
    answer = slipstream(*run("-m", tiny))
    assert (answer.returncode, answer.stdout) == (MODEL, "")
    one_line(answer.stderr, "truncated: its tensors end at byte")


def test_an_architecture_that_the_engine_lacks(refuses: Refuses, own_world: Path) -> None:
    path = tiny_gguf.write_gguf(own_world / "odd.gguf", {"general.architecture": "oddity"}, {})
    refuses(MODEL, "could not be loaded: .*oddity", *run("-m", path))


def test_too_long_a_context_for_the_machine(refuses: Refuses, own_world: Path, tiny: Path, no_loading: None) -> None:
    path = tiny_gguf.dense(own_world / "long.gguf", context=1 << 29)
    before = files(own_world)
    said = refuses(SHORTAGE, r"needs about \d+\.\d GB \(weights 0\.0, kv \d+\.\d, .*, but \d+\.\d GB are free",
                   *run("-m", path, "--context", 500_000_000))  # fmt: skip
    assert "hint: use a shorter context" in said
    assert files(own_world) == before


def test_too_large_a_model_for_the_machine(
    refuses: Refuses, tiny: Path, no_loading: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "read", lambda: Memory(total=1 << 30, available=200_000_000, reason="made up"))
    refuses(SHORTAGE, "tiny.gguf needs about 0.3 GB .* but 0.2 GB are free", *run())


# Context and prompt


def test_a_longer_context_than_the_model_has(refuses: Refuses, tiny: Path, no_loading: None) -> None:
    says = "a context of 513 tokens was asked for, but tiny.gguf was trained for 512\n  hint: ask for at most 512"
    refuses(OVERFLOW, says, *run("--context", 513))
    refuses(REQUEST, "context_length is -1", *run("--context", -1))


def test_a_longer_prompt_than_the_context(refuses: Refuses, tiny: Path) -> None:
    says = r"the prompt has \d+ tokens but the context holds 64\n  hint: shorten the prompt or raise --context"
    refuses(OVERFLOW, says, "run", "word " * 100, "--context", 64)


@pytest.mark.parametrize("prompt", ["", "  \n"])
def test_an_empty_prompt(refuses: Refuses, tiny: Path, no_loading: None, own_world: Path, prompt: str) -> None:
    (own_world / "prompt.txt").write_text(prompt)
    refuses(REQUEST, "the prompt is empty", "run", prompt)
    refuses(REQUEST, "the prompt is empty", "run", "--file", own_world / "prompt.txt")


def test_no_prompt_at_all(own_world: Path, tiny: Path) -> None:
    answer = slipstream("run")  # standard input is empty
    assert answer.returncode == REQUEST
    one_line(answer.stderr, "the prompt is empty")


def test_a_prompt_file_that_can_not_be_read(refuses: Refuses, tiny: Path, no_loading: None, own_world: Path) -> None:
    (own_world / "latin1.txt").write_bytes("Grüße".encode("latin-1"))
    refuses(REQUEST, "latin1.txt is not UTF-8 at byte 2", "run", "--file", own_world / "latin1.txt")
    refuses(REQUEST, "nowhere.txt can't be read: No such file", "run", "--file", own_world / "nowhere.txt")
    refuses(REQUEST, "both a prompt and --file", "run", "Hello", "--file", own_world / "latin1.txt")
    answer = subprocess.run(command("run"), input=b"Gr\xfc\xdfe", capture_output=True, timeout=30, check=False)
    assert answer.returncode == REQUEST
    one_line(answer.stderr.decode(), "standard input is not UTF-8 at byte 2")


# Options


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--draft", "sufix"], r"unknown drafter 'sufix'\n  hint: did you mean 'suffix'\? valid: auto, cascade"),
        (["--draft", "suffix,eagle9"], "unknown drafter 'eagle9'\n  hint: valid: auto, cascade"),
        (["--top-k", "40"], "top_k 40 contradicts temperature 0"),
        (["--min-p", "0.1", "--temperature", "0"], "min_p 0.1 contradicts temperature 0"),
        (["--temperature", "-1"], "temperature is -1.0"),
        (["--top-p", "1.5", "--temperature", "1"], "top_p is 1.5"),
        (["--seed", "-1"], "seed is -1"),
        (["--json-schema", "{"], "the JSON schema is not valid JSON"),
        (["--json-schema", "[]"], "the JSON schema is not an object"),
        (["--json-schema", '{"type": "nonsense"}'], "the JSON schema can't be used"),
        (["--json-schema", '{"$ref": "https://example.org/x"}'], "refers to 'https://example.org/x'"),
        (["--json-schema", "@/nowhere.json"], "nowhere.json can't be read"),
        (["--logit-bias", "five"], "--logit-bias 'five' can't be read"),
        (["--override-kv", "llama.x=five"], "can't be read"),
        (["--flash-attention", "of"], "did you mean 'off'"),
        (["--key-type", "q8"], "unknown key cache type 'q8'.*\n.*q8_0"),
        (["--value-type", "q8_0", "--flash-attention", "off"], "needs flash attention"),
        (["--numa", "spread"], "unknown NUMA mode 'spread'.*\n.*distribute"),
        (["--threads", "-2"], "threads is -2"),
        (["--temprature", "1"], "no such option: --temprature\n  hint: did you mean --temperature"),
        (["--context", "many"], "invalid value for '--context' .* valid integer"),
        (["--reference", "/nowhere.txt"], "the reference /nowhere.txt can't be read"),
    ],
)  # fmt: skip
def test_options_that_make_no_sense(
    refuses: Refuses, tiny: Path, no_loading: None, own_world: Path, options: list[str], says: str
) -> None:
    before = files(own_world)
    refuses(REQUEST, says, *run(*options))
    assert files(own_world) == before


def test_options_that_only_the_model_can_judge(refuses: Refuses, tiny: Path, own_world: Path) -> None:
    refuses(REQUEST, "logit_bias names token 99999", *run("--logit-bias", "99999=1"))
    (own_world / "bad.gbnf").write_text("root ::= (")
    refuses(REQUEST, "the grammar is invalid", *run("--grammar", own_world / "bad.gbnf"))
    refuses(REQUEST, "max_tokens is 0", "run", "Hello", "-n", 0)
    refuses(REQUEST, "a stop string is empty", *run("--stop", ""))
    assert cli.main(["run", "Hello", "-n", "2"]) == 0


# Settings


def test_unknown_settings(
    refuses: Refuses, tiny: Path, no_loading: None, own_world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = own_world / "config" / "slipstream" / "config.toml"
    config.parent.mkdir(parents=True)
    for content, says in (
        ('modle = "x.gguf"', "unknown setting in .*config.toml: modle\n  hint: did you mean model"),
        ("threads = ", "config.toml can't be read"),
        ("memory_tokens = 0", "memory_tokens in .*config.toml is 0"),
    ):
        config.write_text(content)
        refuses(REQUEST, says, *run())
    config.unlink()
    monkeypatch.setenv("SLIPSTREAM_THREDS", "2")
    refuses(REQUEST, "unknown environment variable SLIPSTREAM_THREDS\n  hint: did you mean SLIPSTREAM_THREADS", *run())


# Files of ours


@pytest.mark.parametrize("damage", ["{", '{"version": 2, "curve": {"table": {}, "corrections": {}}, "parity": null}'])
def test_a_damaged_curve(root: Path, made_up_curve: None, capsys: pytest.CaptureFixture[str], damage: str) -> None:
    (file,) = (root / "state" / "curves").iterdir()
    file.write_text(damage)
    assert cli.main([*map(str, run())]) == 0
    printed = capsys.readouterr()
    (note,) = printed.err.splitlines()
    assert note.startswith("note: ") and file.name in note and "damaged-1" in note and "measured again" in note
    assert printed.out.strip()
    assert file.with_name(file.name + ".damaged-1").read_text() == damage
    assert cli.main([*map(str, run())]) == 0
    assert capsys.readouterr().err == ""


def test_a_damaged_record_of_acceptance(tiny: Path, own_world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["run", "abcabcabc", "-n", "12", "--ignore-end"]
    assert cli.main(line) == 0
    (file,) = (own_world / "root" / "state" / "acceptance").iterdir()
    file.write_text('{"version": 2, "acceptance": {"default": [["suffix", 1, 1, 5, 2]]}}')
    capsys.readouterr()
    assert cli.main(line) == 0
    (note,) = capsys.readouterr().err.splitlines()
    assert note.startswith("note: ") and "damaged-1" in note and "learnt again" in note
    assert cli.main(line) == 0
    assert capsys.readouterr().err == ""


def test_a_damaged_memory(tiny: Path, own_world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = own_world / "memory.tokens"
    line = [*map(str, run("--memory-file", file, "--ignore-end"))]
    file.write_bytes(b"what somebody else wrote")
    assert cli.main(line) == 0
    (note,) = capsys.readouterr().err.splitlines()
    assert note.startswith("note: token log") and "it was no token log" in note and "damaged-1" in note
    assert (own_world / "memory.tokens.damaged-1").read_bytes() == b"what somebody else wrote"
    whole = file.read_bytes()
    file.write_bytes(whole + b"\x07\x00\x00\x00torn")
    assert cli.main(line) == 0
    assert "the last 8 bytes were torn or damaged, 1 outputs before them are kept" in capsys.readouterr().err
    assert file.read_bytes().startswith(whole)


def test_a_memory_file_that_can_not_be(refuses: Refuses, tiny: Path, own_world: Path) -> None:
    (own_world / "folder").mkdir()
    for path, says in ((own_world / "no" / "folder", "it doesn't exist"), (own_world / "folder", "it is a folder"),
                       (tiny / "below", "a part of the path is a file")):  # fmt: skip
        refuses(STATE, f"the token log {path} can't be opened: {says}", *run("--memory-file", path))


@pytest.mark.parametrize("place", ["file", "below a file", "/proc/nowhere"])
def test_a_data_root_that_can_not_be_written(
    refuses: Refuses, tiny: Path, no_loading: None, own_world: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    file = own_world / "file"
    file.write_text("mine")
    root = {"file": file, "below a file": file / "root"}.get(place, Path(place))
    monkeypatch.setenv("SLIPSTREAM_ROOT", str(root))
    said = refuses(STATE, f"the data root's folder {root}/state can't be written", *run())
    assert "SLIPSTREAM_ROOT" in said
    assert file.read_text() == "mine"


def test_a_trace_that_can_not_be_written(refuses: Refuses, tiny: Path, no_loading: None, own_world: Path) -> None:
    refuses(STATE, "the trace .* can't be written: it doesn't exist", *run("--trace", own_world / "no" / "trace"))
    refuses(STATE, "the trace .* can't be written: it is a folder", *run("--trace", own_world))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_behind_the_trace(tiny: Path, own_world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = own_world / "trace.jsonl"
    trace.symlink_to("/dev/full")
    assert cli.main([*map(str, run("--trace", trace))]) == STATE
    one_line(capsys.readouterr().err, f"the trace {trace} can't be written: the disk is full")


@pytest.fixture
def small_disk(own_world: Path) -> Iterator[Path]:
    """A file system of 64 KB."""
    if shutil.which("mount") is None:
        pytest.skip("no mount")
    folder = own_world / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "slipstream-test", str(folder)]
    if subprocess.run(mount, capture_output=True, timeout=10, check=False).returncode:
        pytest.skip("not allowed to mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], capture_output=True, timeout=10, check=False)


def fill_up(folder: Path) -> None:
    with (folder / "ballast").open("wb", buffering=0) as file:
        try:
            for size in (4096, 64):
                while True:
                    file.write(bytes(size))
        except OSError:
            pass


def test_a_full_disk_behind_the_data_root(
    refuses: Refuses, tiny: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = small_disk / "root"
    monkeypatch.setenv("SLIPSTREAM_ROOT", str(root))
    (root / "state" / "curves").mkdir(parents=True)
    (root / "state" / "memory").mkdir()
    fill_up(small_disk)
    before = files(root)
    refuses(STATE, "curves/.*json can't be written: the disk is full\n  hint: free some space", *run("--no-memory"))
    assert files(root) == before
    refuses(STATE, "can't be opened: the disk is full", *run())
    assert not list(root.rglob("*.tmp")) and not list(root.rglob("*.json"))
    # With space again, all is well.
    (small_disk / "ballast").unlink()
    assert cli.main([*map(str, run())]) == 0
    assert capsys.readouterr().err == ""


# Help


@pytest.mark.parametrize("name", [entry.name for entry in COMMANDS])
def test_help_of_every_command_is_fast(name: str) -> None:
    def once() -> float:
        start = time.perf_counter()
        answer = slipstream(name, "--help")
        assert answer.returncode == 0 and f"slipstream {name}" in answer.stdout
        return time.perf_counter() - start

    # Best of three, and the first that is fast enough will do.
    assert any(once() < 0.6 for _ in range(3))
