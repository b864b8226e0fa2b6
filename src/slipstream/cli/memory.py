"""`slipstream memory`: see, take out or wipe the outputs that later requests draft from."""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from slipstream.config import load
from slipstream.core.errors import RequestError, StateFileError, UnknownName
from slipstream.storage.files import state_error, write_atomic
from slipstream.storage.root import MEMORY_SUFFIX, DataRoot
from slipstream.storage.token_log import TokenLog

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="List, export or wipe the remembered outputs. They lie under the data root, a file per tokenizer.",
)

Tokenizer = Annotated[str | None, typer.Option("--tokenizer", help="Only this one, by its fingerprint in the list.")]


@dataclass(frozen=True, slots=True)
class Log:
    """One tokenizer's memory. `size` in bytes; `used` is when it last grew; `problem`: why it can't be opened."""

    tokenizer: str
    path: Path
    outputs: int
    tokens: int
    size: int
    used: datetime
    problem: str = ""


def logs(root: DataRoot, tokenizer: str | None = None) -> list[Path]:
    """Files of the memory, or of one tokenizer. Raises UnknownName for one that has none."""
    found = {path.name.removesuffix(MEMORY_SUFFIX): path for path in sorted(root.memory.glob(f"*{MEMORY_SUFFIX}"))}
    if tokenizer is None:
        return list(found.values())
    if tokenizer not in found:
        raise UnknownName("tokenizer", tokenizer, found or ["none yet"])
    return [found[tokenizer]]


def opened(path: Path) -> TokenLog:
    """The log, held exclusively; what it had to set aside goes to stderr. Raises StateFileError if it is in use."""
    log = TokenLog(path, path.name.removesuffix(MEMORY_SUFFIX))
    for warning in log.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return log


def survey(path: Path) -> Log:
    """What one log holds."""
    facts = path.stat()
    used = datetime.fromtimestamp(facts.st_mtime, UTC)
    name = path.name.removesuffix(MEMORY_SUFFIX)
    try:
        with opened(path) as log:
            outputs = log.read()
    except StateFileError as error:
        return Log(name, path, 0, 0, facts.st_size, used, error.message)
    return Log(name, path, len(outputs), sum(map(len, outputs)), facts.st_size, used)


@app.command("list")
def list_logs(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """What is remembered: a line per tokenizer."""
    found = [survey(path) for path in logs(load().data_root)]
    if as_json:
        rows = [
            {
                "tokenizer": log.tokenizer,
                "path": str(log.path),
                "outputs": log.outputs,
                "tokens": log.tokens,
                "bytes": log.size,
                "used": log.used.isoformat(timespec="seconds"),
                "problem": log.problem or None,
            }
            for log in found
        ]
        print(json.dumps(rows, indent=2))
        return
    if not found:
        print("nothing is remembered")
    for log in found:
        amount = log.problem or f"{log.outputs} outputs, {log.tokens} tokens, {log.size} bytes"
        print(f"{log.tokenizer}  {amount}, last used {log.used:%Y-%m-%d}")


def json_lines(paths: Iterable[Path]) -> Iterator[str]:
    """Every output as a line: {"tokenizer": fingerprint, "tokens": [numbers]}, oldest first."""
    for path in paths:
        with opened(path) as log:
            for tokens in log.read():
                yield json.dumps({"tokenizer": log.fingerprint, "tokens": [int(token) for token in tokens]}) + "\n"


@app.command()
def export(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; none: standard output.")] = None,
    tokenizer: Tokenizer = None,
) -> None:
    """Every remembered output as JSON lines of token numbers, oldest first."""
    lines = json_lines(logs(load().data_root, tokenizer))
    if output is None:
        for line in lines:
            sys.stdout.write(line)
        return
    whole = list(lines)
    write_atomic(output, "".join(whole))
    print(f"{len(whole)} outputs written to {output}")


def wipe_file(path: Path) -> int:
    """Delete a log and what was set aside or left half-written beside it. Returns the bytes freed."""
    opened(path).close()  # refuses if another process is using it
    freed = 0
    left = [other for suffix in (".damaged-*", ".new") for other in path.parent.glob(path.name + suffix)]
    for file in [path, *left]:
        try:
            freed += file.stat().st_size
            file.unlink()
        except OSError as error:
            raise state_error("deleted", file, error) from error
    return freed


@app.command()
def wipe(
    tokenizer: Tokenizer = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
) -> None:
    """Forget: delete the remembered outputs. What was published or exported stays."""
    paths = logs(load().data_root, tokenizer)
    if not paths:
        print("nothing is remembered")
        return
    if not yes:
        if not sys.stdin.isatty():
            raise RequestError("wiping asks for confirmation", hint="add --yes")
        typer.confirm(f"Delete what {len(paths)} tokenizers' memory holds?", abort=True)
    freed = sum(wipe_file(path) for path in paths)
    print(f"{len(paths)} deleted, {freed} bytes freed")
