"""`slipstream worker`, which people don't call: measures the prompts of a job, a JSON line for every cell."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from slipstream.core.errors import RequestError, SlipstreamError


def worker(job: Annotated[Path, typer.Argument(help="JSON: arm, settings, repetition, prompts.")]) -> int:
    """Measure prompts in a process of their own (slipstream bench starts it)."""
    from slipstream.assembly import open_session
    from slipstream.bench.cell import Cell
    from slipstream.bench.session_arm import SessionArm, Stage
    from slipstream.bench.workload import Prompt
    from slipstream.cli import arm_settings
    from slipstream.host.load import Sentinel

    parent = os.getppid()
    try:
        value = json.loads(job.read_text(encoding="utf-8"))
        name, repetition = value["arm"], value["repetition"]
        prompts = [Prompt(**prompt) for prompt in value["prompts"]]
        settings = arm_settings.checked(value["settings"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RequestError(f"{job} is no job: {error!r}", hint="slipstream bench compare --fresh writes them") from None
    with open_session(arm_settings.opening(settings)) as session:
        stage = Stage(session, load=Sentinel())
        arm = SessionArm(name, stage, arm_settings.generation(settings))
        stage.warm_up()
        curve = session.keep.curve
        _say("ready", {"model": session.header.path.name, "curve": curve.table if curve else None})
        for prompt in prompts:
            if os.getppid() != parent:
                return 1  # nobody is left to listen
            try:
                cell = arm.measure(prompt, repetition)
            except SlipstreamError as error:
                cell = Cell(
                    arm=name, prompt=prompt.id, task=prompt.task, repetition=repetition, status="failed",
                    reason=str(error), started=stage.now(),
                )  # fmt: skip
            _say("cell", asdict(cell))
    return 0


def _say(key: str, value: Any) -> None:
    print(json.dumps({key: value}), flush=True)
