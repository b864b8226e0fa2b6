"""The report as Markdown: the same figures as the page, each a link to its claim or run. Pictures are on the page."""

import math
from collections.abc import Collection, Iterable, Sequence
from urllib.parse import quote

from slipstream.bench.report.empty import EMPTY
from slipstream.bench.report.facts import Facts, Tested
from slipstream.bench.report.figure import UNKNOWN, Figure, Kind, anchor
from slipstream.bench.report.finding import Finding
from slipstream.bench.report.hosts import label
from slipstream.bench.report.measured import Step
from slipstream.bench.report.summary import Part, Sentence, Stored, day, moment, sentences

UNTRIED = "\N{EN DASH}"
DEFAULT = "value"
"""The field that a link without a title means."""
RESULTS = (
    "arm",
    "model",
    ">ratio",
    ">tokens a second",
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
    machine = _findings(facts.machine, tasks=True) if facts.machine else _empty("machine")
    yield "Threads and placement", machine
    yield "Verify cost", _curves(facts)
    yield "Acceptance by source", _acceptance(facts)
    yield "Speed and quality", _quality(facts)
    checks = _findings(facts.checks, tasks=True) if facts.checks else _empty("checks")
    yield "Noise floors, controls and bounds", checks
    yield "Tested and untested", _coverage(facts)
    yield "Runs", _runs(facts)
    if facts.projections:
        told = "**Not measured.** Nothing here counts anywhere else."
        yield "Projections", [told, "", *_findings(facts.projections, tasks=True)]
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


def _to_run(name: str, suspect: Collection[str] = ()) -> str:
    doubt = " (suspect run)" if name in suspect else ""
    return f"[{stored(name)}](#{anchor('run', name)}){doubt}"


def _empty(section: str) -> list[str]:
    missing, command = EMPTY[section]
    return [f"{missing} To fill this in: `{command}`"]


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
        rows = [(stored(label(key)), stored(value)) for key, value in host.facts.items() if value != UNKNOWN]
        missing = [stored(label(key)) for key, value in host.facts.items() if value == UNKNOWN]
        lines += [f"### {stored(host.name)}", "", *table(("fact", "value"), rows), ""]
        lines += [f"Not known: {', '.join(missing)}.", ""] if missing else []
    return lines or _empty("host")


def _results(facts: Facts) -> list[str]:
    lines = []
    for task, found in facts.tasks.items():
        lines += [f"### {stored(task)}", "", *_findings(found), ""]
    return lines or _empty("results")


def _findings(found: Iterable[Finding], *, tasks: bool = False) -> list[str]:
    rows = []
    for one in found:
        held = ["held-out prompts"] if one.held_out else []
        lossy = ["changes the output"] if one.method.experts is not None else []
        role = {"control": ["control: nothing to copy"], "bound": ["bound: it knows the answer"]}.get(one.arm.role, [])
        standing = ", ".join([one.claim.standing, *one.marks, *lossy, *held, *role])
        name = f"{_place('claim', one.claim.id)}{stored(one.claim.arm)} against {stored(one.claim.baseline)}"
        rows.append(
            [
                *([stored(one.claim.task)] if tasks else []), name, stored(one.model), figure(one.figure["value"]),
                _speeds(one), _interval(one), _counts(one),
                f"{figure(one.figure['detectable'])} ({figure(one.figure['floor'])})", one.claim.verdict, standing,
                f"{_to_run(one.run.id)}, {day(one.run.started)} {stored(one.claim.reason)}".strip() + _before(one),
            ]
        )  # fmt: skip
    return table((*(["task"] if tasks else []), *RESULTS), rows)


def _speeds(one: Finding) -> str:
    return " against ".join(figure(one.figure[name]) for name in ("speed", "ground") if name in one.figure)


def _before(one: Finding) -> str:
    values = [f"{_place(value.kind, value.id)}{figure(value)}" for value in one.before]
    if one.replaced > len(values):
        values[-1] += f" and {one.replaced - len(values)} more"
    return f"; before: {', '.join(values)}" if values else ""


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
            rows.append([*promised, "not tested here", "", "", f"this would: `{one.promise.command}`"])
    return table(("promised", "of", "outcome", "task", ">here", "where and why"), rows)


def _curves(facts: Facts) -> list[str]:
    if not facts.curves:
        return _empty("cost")
    widths = sorted({step.width for curve in facts.curves for step in curve.steps})
    steps = [{step.width: step for step in curve.steps} for curve in facts.curves]
    rows = [[str(width), *(_step(row.get(width)) for row in steps)] for width in widths]
    rows.append(["run", *(_to_run(curve.run, facts.suspect) for curve in facts.curves)])
    told = "The cost of a pass over n tokens in passes over one (r[n]), and its milliseconds."
    return [told, "", *table((">n", *(f">{stored(curve.model)}" for curve in facts.curves)), rows)]


def _step(one: Step | None) -> str:
    return f"{figure(one.ratio)} ({figure(one.milliseconds)} ms)" if one else ""


def _acceptance(facts: Facts) -> list[str]:
    rows = [
        [
            stored(one.source), stored(one.arm), stored(one.model), figure(one.share),
            f"{figure(one.accepted)} / {figure(one.drafted)}", _to_run(one.run, facts.suspect),
        ]
        for one in facts.acceptance
    ]  # fmt: skip
    headings = ("source", "arm", "model", ">share", ">accepted / drafted", "run")
    return table(headings, rows) if rows else _empty("acceptance")


def _quality(facts: Facts) -> list[str]:
    lines = []
    for plot in facts.quality:
        rows = [
            [stored(one.arm), stored(one.model), figure(one.rate), figure(one.quality), "yes" if one.best else ""]
            for one in plot.trades
        ]
        headings = ("arm", "model", ">tokens a second", f">{plot.name}", "nothing is faster and better")
        lines += [f"### {plot.title}", "", f"Run {_to_run(plot.run, facts.suspect)}.", "", *table(headings, rows), ""]
    return lines or _empty("quality")


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
    return lines or _empty("coverage")


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
            [_to_run(one.run), ", ".join(map(stored, one.arms)), one.status, str(one.count), stored(one.reason)]
            for one in facts.failures
        ]
        headings = ("run", "arms", "status", ">cells", "why")
        lines += ["", "### Cells that don't count", "", *table(headings, failures)]
    return lines


def _withdrawn(facts: Facts) -> list[str]:
    rows = [[f"{one.what} {stored(one.id)}", stored(one.about), stored(one.reason)] for one in facts.withdrawn]
    return ["Withdrawn, and used nowhere in this report.", "", *table(("what", "about", "why"), rows)]
