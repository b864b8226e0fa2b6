"""Entry point of `slipstream`: commands load when they are chosen, failures end as one line and an exit code."""

import contextlib
import errno
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from slipstream import __version__
from slipstream.cli.signals import INTERRUPTED, Received, like_ctrl_c
from slipstream.cli.table import COMMANDS, Entry
from slipstream.core.errors import RequestError, SlipstreamError, StateFileError, UnknownName


def load(entry: Entry) -> Any:
    """The command object behind a line of the table. Imports its module."""
    module, _, attribute = entry.where.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    if not isinstance(found, typer.Typer):
        app = typer.Typer(rich_markup_mode=None, add_completion=False)
        app.command(name=entry.name)(found)
        found = app
    command = typer.main.get_command(found)
    command.name = entry.name
    return command


class LazyGroup(TyperGroup):
    """A group that answers --help from the table and imports only the command that was asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the table's order, without hidden ones."""
        return [entry.name for entry in COMMANDS if not entry.hidden]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, loaded now; None if there is none."""
        return next((load(entry) for entry in COMMANDS if entry.name == cmd_name), None)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Refuse an unknown command with the nearest valid one."""
        if args and not args[0].startswith("-") and args[0] not in [entry.name for entry in COMMANDS]:
            raise UnknownName("command", args[0], self.list_commands(ctx))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The table itself: nothing is imported."""
        with formatter.section("Commands"):
            formatter.write_dl([(entry.name, entry.purpose) for entry in COMMANDS if not entry.hidden])


app = typer.Typer(cls=LazyGroup, rich_markup_mode=None, add_completion=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"slipstream {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Local LLMs on CPU, faster with the same output."""
    if context.invoked_subcommand is None:
        print(context.get_help())


def usage_error(error: typer.TyperException) -> SlipstreamError:
    """The parser's complaint in our own form: one line, with the nearest valid name as hint."""
    message = str(getattr(error, "message", "") or error)
    if formatted := getattr(error, "format_message", None):
        message = formatted()
    near = [str(name) for name in getattr(error, "possibilities", None) or ()]
    message = message.partition(" (Possible options:")[0]
    message, _, guess = message.partition(" Did you mean ")
    path = getattr(getattr(error, "ctx", None), "command_path", "slipstream")
    hint = f"did you mean {' or '.join(near)}?" if near else f"did you mean {guess}" if guess else ""
    see = f"see {path} --help"
    return RequestError(message[:1].lower() + message[1:].rstrip("."), hint=f"{hint} {see}".strip())


def report(error: SlipstreamError) -> int:
    """Print the failure on stderr; returns its exit code."""
    print(f"error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"  hint: {error.hint}", file=sys.stderr)
    return error.exit_code


def execute(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code. A command that returns an int sets it; bugs are not caught."""
    command = typer.main.get_command(app)
    try:
        result = command.main(args=list(arguments), prog_name="slipstream", standalone_mode=False)
    except SlipstreamError as error:
        return report(error)
    except typer.TyperException as error:
        text = error.format_message() if hasattr(error, "format_message") else ""
        if "\n" in text:  # a group called without a command answers with its help
            print(text, file=sys.stderr)
            return 2
        return report(usage_error(error))
    except typer.Abort:
        return 1
    return result if isinstance(result, int) and not isinstance(result, bool) else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Console entry point: `execute`, quiet on Ctrl-C, SIGTERM, SIGHUP and on a reader that left."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A character that the terminal's encoding lacks must not end a generation.
        sys.stdout.reconfigure(errors="replace")
    with like_ctrl_c() as received:
        return received.exit_code(_main(sys.argv[1:] if arguments is None else arguments, received))


def _main(arguments: Sequence[str], received: Received) -> int:
    try:
        code = execute(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return 1
    except OSError as error:
        if error.errno == errno.EIO and received.number:  # the terminal is gone
            _drop_output()
            return INTERRUPTED
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _drop_output()
        what = error.filename or "the output"
        return report(StateFileError(f"{what} can't be written: {error.strerror}", hint="free some space"))
    return code


def _drop_output() -> None:
    """The interpreter flushes once more at exit: give it somewhere to write."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
