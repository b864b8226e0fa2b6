"""What every command needs that measures a run: where results are kept, what is attested, and how a run ends."""

import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipstream.cli import options as shared

if TYPE_CHECKING:
    from slipstream.bench.cell import Run
    from slipstream.bench.runner import Canary, Outcome


def store_file() -> Path:
    """The result store's file."""
    from slipstream import config
    from slipstream.bench.store import FILE

    return config.load().data_root.results / FILE


def attestation(models: Mapping[str, str]) -> dict[str, Any]:
    """The host and the engine's build as they are now; `models` are content hashes by file name."""
    from slipstream.engine.build import engine_build
    from slipstream.host import attest

    build = engine_build()
    return attest.read(engine=build.build_id, system_info=build.system_info, models=models).to_json()


def canary(opened: ExitStack) -> "Canary":
    """The fixed prompt on the embedded model, which stays open."""
    from slipstream.bench import canary as bench
    from slipstream.models.embedded import embedded_model

    session = shared.open_session(model=embedded_model(), memory=False, learn=False, profile=False)
    return bench.Canary(bench.plainly(opened.enter_context(session)), time.time)


def last_words(run: "Run", outcome: "Outcome") -> None:
    """What is left to say below a table."""
    if outcome.suspect:
        print(f"Suspect: {outcome.suspect}.")
    print(f"stored as {run.id}")


def interrupted(kind: str, name: str) -> int:
    """Says how to go on, and returns the exit code."""
    print(f"interrupted; go on with: slipstream bench {kind} --resume {name}", file=sys.stderr)
    return 130


def exit_code(run: "Run", outcome: "Outcome") -> int:
    """Of a run that ended, saying how to go on with one that was interrupted."""
    if outcome.state != "interrupted":
        return 0
    return interrupted(run.kind, run.id)
