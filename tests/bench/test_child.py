"""Real children that hang, flood, breed and refuse to die."""

import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from slipstream.bench.child import Child, environment, run
from slipstream.core.errors import ChildError

PLAIN = {"PATH": os.environ["PATH"]}
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"


def python(code: str) -> list[str]:
    # Without the site module it starts in a few milliseconds.
    return [sys.executable, "-I", "-S", "-c", code]


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_command_runs_to_its_end_with_nothing_to_read_and_just_this_environment() -> None:
    code = "import os, sys; print(sys.stdin.read() == '', sorted(os.environ)); sys.stderr.write('oh\\n'); sys.exit(3)"
    ended = run(python(code), {"LC_ALL": "C", "MINE": "1"}, 20)
    assert (ended.why, ended.code, ended.errors) == ("exited", 3, "oh\n")
    assert ended.output == "True ['LC_ALL', 'MINE']\n"
    assert ended.argv[0] == sys.executable and ended.environment == {"LC_ALL": "C", "MINE": "1"}
    assert ended.last_words == "oh"
    assert ended.seconds < 20


def test_one_that_hangs_is_ended_and_what_it_said_is_kept() -> None:
    ended = run(python("import time; print('working', flush=True); time.sleep(60)"), PLAIN, 0.5)
    assert (ended.why, ended.code, ended.output) == ("time limit", -signal.SIGTERM, "working\n")


def test_one_that_floods_is_ended_at_its_cap() -> None:
    ended = run(python("while True: print('x' * 1000)"), PLAIN, 20, most_output=50_000)
    assert ended.why == "output cap"
    assert 50_000 <= len(ended.output) < 500_000


def test_one_that_ignores_being_asked_is_forced() -> None:
    child = Child(python(STUBBORN + "print('ready', flush=True)\nimport time; time.sleep(60)"), PLAIN, grace=0.2)
    assert child.line(20) == "ready"
    ended = child.end()
    assert (ended.why, ended.code) == ("stopped", -signal.SIGKILL)
    assert not alive(child.pid)
    assert child.end() is ended, "ending twice is harmless"


BREEDS = """
import os, time
if os.fork() == 0:
    {before}
    print(os.getpid(), flush=True)
    time.sleep(60)
{after}
"""


@pytest.mark.parametrize("after", ["time.sleep(60)", "os._exit(0)"])
@pytest.mark.parametrize("before", ["pass", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"])
def test_grandchildren_end_with_it_whether_or_not_it_left_them_behind(before: str, after: str) -> None:
    child = Child(python(BREEDS.format(before=before, after=after)), PLAIN, grace=0.2)
    line = child.line(20)
    assert line is not None and alive(int(line))
    child.end()
    assert not alive(int(line)) and not alive(child.pid)


def test_a_child_that_left_others_at_its_pipes_is_over() -> None:
    begin = time.monotonic()
    ended = run(python(BREEDS.format(before="pass", after="os._exit(5)")), PLAIN, 30)
    assert (ended.why, ended.code) == ("exited", 5)
    assert time.monotonic() - begin < 15


def test_lines_come_as_they_are_written_and_then_none() -> None:
    child = Child(python("print('one', flush=True); print('two'); print('torn', end='')"), PLAIN)
    assert (child.line(20), child.line(20), child.line(20)) == ("one", "two", None)
    assert child.wait(20).output == "one\ntwo\ntorn"
    assert child.line(0.1) is None


def test_a_line_that_does_not_come_ends_the_child() -> None:
    child = Child(python("import sys, time; print('stuck here', file=sys.stderr, flush=True); time.sleep(60)"), PLAIN)
    with pytest.raises(
        ChildError, match=r"^python\S* was ended: it took over 0.4 s; its last words: stuck here"
    ) as caught:
        child.line(0.4)
    assert caught.value.said == "stuck here" and caught.value.exit_code == 9
    assert not alive(child.pid)
    flood = Child(python("while True: print('x' * 1000, end='')"), PLAIN, most_output=10_000)
    with pytest.raises(ChildError, match="wrote over 10000 bytes"):
        flood.line(20)
    assert not alive(flood.pid)


def test_what_a_failed_child_wrote_is_kept_but_for_what_was_read() -> None:
    code = (
        "print('one', flush=True); print('half', end='', flush=True); raise SystemExit('error: no luck\\n  hint: more')"
    )
    child = Child(python(code), PLAIN, name="the child")
    assert child.line(20) == "one" and child.line(20) is None and not child.running
    failure = child.failed("exited", "ended early", "do it")
    assert str(failure) == "the child ended early; its last words: error: no luck, hint: more. do it"
    assert failure.said == "half\nerror: no luck\n  hint: more"
    silent = Child(python("pass"), PLAIN, name="it")
    assert str(silent.failed("stopped", "had to end")) == "it had to end; it said nothing"


def test_messages_are_taken_in_while_nobody_waits() -> None:
    child = Child(python("import sys, time; print('x' * 300_000, flush=True)"), PLAIN)
    while child.running:
        child.take_in()
    assert len(child.end().output) == 300_001
    flood = Child(python("while True: print('x' * 1000, end='')"), PLAIN, most_output=10_000)
    with pytest.raises(ChildError, match="wrote over 10000 bytes"):
        while True:
            flood.take_in()
    assert not flood.running


def test_only_its_own_group_is_ended() -> None:
    bystander = Child(python("import time; print('here', flush=True); time.sleep(60)"), PLAIN)
    try:
        assert bystander.line(20) == "here"
        run(python("import time; time.sleep(60)"), PLAIN, 0.3)
        assert alive(bystander.pid)
        assert os.getpgid(bystander.pid) == bystander.pid != os.getpgid(0)
    finally:
        bystander.end()


def test_a_program_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ChildError, match=r"nowhere can't be started: no such file"):
        run([str(tmp_path / "nowhere")], PLAIN, 1)


def test_the_environment_passes_on_what_matters_and_no_secrets() -> None:
    ours = {"PATH": "/bin", "OMP_NUM_THREADS": "4", "SLIPSTREAM_ROOT": "/data", "SECRET_KEY": "x", "EDITOR": "vi"}
    assert environment({"OMP_NUM_THREADS": "2", "X": "y"}, ours) == {
        "PATH": "/bin",
        "OMP_NUM_THREADS": "2",
        "SLIPSTREAM_ROOT": "/data",
        "X": "y",
    }
