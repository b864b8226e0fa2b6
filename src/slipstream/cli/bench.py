"""`slipstream bench`: measurements that can be published, each stored with its conditions."""

import json
from pathlib import Path
from typing import Annotated

import typer

from slipstream.cli import (
    bench_baseline,
    bench_compare,
    bench_exchange,
    bench_first_light,
    bench_peers,
    bench_stack,
    bench_store,
    bench_sweep,
)
from slipstream.cli import options as shared
from slipstream.cli.quality import quality

app = typer.Typer(
    rich_markup_mode=None, add_completion=False, no_args_is_help=True, help="Measurements that can be published."
)


app.command("first-light")(bench_first_light.first_light)
app.command("stack")(bench_stack.stack)


@app.command("replay")
def replay(
    files: Annotated[list[Path], typer.Argument(help="JSON lines of recorded answers: messages, or response.")],
    model: shared.Model = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Replay recorded answers through the free drafters; only the model's tokenizer is loaded."""
    from slipstream.models.embedded import embedded_model

    rows = bench_first_light.replayed(files, model or embedded_model())
    if as_json:
        print(json.dumps(rows))
    else:
        bench_first_light.show({"figures": [], "exact": [], "replay": rows})


app.command("compare")(bench_compare.compare)
app.command("sweep")(bench_sweep.sweep)
app.command("baseline")(bench_baseline.baseline)
app.command("peers")(bench_peers.peers)
app.command("quality")(quality)
for _name, _command in {**bench_store.COMMANDS, **bench_exchange.COMMANDS}.items():
    app.command(_name)(_command)
