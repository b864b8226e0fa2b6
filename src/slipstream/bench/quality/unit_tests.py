"""Does the program in an answer pass its tests? It runs in a child that can compute and do nothing else."""

import json
import re
import secrets
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slipstream.bench import child
from slipstream.bench.quality.marks import Mark
from slipstream.bench.workload import Prompt

SCRIPT = Path(__file__).with_name("confined.py")
OPTIONS = ("-I", "-S", "-B", "-X", "utf8")
"""Of the interpreter: nothing of the user's environment, no installed packages, no files of its own."""
MOST_SAID = 1 << 16
PYTHON = ("", "py", "python", "python3")

FENCE = re.compile(r"^[ \t]*(```+|~~~+)[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
FIRST_LINE = re.compile(r"^(?:from |import |(?:async )?def |class |@)", re.MULTILINE)
OUTSIDE = re.compile(r"^(?=[^\s#)\]}])", re.MULTILINE)
"""Where a function's body has ended."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of a child: seconds of wall clock and bytes of memory."""

    seconds: float = 10.0
    memory: int = 1 << 30


LIMITS = Limits()


def score(prompt: Prompt, answer: str, scratch: Path) -> Mark:
    """Passed if the function `prompt.entry_point` of the answer passes `prompt.test`: statements that assert, and, in
    HumanEval's way, perhaps a function `check` that wants to be called with it."""
    programs = programs_of(prompt, answer)
    if not programs:
        return Mark("failed", f"no Python code in the answer that defines {prompt.entry_point}")
    tests = prompt.test
    if re.search(r"^def check\(", tests, re.MULTILINE):
        tests += f"\n\ncheck({prompt.entry_point})\n"
    return run(programs, tests, prompt.entry_point, scratch)


def programs_of(prompt: Prompt, answer: str) -> list[str]:
    """What to execute, in order: what the prompt's own code has before the function (imports, other functions), then
    the last code in the answer that defines it. An answer that goes on where the prompt's code ends is put behind it.
    Empty if there is nothing of the kind."""
    name = re.escape(prompt.entry_point)
    defines = re.compile(rf"^(?:(?:async +)?def +{name}\b|{name} *=)", re.MULTILINE)
    given = next((code for code in reversed([prompt.text, *blocks(prompt.text)]) if defines.search(code)), "")
    before = given[: found.start()] if (found := defines.search(given)) else ""
    said = blocks(answer)
    if not said and (start := FIRST_LINE.search(answer)):
        said = [answer[start.start() :]]
    for code in map(textwrap.dedent, reversed(said)):
        if defines.search(code):
            return [before, code]
    body = next(iter(reversed(blocks(answer))), answer)
    if outside := OUTSIDE.search(body):
        body = body[: outside.start()]
    return [f"{given.rstrip()}\n{body}"] if given and body.strip() else []


def blocks(text: str) -> list[str]:
    """Python in Markdown fences; the last one may lack its end."""
    return [code for _, language, code in FENCE.findall(text) if language.lower() in PYTHON]


def run(programs: Sequence[str], tests: str, keep: str, scratch: Path, limits: Limits = LIMITS) -> Mark:
    """Execute programs one after the other, then the tests, with a limit on everything; `keep` is a name that the tests
    see even if Python has a function of that name.

    Passed only if the child says a word at the end that it could know from nobody else. Refused where this system can't
    confine a program (`confined.py` says how): it is not run then.
    """
    marker = secrets.token_hex(16)
    job = {
        "programs": list(programs), "tests": tests, "keep": [keep], "marker": marker,
        "seconds": limits.seconds, "memory": limits.memory,
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="tests-", dir=scratch) as folder:
        file = Path(folder) / "job.json"
        file.write_text(json.dumps(job), encoding="utf-8")
        argv = [sys.executable, *OPTIONS, str(SCRIPT), str(file)]
        ended = child.run(argv, {}, limits.seconds, most_output=MOST_SAID)
    return _mark(ended, marker, limits)


def _mark(ended: child.Ended, marker: str, limits: Limits) -> Mark:
    if ended.why == "time limit":
        return Mark("timeout", f"still running after {limits.seconds:g} s")
    try:
        said = json.loads(ended.output)
        outcome, reason, proof = said["outcome"], str(said.get("reason", "")), said.get("marker")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        how = f"signal {-ended.code}" if ended.code < 0 else f"exit code {ended.code}"
        return Mark("failed", f"ended before its tests did: {how}")
    if proof != marker:
        return Mark("failed", reason or "it said that it passed, but not the word that only its tests know")
    return Mark("refused", reason) if outcome == "refused" else Mark("passed")
