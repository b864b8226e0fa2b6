"""Options that measuring commands share."""

from pathlib import Path
from typing import Annotated

import typer

Workload = Annotated[Path | None, typer.Option(help="JSON lines with turns or prompt, id and task. Default: built in.")]
Task = Annotated[list[str] | None, typer.Option(help="Only this task class; may be repeated.")]
Each = Annotated[int | None, typer.Option(help="Prompts per task class.")]
Tokens = Annotated[int, typer.Option("--max-tokens", "-n", help="Most tokens per answer.")]
Pairs = Annotated[
    int | None, typer.Option("--pairs", "-p", help="Pairs per prompt. Default: an even number, 20 in all at least.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="A new process for every arm and repetition.")]
Control = Annotated[
    bool, typer.Option("--control/--no-control", help="Measure drafting arms as well with nothing to copy from.")
]
HoldOut = Annotated[
    bool, typer.Option("--hold-out/--no-hold-out", help="Measure the winner again on prompts it wasn't chosen on.")
]
Others = Annotated[float, typer.Option(help="CPU share of other processes above which a cell doesn't count.")]
Limit = Annotated[float, typer.Option(help="Seconds that a cell in a process of its own may take.")]
WithCanary = Annotated[bool, typer.Option("--canary/--no-canary", help="Time a fixed prompt before and after.")]
Resume = Annotated[str, typer.Option(help="An interrupted run to go on with, just as it was begun.")]
Models = Annotated[list[Path] | None, typer.Option("--model", "-m", help="GGUF file; may be repeated.")]
Short = Annotated[int | None, typer.Option(help="Only this many prompts of each suite.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
