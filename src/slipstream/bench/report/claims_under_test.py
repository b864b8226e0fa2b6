"""What the project was promised before it measured anything, each beside what this machine's stored claims show."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from slipstream.bench.claim import Claim
from slipstream.bench.report.naming import Method
from slipstream.bench.task_classes import class_of
from slipstream.bench.verdict import ALL

Outcome = Literal["reached", "not reached", "undecided"]

GROUNDED = frozenset({"edit", "rag", "summary"})
"""Task classes whose answers repeat much of the prompt."""
AGENTIC = frozenset({"agent"})
GENERAL = frozenset({ALL, "code", "chat", "qa", "math", "translation"})


@dataclass(frozen=True, slots=True)
class Promise:
    """Its words, the method it is about, and the ratios of tokens a second that it spans. `by` says which methods are a
    test of it, `command` what would make one; `tasks` which task classes, any if empty."""

    text: str
    what: str
    low: float
    high: float
    by: Callable[[Method], bool]
    command: str
    tasks: frozenset[str] = frozenset()

    def covers(self, method: Method, task: str) -> bool:
        """Whether an arm of this method on such a task puts the promise to the test."""
        return self.by(method) and (not self.tasks or (ALL if task == ALL else class_of(task)) in self.tasks)


def _compare(draft: str, tasks: frozenset[str] = frozenset(), more: str = "") -> str:
    """The comparison of a way to draft with plain decoding."""
    words = ["slipstream bench compare -m MODEL", more, f'--arm "plain: draft=off" --arm "{draft}: draft={draft}"']
    return " ".join(filter(None, [*words, *(f"--task {task}" for task in sorted(tasks))]))


def _alone(source: str) -> Callable[[Method], bool]:
    return lambda method: method == Method((source,))


def _fewer_experts(method: Method) -> bool:
    return method.experts is not None and method == Method(experts=method.experts)


def _combined(method: Method) -> bool:
    return not method.peer and (len(method.sources) > 1 or method.sources == ("auto",))


PROMISES = (
    Promise(
        "5.9x", "an external draft model", 5.9, 5.9, _alone("draft_model"),
        _compare("draft_model", more="--draft-model SMALL"),
    ),
    Promise(
        "21-48 %", "fewer experts of a mixture-of-experts model", 1.21, 1.48, _fewer_experts,
        "slipstream experts MODEL",
    ),
    Promise(
        "+50-100 %", "prompt lookup on grounded text", 1.5, 2.0, _alone("prompt_lookup"),
        _compare("prompt_lookup", GROUNDED), GROUNDED,
    ),
    Promise(
        "+100-200 %", "SuffixDecoding on agentic text", 2.0, 3.0, _alone("suffix"), _compare("suffix", AGENTIC), AGENTIC
    ),
    Promise(
        "8-15x", "all combined, on grounded or agentic text", 8.0, 15.0, _combined,
        _compare("auto", GROUNDED | AGENTIC, "--draft-model SMALL"), GROUNDED | AGENTIC,
    ),
    Promise(
        "6-7x", "all combined, in general", 6.0, 7.0, _combined, _compare("auto", more="--draft-model SMALL"), GENERAL
    ),
)  # fmt: skip


def judge(promise: Promise, claim: Claim) -> tuple[Outcome, str]:
    """What a claim says about a promise, and why: only a whole interval decides."""
    if claim.verdict == "tainted":
        return "undecided", "the measurement is tainted"
    if claim.low >= promise.low:
        return "reached", "the whole interval is at or above the promise's low end"
    if claim.high < promise.low:
        return "not reached", "the whole interval is below the promise's low end"
    return "undecided", "the interval holds the promise's low end"
