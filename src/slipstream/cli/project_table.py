"""The tables of `slipstream project`, all of which say what they are."""

import sys
from collections.abc import Sequence
from typing import Any

NOTE = "projection, nothing here was measured on that machine"


def show(rows: Sequence[Any], checks: Sequence[Any], assumptions: Sequence[str]) -> None:
    """The tables, and what has to be believed for them."""
    from rich.console import Console
    from rich.table import Table

    from slipstream.bench.projected import worst
    from slipstream.bench.projection import GOOD

    console = Console(width=None if sys.stdout.isatty() else 170, highlight=False)
    table = Table(title=NOTE)
    for heading in (
        "machine", "model", "weights", "task", "prompts", "plain tok/s\n(projection)", "stack tok/s\n(projection)",
        "speed-up\n(projection)", "tokens/round\n(replayed)",
    ):  # fmt: skip
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(
            row.machine, row.model, row.quantization, row.task, str(row.prompts), f"{row.plain:.1f}",
            f"{row.stack:.1f}", f"{row.speed_up:.2f}x ({row.low:.2f} to {row.high:.2f})",
            f"{row.tokens_per_round:.2f}",
        )  # fmt: skip
    console.print(table)
    if checks:
        table = Table(title="error check: the same replay on this machine's own curve, against what was measured")
        for heading in ("model", "answers of", "task", "prompts", "measured", "predicted", "error"):
            table.add_column(heading, overflow="fold")
        for check in checks:
            table.add_row(
                check.model, check.answers_of, check.task, str(check.prompts), f"{check.measured:.2f}x",
                f"{check.predicted:.2f}x",
                f"{100 * check.error:+.0f} % ({100 * check.error_low:+.0f} to {100 * check.error_high:+.0f})",
            )  # fmt: skip
        console.print(table)
    if (error := worst(checks)) is not None:
        verdict = "good" if error <= GOOD else "too much: believe the projection less"
        print(f"Largest error over all tasks: {100 * error:.0f} %; {100 * GOOD:.0f} % is wanted: {verdict}")
    else:
        print("No error check: the run measured no stack of these models whose sources could all be replayed.")
    print("Assumed:")
    for line in assumptions:
        print(f"  {line}")
