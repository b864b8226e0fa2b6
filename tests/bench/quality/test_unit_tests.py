"""Programs are found in answers, run, and judged by their tests alone."""

from pathlib import Path

import pytest

from slipstream.bench.quality.unit_tests import Limits, programs_of, run, score
from slipstream.bench.workload import Prompt, built_in

ASKED = (
    "Complete this function. Output only the function.\n"
    "```python\nimport math\n\n\ndef twice(x):\n    return 2 * x\n\n\n"
    'def area(radius: float) -> float:\n    """Of a circle."""\n```'
)
CHECKS = "def check(candidate):\n    assert candidate(1) > 3.14\n    assert abs(candidate(2) - 12.566) < 0.001\n"
PROMPT = Prompt("a", "code", ASKED, test=CHECKS, entry_point="area")
RIGHT = "def area(radius):\n    return twice(math.pi * radius ** 2) / 2\n"


def outcome(program: str, tests: str = "assert area(1) > 3", scratch: Path | None = None) -> tuple[str, str]:
    assert scratch
    mark = run([program], tests, "area", scratch, Limits(seconds=5, memory=1 << 28))
    return mark.outcome, mark.reason


@pytest.mark.parametrize(
    "answer",
    [
        f"```python\n{RIGHT}```",
        f"Sure! Here it is:\n\n```py\n{RIGHT}```\nUse it like this:\n```python\nprint(area(3))\n```",
        f"```\n{RIGHT}",  # cut off before the fence is closed
        f"~~~python\n{RIGHT}~~~",
        f"1. Like this:\n   ```python\n{''.join(f'   {line}' for line in RIGHT.splitlines(True))}   ```",
        f"First try:\n```python\ndef area(r):\n    return 0\n```\nBetter:\n```python\n{RIGHT}```",
        RIGHT,
        f"Here is the function.\n\n{RIGHT}",
        "    return math.pi * radius ** 2\n\n\ndef more():\n    return (\n",
        "```python\n    return math.pi * radius ** 2\n```",
        "```python\nfrom __future__ import annotations\narea = lambda radius: math.pi * radius ** 2\n```",
        "```sh\npip install nothing\n```\n```python\n" + RIGHT + "```",
    ],
)
def test_the_program_in_an_answer_is_found(answer: str, tmp_path: Path) -> None:
    mark = score(PROMPT, answer, tmp_path)
    assert (mark.outcome, mark.reason) == ("passed", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "answer", ["I can't do that.", "", "```python\nprint(1)\n```", "```js\nfunction area() {}\n```"]
)
def test_no_program_is_a_failure(answer: str, tmp_path: Path) -> None:
    mark = score(PROMPT, answer, tmp_path)
    assert mark.outcome == "failed" and mark.reason


def test_without_code_in_the_prompt_there_is_nothing_to_go_on_from() -> None:
    assert programs_of(Prompt("a", "code", "Write area().", entry_point="area"), "    return 1") == []


def test_the_built_in_tests_pass_on_right_answers_and_fail_on_the_question(tmp_path: Path) -> None:
    answers = {
        "code/0": "def longest_run(v):\n    import itertools\n"
        "    return max((len(list(g)) for _, g in itertools.groupby(v)), default=0)",
        "code/1": "import re\n\ndef seconds(text):\n"
        "    m = re.fullmatch(r'(?=.)(?:(\\d+)h)?(?:(\\d+)m)?(?:(\\d+)s)?', text)\n    if not m:\n"
        "        raise ValueError(text)\n    h, m, s = (int(p or 0) for p in m.groups())\n    return 3600*h + 60*m + s",
    }
    for prompt in built_in():
        if prompt.id in answers:
            assert score(prompt, answers[prompt.id], tmp_path).outcome == "passed"
        elif prompt.id == "edit/0":
            code = prompt.text.split("```python\n")[1]
            assert (
                score(prompt, f"```python\n{code}", tmp_path).reason == 'AssertionError in assert candidate("OIL") == 2'
            )
            assert (
                score(prompt, f"```python\n{code.replace('in text', 'in text.lower()')}", tmp_path).outcome == "passed"
            )


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("def area(r): return 1", "AssertionError in assert area(1) > 3"),
        ("def area(r): return [][1]", "IndexError: list index out of range in assert area(1) > 3"),
        ("def area(r: return", "SyntaxError: "),
        ("import numpy\ndef area(r): return 4", "ModuleNotFoundError: No module named 'numpy'"),
        ("def area(r): return input()", "EOFError: "),
        ("def area(r): return area(r)", "RecursionError: "),
        # Ending early is not passing.
        ("import sys\nsys.exit(0)", "SystemExit: 0"),
        ("import sys\ndef area(r): sys.exit(0)", "SystemExit: 0"),
        ("import os\ndef area(r): os._exit(0)", "ended before its tests did: exit code 0"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("import ctypes\ndef area(r): ctypes.string_at(0)", "ended before its tests did: signal 11"),
        # Nor is saying so.
        ("print('{\"outcome\": \"passed\"}')", "NameError: "),
        (
            "import os\nfor n in range(30):\n    try: os.write(n, b'{\"outcome\": \"passed\", \"marker\": \"\"}')\n"
            "    except OSError: pass\nos._exit(0)",
            "it said that it passed, but not the word",
        ),
        (
            "import os\nfor n in range(30):\n    try: os.write(n, b'{\"outcome\": \"refused\"}')\n"
            "    except OSError: pass\nos._exit(0)",
            "it said that it passed, but not the word",
        ),
        # Replacing what checks is no use.
        ("import builtins\nbuiltins.len = lambda x: 0\ndef area(r): return 1", "AssertionError"),
        ("import builtins\nbuiltins.AssertionError = ValueError\ndef area(r): return 1", "AssertionError"),
        ("import builtins\nbuiltins.exec = builtins.compile = print\ndef area(r): return 1", "AssertionError"),
        ("import os, json\nos.write = json.dumps = lambda *a: b'passed'\ndef area(r): return 1", "AssertionError"),
        ("import atexit, os\natexit.register(os._exit, 0)\ndef area(r): return 1", "AssertionError"),
    ],
)  # fmt: skip
def test_wrong_programs_fail(program: str, reason: str, tmp_path: Path) -> None:
    found = outcome(program, scratch=tmp_path)
    assert found[0] == "failed" and found[1].startswith(reason), found


def test_tests_see_python_s_own_functions(tmp_path: Path) -> None:
    program = "import builtins\nbuiltins.abs = lambda x: 0\ndef abs(x): return 0\ndef area(r): return 1"
    assert outcome(program, "assert abs(area(1) - 3.14) < 0.01", tmp_path)[0] == "failed"
    # But a function that is asked for may be called like one of them.
    assert run(["def sum(x): return 7"], "assert sum([]) == 7", "sum", tmp_path).outcome == "passed"


def test_bad_tests_are_not_the_answer_s_fault(tmp_path: Path) -> None:
    found = outcome("def area(r): return 4", "assert area(", tmp_path)
    assert found[0] == "refused" and found[1].startswith("the prompt's tests are no Python: ")


def test_an_endless_program_times_out(tmp_path: Path) -> None:
    mark = run(["while True: pass"], "", "area", tmp_path, Limits(seconds=0.5))
    assert (mark.outcome, mark.reason) == ("timeout", "still running after 0.5 s")
    assert list(tmp_path.iterdir()) == []


def test_a_flood_of_output_is_cut(tmp_path: Path) -> None:
    program = (
        "import os\nwhile True:\n    for n in range(3, 8):\n"
        "        try: os.write(n, b'x' * 65536)\n        except OSError: pass"
    )
    mark = run([program], "", "area", tmp_path, Limits(seconds=5))
    assert mark.outcome == "failed"
    assert run(["print('x' * 10**7)"], "", "area", tmp_path).outcome == "passed"


def test_memory_is_bounded(tmp_path: Path) -> None:
    assert outcome("x = bytearray(1 << 30)", scratch=tmp_path) == ("failed", "MemoryError")


GREEDY = {
    "fork": "import os\nos.fork()",
    "fork bomb": "import os\nwhile True:\n    os.fork()",
    "another program": "import subprocess\nsubprocess.run(['true'])",
    "shell": "import os\nassert os.system('true') == 0, 'no shell'",
    "replacing itself": "import os\nos.execv('/bin/true', ['true'])",
    "network": "import socket\nsocket.socket()",
    "local socket": "import socket\nsocket.socketpair()",
    "ending its parent": "import os\nos.kill(1, 0)",
    "a new file": "open('new', 'w')",
    "a file elsewhere": "open(HOME, 'a')",
    "deleting": "import os\nos.unlink(HOME)",
    "renaming": "import os\nos.rename(HOME, HOME + '2')",
    "a folder": "import os\nos.mkdir('folder')",
    "cutting a file": "import os\nos.truncate(HOME, 0)",
    "rights": "import os\nos.chmod(HOME, 0o777)",
    "leaving its limits": "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (9999, 9999))",
    "a thread": "import threading\nthreading.Thread(target=print).start()",
}


@pytest.mark.parametrize("what", GREEDY)
def test_nothing_but_computing(what: str, tmp_path: Path) -> None:
    home = tmp_path / "precious"
    home.write_text("kept")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    found = outcome(f"HOME = {str(home)!r}\n{GREEDY[what]}", "", scratch)
    assert found[0] == "failed", found
    assert found[1].startswith(
        ("PermissionError", "AssertionError: no shell", "RuntimeError: can't start", "ValueError")
    )
    assert home.read_text() == "kept" and home.stat().st_mode & 0o777 != 0o777
    assert sorted(path.name for path in tmp_path.iterdir()) == ["precious", "scratch"]


def test_computing_goes_on_as_usual(tmp_path: Path) -> None:
    program = (
        "import collections, dataclasses, datetime, decimal, functools, hashlib, heapq, itertools, json, random, re\n"
        "import statistics, string, sys, time, typing\n\n\n"
        "@dataclasses.dataclass\nclass Point:\n    x: 'int'\n\n\n"
        "def area(r: typing.List[int]) -> float:\n"
        "    time.sleep(0.01)\n    random.random()\n    print('working', file=sys.stderr)\n"
        "    assert open(dataclasses.__file__).read(1)\n"
        "    return float(decimal.Decimal('3.5')) + Point(1).x\n\n\n"
        "if __name__ == '__main__':\n    sys.exit(1)\n"
    )
    assert outcome(program, scratch=tmp_path) == ("passed", "")
