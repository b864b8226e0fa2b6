"""`slipstream report`: what the stored results say, for people; and whether a report says what the store says."""

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from slipstream.cli import options as shared
from slipstream.core.errors import RequestError, StateFileError

PAGE, DOCUMENT = "report.html", "report.md"
MARKDOWN = (".md", ".markdown")
FIRST = "measure something first: slipstream bench compare"


def report(
    out: Annotated[
        Path | None, typer.Option(help="Folder for the two files. Default: the data root's results.")
    ] = None,
    title: Annotated[str, typer.Option(help="Title. Default: the machine's name.")] = "",
    check: Annotated[
        Path | None, typer.Option(help="Write nothing; look up every figure of this report, HTML or Markdown.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Write what is measured as one HTML page and as Markdown, generated from the result store alone."""
    if check is not None:
        if out is not None or title:
            raise RequestError("--check writes nothing, so it takes no --out and no --title", hint="leave them out")
        return _check(check, as_json)
    written = _write(out, title)
    if as_json:
        print(json.dumps(written))
    else:
        print(f"{written['page']}\n{written['document']}\n{written['figures']} figures, each with its run behind it")
    return 0


def _write(out: Path | None, title: str) -> dict[str, Any]:
    from slipstream import __version__, config
    from slipstream.bench.report.evidence import evidence
    from slipstream.bench.report.facts import gather
    from slipstream.bench.report.html import page
    from slipstream.bench.report.markdown import document
    from slipstream.bench.report.validate import LOOKS, check
    from slipstream.storage.files import write_atomic

    if found := LOOKS.search(title):
        raise RequestError(
            f"the title says {found[0]!r}, and no run stands behind it", hint="leave figures to the report"
        )
    now = time.time()
    folder = (out or config.load().data_root.results / "report").absolute()
    with _store() as store:
        facts = gather(store, now)
        if not facts.runs and not facts.withdrawn:
            raise RequestError("the result store is empty", hint=FIRST)
        title = title or f"Slipstream on {facts.hosts[0].name if facts.hosts else 'this machine'}"
        known = evidence(store)
        texts = {PAGE: page(facts, title, __version__), DOCUMENT: document(facts, title, __version__)}
        checked = {PAGE: check(texts[PAGE], "html", known), DOCUMENT: check(texts[DOCUMENT], "markdown", known)}
        for name, result in checked.items():
            for problem in result.problems:
                raise StateFileError(f"{name} would not pass its own check: line {problem.line}: {problem.what}")
        for name, text in texts.items():
            write_atomic(folder / name, text)
        # Last: a report that couldn't be written cites nothing.
        store.cite(f"report-{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}", folder / PAGE, facts.claims)
    return {
        "page": str(folder / PAGE),
        "document": str(folder / DOCUMENT),
        "figures": checked[PAGE].figures,
        "claims": list(facts.claims),
    }


def _check(path: Path, as_json: bool) -> int:
    from slipstream.bench.report.evidence import evidence
    from slipstream.bench.report.validate import check

    text = shared.read_text(path, "report")
    with _store() as store:
        checked = check(text, "markdown" if path.suffix.lower() in MARKDOWN else "html", evidence(store))
    if as_json:
        print(json.dumps({"report": str(path), **asdict(checked)}))
        return 1 if checked.problems else 0
    for problem in checked.problems:
        print(f"{path}:{problem.line}: {problem.what}")
    if checked.problems:
        print(f"{len(checked.problems)} problems; {checked.figures} figures looked up", file=sys.stderr)
        return 1
    print(f"{checked.figures} figures, each as the store has it")
    return 0


def _store() -> Any:
    """The result store, which must exist."""
    from slipstream import config
    from slipstream.bench.store import FILE, ResultStore

    path = config.load().data_root.results / FILE
    if not path.exists():
        raise RequestError("nothing is measured yet", hint=FIRST)
    return ResultStore.open(path)
