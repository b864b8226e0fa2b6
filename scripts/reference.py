"""Writes docs/reference from the code: every command's help, every draft source. `--check` only says what is stale."""

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from slipstream.cli.main import load
from slipstream.cli.table import COMMANDS
from slipstream.drafters.catalog import CATALOG

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
WIDTH = 100
NOTE = "<!-- Written by `make docs` from the code. Change it there. -->"


def _pages(command: Any, path: str, parent: Any = None) -> Iterator[tuple[str, str]]:
    """(full name, help) of a command and of all below it."""
    context = command.make_context(
        path.rpartition(" ")[2],
        [],
        parent=parent,
        resilient_parsing=True,
        max_content_width=WIDTH,
        terminal_width=WIDTH,
    )
    with context:
        yield path, command.get_help(context).rstrip()
        for name in getattr(command, "commands", {}):
            yield from _pages(command.get_command(context, name), f"{path} {name}", context)


def commands() -> Iterator[tuple[str, str]]:
    """(full name, help) of every command of the table, groups included."""
    root = typer.main.get_command(
        typer.Typer(callback=lambda: None, invoke_without_command=True, rich_markup_mode=None)
    )
    with root.make_context("slipstream", [], resilient_parsing=True) as parent:
        for entry in COMMANDS:
            yield from _pages(load(entry), f"slipstream {entry.name}", parent)


def cli_page() -> str:
    """docs/reference/cli.md."""
    parts = [NOTE, "# Commands", "What `--help` says, for every command. Exit codes: docs/reference/errors.md."]
    for name, text in commands():
        parts.append(f"## {name}\n\n```text\n{text}\n```")
    return "\n\n".join(parts) + "\n"


def drafters_page() -> str:
    """docs/reference/drafters.md."""
    intro = "Name them with `--draft`; without it (auto), the policy chooses among those that fit."
    parts = [NOTE, "# Draft sources", intro]
    for name, entry in CATALOG.items():
        config = entry.load(entry.config)
        cost = "free" if entry.free else "costs model passes"
        cost += "" if entry.auto else "; by name only, not in auto"
        parts.append(f"## {name}\n\n{entry.purpose[:1].upper()}{entry.purpose[1:]} ({cost}).")
        if config.__doc__:
            parts.append(" ".join(config.__doc__.split()))
        rows = [f"| `{field.name}` | {_default(field)} |" for field in dataclasses.fields(config)]
        if rows:
            parts.append("\n".join(["| Setting | Default |", "|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def _default(field: "dataclasses.Field[Any]") -> str:
    if field.default_factory is not dataclasses.MISSING:
        return f"`{field.default_factory()!r}`"
    return "required" if field.default is dataclasses.MISSING else f"`{field.default!r}`"


def errors_page() -> str:
    """docs/reference/errors.md."""
    from slipstream.core import errors

    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.SlipstreamError)
    ]
    rows = [
        f"| {kind.exit_code} | `{kind.code}` | {(kind.__doc__ or '').split(chr(10) * 2)[0].strip()} |"
        for kind in sorted(kinds, key=lambda kind: kind.exit_code)
        if kind is not errors.SlipstreamError
    ]
    ended = "| 130, 143, 129 | | interrupted with Ctrl-C, by SIGTERM, by SIGHUP |"
    table = "\n".join(["| Exit code | Code | Meaning |", "|---|---|---|", *rows, ended])
    text = "A failure is one line on stderr, `error: ...`, and mostly a second one, `  hint: ...`. Codes are stable."
    return "\n\n".join([NOTE, "# Errors and exit codes", text, table]) + "\n"


PAGES = {"cli.md": cli_page, "drafters.md": drafters_page, "errors.md": errors_page}


def main(arguments: list[str]) -> int:
    """Write the pages; with --check, name the stale ones and return 1."""
    stale = 0
    for name, make in PAGES.items():
        path, text = FOLDER / name, make()
        if path.exists() and path.read_text() == text:
            continue
        stale += 1
        if "--check" in arguments:
            print(f"{path} is stale: run make docs", file=sys.stderr)
        else:
            FOLDER.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"wrote {path}")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
