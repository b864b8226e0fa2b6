"""What every command needs that measures a run: where results are kept, what is attested, and how a run ends."""

import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipstream.cli import options as shared
from slipstream.core.errors import SlipstreamError

if TYPE_CHECKING:
    from slipstream.bench.canary import Canary
    from slipstream.bench.cell import Run
    from slipstream.bench.runner import Outcome
    from slipstream.bench.store import ResultStore

Table = Mapping[Any, Mapping[Any, float]]
"""Milliseconds by depth and width, whose numbers JSON has made texts of."""


def store_file() -> Path:
    """The result store's file."""
    from slipstream import config
    from slipstream.bench.store import FILE

    return config.load().data_root.results / FILE


def store() -> "ResultStore":
    """The result store, opened."""
    from slipstream.bench.store import ResultStore

    return ResultStore.open(store_file())


def print_json(value: Any) -> None:
    """For programs; a figure that nobody knows is null."""
    from slipstream.bench.export import finite

    print(json.dumps(finite(value), indent=1))


def attestation(models: Mapping[str, str]) -> dict[str, Any]:
    """The host and the engine's build as they are now; `models` are content hashes by file name."""
    from slipstream.engine.build import engine_build
    from slipstream.host import attest

    build = engine_build()
    return attest.read(engine=build.build_id, system_info=build.system_info, models=models).to_json()


def canary(opened: ExitStack, others: float = 0.1) -> "Canary":
    """The fixed prompt on the embedded model, which stays open; `others` is the CPU share that other processes may
    take."""
    from slipstream.bench import canary as bench
    from slipstream.host.load import Sentinel
    from slipstream.models.embedded import embedded_model
    from slipstream.models.gguf import identity

    model = embedded_model()
    session = shared.open_session(model=model, memory=False, learn=False, profile=False)
    generate = bench.plainly(opened.enter_context(session))
    return bench.Canary(generate, time.time, model=identity(model), load=Sentinel(), others=others)


def history(store: "ResultStore", run: "Run", canary: "Canary | None") -> list[float]:
    """What the canary may take as usual."""
    return store.canaries(run, canary.model) if canary else []


def keep_curves(store: "ResultStore", run: "Run", found: Iterable[tuple[str, Table | None]]) -> None:
    """Store verify-cost curves by the name of the model's file, the first one of each, but those that the run has
    already."""
    from slipstream.bench.store_rows import Curve

    held = {curve.model for curve in store.curves(run.id)}
    for file, table in found:
        model = file.removesuffix(".gguf")
        if table and model not in held:
            held.add(model)
            store.curve(run.id, Curve(model, {int(depth): _row(row) for depth, row in table.items()}))


def _row(row: Mapping[Any, float]) -> dict[int, float]:
    return {int(width): milliseconds for width, milliseconds in row.items()}


@contextmanager
def resumable(run: "Run") -> Iterator[None]:
    """A failure within says how to go on with the run, of which everything is stored that was measured."""
    try:
        yield
    except SlipstreamError as error:
        error.hint = "; then ".join(filter(None, (error.hint, f"go on with {_resume(run)}")))
        raise


def last_words(run: "Run", outcome: "Outcome") -> None:
    """What is left to say below a table."""
    if outcome.suspect:
        print(f"Suspect: {outcome.suspect}.")
    print(f"stored as {run.id}; see it again: slipstream bench show {run.id}")


def interrupted(kind: str, name: str) -> int:
    """Says how to go on, and returns the exit code."""
    print(f"interrupted; go on with: slipstream bench {kind} --resume {name}", file=sys.stderr)
    return 130


def exit_code(run: "Run", outcome: "Outcome") -> int:
    """Of a run that ended, saying how to go on with one that was interrupted."""
    if outcome.state != "interrupted":
        return 0
    return interrupted(run.kind, run.id)


def _resume(run: "Run") -> str:
    return f"slipstream bench {run.kind} --resume {run.id}"
