"""The report's first sentences: what an owner wants to know before any table."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from time import gmtime, strftime

from slipstream.bench.report.empty import EMPTY
from slipstream.bench.report.facts import Facts
from slipstream.bench.report.figure import Figure
from slipstream.bench.report.finding import Finding, Mark
from slipstream.bench.standing import EXTERNAL, PROJECTION
from slipstream.bench.verdict import ALL


@dataclass(frozen=True, slots=True)
class Stored:
    """A text exactly as it is stored (a name, a reason): the validator lets it pass only if the store has it."""

    text: str


LEFT_OUT: Mapping[Mark, tuple[str, str]] = {
    "too few pairs": ("observation", "observations"),
    "suspect run": ("result of a suspect run", "results of suspect runs"),
    "interrupted run": ("result of an interrupted run", "results of interrupted runs"),
    "measured elsewhere": ("result measured elsewhere", "results measured elsewhere"),
}

Part = str | Figure | Stored
Sentence = tuple[Part, ...]


def sentences(facts: Facts) -> list[Sentence]:
    """What is fastest, what is not, where and when it was measured, and what is left out."""
    said = [_best(facts), _others(facts), _slowest(facts), _where(facts), _left_out(facts)]
    return [sentence for sentence in said if sentence]


def _best(facts: Facts) -> Sentence:
    faster = [one for one in facts.summary if one.claim.verdict == "faster"]
    if not faster:
        nothing = "Nothing stored so far is both faster and sure enough to be recommended."
        missing, command = EMPTY["results"]
        return (nothing,) if facts.findings else (f"{missing} To make one: {command}",)
    one = max(faster, key=lambda one: one.claim.low)
    return (
        "Largest sure gain: ", Stored(one.claim.task), ", where ", Stored(one.model), " with ", Stored(one.claim.arm),
        " decodes at ", one.figure["value"], " the speed of ", Stored(one.claim.baseline), " (95 % interval ",
        one.figure["low"], " to ", one.figure["high"], "; ", one.figure["pairs"], " pairs on ", one.figure["prompts"],
        " prompts).",
    )  # fmt: skip


def _others(facts: Facts) -> Sentence:
    parts: list[Part] = []
    for verdict, words in (("faster", "Faster on "), ("no difference seen", "No difference seen on ")):
        tasks = [one.claim.task for one in facts.summary if one.claim.verdict == verdict and one.claim.task != ALL]
        if tasks:
            parts += [" " if parts else "", words, *_listed(tasks), "."]
    return tuple(parts)


def _slowest(facts: Facts) -> Sentence:
    """The worst of what was tried belongs beside the best."""
    slower = [one for one in _publishable(facts) if one.claim.verdict == "slower"]
    if not slower:
        return ()
    one = min(slower, key=lambda one: one.claim.value)
    count = len(slower)
    return (
        f"{count} of {len(_publishable(facts))} results are slower than their baseline; the slowest is ",
        Stored(one.claim.arm), " on ", Stored(one.claim.task), ", ", one.figure["value"], ".",
    )  # fmt: skip


def _where(facts: Facts) -> Sentence:
    runs = [run for run in facts.runs if run.cells and run.run.kind not in (EXTERNAL, PROJECTION)]
    if not runs:
        return ()
    days = sorted(day(run.run.started) for run in runs)
    when = f"on {days[0]}" if days[0] == days[-1] else f"from {days[0]} to {days[-1]}"
    hosts = _listed(dict.fromkeys(run.host for run in runs))
    return ("Measured on ", *hosts, f", {when}, in {_count(len(runs), 'run', 'runs')}.")


def _left_out(facts: Facts) -> Sentence:
    results = [one for found in facts.tasks.values() for one in found]
    marked = Counter(mark for one in results for mark in one.marks)
    named = [_count(marked[mark], *words) for mark, words in LEFT_OUT.items() if marked[mark]]
    if replaced := sum(one.replaced for one in results):
        named.append(_count(replaced, "older measurement of the same", "older measurements of the same"))
    if facts.projections:
        named.append(_count(len(facts.projections), "projection", "projections"))
    if facts.withdrawn:
        named.append(_count(len(facts.withdrawn), "retraction", "retractions"))
    return (f"Left out of this summary: {', '.join(named)}.",) if named else ()


def _publishable(facts: Facts) -> list[Finding]:
    return [one for found in facts.tasks.values() for one in found if one.publishable]


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _listed(names: Iterable[str]) -> list[Part]:
    parts: list[Part] = []
    for name in names:
        parts += [", ", Stored(name)] if parts else [Stored(name)]
    return parts


def day(seconds: float) -> str:
    """The date, in UTC."""
    return strftime("%Y-%m-%d", gmtime(seconds))


def moment(seconds: float) -> str:
    """Date and time, in UTC."""
    return strftime("%Y-%m-%d %H:%M UTC", gmtime(seconds))
