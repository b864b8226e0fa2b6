"""The report as Markdown: the same figures as the page, each a link to its claim or run. Pictures are on the page."""

import math
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from slipstream.bench.report.facts import Facts, Finding, Tested
from slipstream.bench.report.figure import UNKNOWN, Figure, Kind, anchor
from slipstream.bench.report.measured import Step
from slipstream.bench.report.summary import Part, Sentence, Stored, day, moment, sentences

UNTRIED = "\N{EN DASH}"
DEFAULT = "value"
"""The field that a link without a title means."""
RESULTS = (
    "arm",
    "model",
    ">ratio",
    ">95 % interval",
    ">pairs / prompts",
    ">detectable (floor)",
    "verdict",
    "standing",
    "run",
)


def document(facts: Facts, title: str, version: str) -> str:
    """The whole document; `version` is that of Slipstream."""
    lines = [f"# {title}", "", f"Written {moment(facts.made)} by Slipstream {version}.", ""]
    for heading, body in _sections(facts):
        lines += [f"## {heading}", "", *body, ""]
    return "\n".join(lines).rstrip() + "\n"


def figure(one: Figure) -> str:
    """The one way in which a figure gets into the document."""
    # A run has no figure of its own name, so its field is always told.
    told = "" if one.field == DEFAULT and one.kind == "claim" else f' "{quote(one.field, safe="/ +,")}"'
    return f"[{one.text}](#{one.anchor}{told})"


def stored(text: str) -> str:
    """A text exactly as it is stored, on one line."""
    words = " ".join(text.split()).replace("|", "\\|")
    if not words:
        return ""
    fence = "`"
    while fence in words:
        fence += "`"
    space = " " if len(fence) > 1 else ""
    return f"{fence}{space}{words}{space}{fence}"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table; a heading that starts with ">" is for a column of numbers."""
    names = [heading.removeprefix(">") for heading in headings]
    rules = ["---:" if heading.startswith(">") else "---" for heading in headings]
    return [f"| {' | '.join(row)} |" for row in (names, rules, *rows)]


def _sections(facts: Facts) -> Iterable[tuple[str, list[str]]]:
    yield "Summary", _summary(facts)
    yield "Host", _hosts(facts)
    yield "Results by task class", _results(facts)
    yield "Claims under test", _promises(facts.tested)
    yield "Verify cost", _curves(facts)
    yield "Acceptance by source", _acceptance(facts)
    yield "Speed and quality", _quality(facts)
    yield (
        "Noise floors, controls and bounds",
        _findings(facts.checks) if facts.checks else ["No run measured its own noise."],
    )
    yield "Tested and untested", _coverage(facts)
    yield "Runs", _runs(facts)
    if facts.projections:
        yield "Projections", ["**Not measured.** Nothing here counts anywhere else.", "", *_findings(facts.projections)]
    if facts.withdrawn:
        yield "Retracted", _withdrawn(facts)


def _say(sentence: Sentence) -> str:
    return "".join(map(_part, sentence))


def _part(part: Part) -> str:
    if isinstance(part, Figure):
        return figure(part)
    return stored(part.text) if isinstance(part, Stored) else part


def _place(kind: Kind, name: str) -> str:
    """What links to a claim or run lead to."""
    return f'<a id="{anchor(kind, name)}"></a>'


def _to_run(name: str) -> str:
    return f"[{stored(name)}](#{anchor('run', name)})"


def _interval(one: Finding) -> str:
    if math.isinf(one.claim.high):
        return UNKNOWN
    return f"{figure(one.figure['low'])} to {figure(one.figure['high'])}"


def _counts(one: Finding) -> str:
    return f"{figure(one.figure['pairs'])} / {figure(one.figure['prompts'])}"


def _summary(facts: Facts) -> list[str]:
    lines = []
    for sentence in sentences(facts):
        lines += [_say(sentence), ""]
    rows = [
        [
            stored(one.claim.task), stored(one.claim.arm), stored(one.model), figure(one.figure["value"]),
            _interval(one), _counts(one), one.claim.verdict,
        ]
        for one in facts.summary
    ]  # fmt: skip
    headings = ("task", "arm", "model", ">ratio", ">95 % interval", ">pairs / prompts", "verdict")
    return lines + (table(headings, rows) if rows else [])


def _hosts(facts: Facts) -> list[str]:
    lines = []
    for host in facts.hosts:
        rows = [(stored(key), stored(value)) for key, value in host.facts.items()]
        lines += [f"### {stored(host.name)}", "", *table(("fact", "value"), rows), ""]
    return lines or ["No run says what it was measured on."]


def _results(facts: Facts) -> list[str]:
    lines = []
    for task, found in facts.tasks.items():
        lines += [f"### {stored(task)}", "", *_findings(found), ""]
    return lines or ["No comparison is stored yet: `slipstream bench compare` makes one."]


def _findings(found: Iterable[Finding]) -> list[str]:
    rows = []
    for one in found:
        held = ["held-out prompts"] if one.held_out else []
        lossy = ["changes the output"] if one.method.experts is not None else []
        role = {"control": ["control: nothing to copy"], "bound": ["bound: it knows the answer"]}.get(one.arm.role, [])
        standing = ", ".join([one.claim.standing, *one.marks, *lossy, *held, *role])
        name = f"{_place('claim', one.claim.id)}{stored(one.claim.arm)} against {stored(one.claim.baseline)}"
        rows.append(
            [
                name, stored(one.model), figure(one.figure["value"]), _interval(one), _counts(one),
                f"{figure(one.figure['detectable'])} ({figure(one.figure['floor'])})", one.claim.verdict, standing,
                f"{_to_run(one.run.id)}, {day(one.run.started)} {stored(one.claim.reason)}".strip(),
            ]
        )  # fmt: skip
    return table(RESULTS, rows)


def _promises(tested: Iterable[Tested]) -> list[str]:
    rows = []
    for one in tested:
        promised = [f'"{one.promise.text}"', one.promise.what]
        for found, outcome, why in one.findings:
            where = f"{stored(found.claim.arm)}, {stored(found.model)}, {_to_run(found.run.id)}; {why}"
            value = f"{figure(found.figure['value'])} ({_interval(found)}; {figure(found.figure['pairs'])} pairs)"
            rows.append([*promised, outcome, stored(found.claim.task), value, where])
            promised = ["", ""]
        if not one.findings:
            rows.append([*promised, "not tested here", "", "", ""])
    return table(("promised", "of", "outcome", "task", ">here", "where and why"), rows)


def _curves(facts: Facts) -> list[str]:
    if not facts.curves:
        return ["No verify-cost curve is stored."]
    widths = sorted({step.width for curve in facts.curves for step in curve.steps})
    steps = [{step.width: step for step in curve.steps} for curve in facts.curves]
    rows = [[str(width), *(_step(row.get(width)) for row in steps)] for width in widths]
    rows.append(["run", *(_to_run(curve.run) for curve in facts.curves)])
    told = "The cost of a pass over n tokens in passes over one (r[n]), and its milliseconds."
    return [told, "", *table((">n", *(f">{stored(curve.model)}" for curve in facts.curves)), rows)]


def _step(one: Step | None) -> str:
    return f"{figure(one.ratio)} ({figure(one.milliseconds)} ms)" if one else ""


def _acceptance(facts: Facts) -> list[str]:
    rows = [
        [
            stored(one.source), stored(one.arm), stored(one.model), figure(one.share),
            f"{figure(one.accepted)} / {figure(one.drafted)}", _to_run(one.run),
        ]
        for one in facts.acceptance
    ]  # fmt: skip
    headings = ("source", "arm", "model", ">share", ">accepted / drafted", "run")
    return table(headings, rows) if rows else ["No stored cell says what was drafted."]


def _quality(facts: Facts) -> list[str]:
    lines = []
    for plot in facts.quality:
        rows = [
            [stored(one.arm), stored(one.model), figure(one.rate), figure(one.quality), "yes" if one.best else ""]
            for one in plot.trades
        ]
        headings = ("arm", "model", ">tokens a second", f">{plot.name}", "nothing is faster and better")
        lines += [f"### {plot.title}", "", f"Run {_to_run(plot.run)}.", "", *table(headings, rows), ""]
    return lines or ["No run measured both: `slipstream experts` does."]


def _coverage(facts: Facts) -> list[str]:
    lines = []
    for grid in facts.coverage:
        rows = [
            [stored(line.method), *(age or UNTRIED for age in line.ages), stored(line.engine)] for line in grid.lines
        ]
        headings = ("method", *map(stored, grid.tasks), "engine")
        lines += [f"### {stored(grid.model)}", "", *(table(headings, rows) if rows else []), ""]
        if grid.untested:
            lines += [f"Untested: {', '.join(map(stored, grid.untested))}.", ""]
    return lines or ["No model was ever measured."]


def _runs(facts: Facts) -> list[str]:
    rows = []
    for one in facts.runs:
        cells = ", ".join(f"{count} {status}" for status, count in one.cells.items())
        condition = f"{one.condition} {stored(one.reason)}".strip()
        models = ", ".join(map(stored, one.models))
        name = f"{_place('run', one.run.id)}{stored(one.run.id)}"
        rows.append([name, one.run.kind, moment(one.run.started), models, stored(one.engine), cells, condition])
    lines = table(("run", "kind", "started", "models", "engine", ">cells", "condition"), rows)
    if facts.failures:
        failures = [
            [_to_run(one.run), stored(one.arm), stored(one.task), one.status, str(one.count), stored(one.reason)]
            for one in facts.failures
        ]
        headings = ("run", "arm", "task", "status", ">cells", "why")
        lines += ["", "### Cells that don't count", "", *table(headings, failures)]
    return lines


def _withdrawn(facts: Facts) -> list[str]:
    rows = [[f"{one.what} {stored(one.id)}", stored(one.about), stored(one.reason)] for one in facts.withdrawn]
    return ["Withdrawn, and used nowhere in this report.", "", *table(("what", "about", "why"), rows)]
