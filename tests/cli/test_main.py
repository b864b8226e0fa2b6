"""The command line's frame: fast help, one-line failures, exit codes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from slipstream import __version__
from slipstream.cli import main as cli
from slipstream.cli.table import COMMANDS, Entry
from slipstream.core.errors import ModelFileError

# Modules that only a chosen command may import.
HEAVY = ("llama_cpp", "numpy", "pydantic", "rich", "jinja2", "psutil")


def child(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30, check=False
    )


def test_help_lists_every_command_and_imports_none() -> None:
    code = (
        "import sys; from slipstream.cli.main import main; main(['--help']);"
        f"print(sorted(set(sys.modules) & set({HEAVY})), file=sys.stderr)"
    )
    answer = child(code)
    assert answer.stderr.strip() == "[]"
    shown = [entry for entry in COMMANDS if not entry.hidden]
    assert all(f"  {entry.name} " in answer.stdout and entry.purpose[:40] in answer.stdout for entry in shown)


def test_help_is_fast() -> None:
    def once() -> float:
        start = time.perf_counter()
        child("from slipstream.cli.main import main; main(['--help'])")
        return time.perf_counter() - start

    assert min(once() for _ in range(5)) < 0.6


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"slipstream {__version__}\n"


def test_no_command_prints_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    assert "Commands:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["versoin"], "error: unknown command 'versoin'\n  hint: did you mean 'version'? valid: "),
        (
            ["version", "--jsn"],
            "error: no such option: --jsn\n  hint: did you mean --json? see slipstream version --help\n",
        ),
        (["version", "extra"], "error: got unexpected extra argument"),
        (["--nonsense"], "error: no such option: --nonsense\n"),
    ],
)
def test_wrong_names_are_refused_with_the_nearest(
    capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert cli.main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(says)
    assert printed.out == ""


def pretend(monkeypatch: pytest.MonkeyPatch, command: object) -> None:
    """Put `command` behind the name "version"."""
    monkeypatch.setattr(sys.modules[__name__], "_command", command, raising=False)
    monkeypatch.setattr(cli, "COMMANDS", (Entry("version", f"{__name__}:_command", "made up"),))


def test_failures_are_a_line_and_their_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> None:
        raise ModelFileError("no model file at x", hint="check the path")

    pretend(monkeypatch, command)
    assert cli.main(["version"]) == ModelFileError.exit_code
    assert capsys.readouterr().err == "error: no model file at x\n  hint: check the path\n"


def test_a_command_may_set_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, lambda: 9)
    assert cli.main(["version"]) == 9


def test_bugs_are_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def command() -> None:
        raise ZeroDivisionError

    pretend(monkeypatch, command)
    with pytest.raises(ZeroDivisionError):
        cli.main(["version"])


def test_ctrl_c_is_quiet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise KeyboardInterrupt

    pretend(monkeypatch, command)
    assert cli.main(["version"]) == 130
    assert capsys.readouterr().err.strip() == ""


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130)])
def test_a_signal_ends_a_command_like_ctrl_c(monkeypatch: pytest.MonkeyPatch, name: str, code: int) -> None:
    number = getattr(signal, name)
    cleaned: list[str] = []

    def command() -> int:
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            cleaned.append(name)
        return 130

    before = signal.getsignal(number)
    pretend(monkeypatch, command)
    assert cli.main(["version"]) == code and cleaned == [name]
    assert signal.getsignal(number) is before


def test_a_signal_that_is_ignored_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, lambda: signal.raise_signal(signal.SIGHUP))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert cli.main(["version"]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as gone, (tmp_path / "err").open("w+") as errors:
        code = "import sys; from slipstream.cli.main import main; sys.exit(main(['--help']))"
        answer = subprocess.run([sys.executable, "-c", code], stdout=gone, stderr=errors, timeout=30, check=False)
        errors.seek(0)
        assert (answer.returncode, errors.read()) == (1, "")
