"""What `bench compare` and `bench sweep` share: a run made of arms and prompts, measured, stored and shown."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from slipstream import config
from slipstream.bench.cell import Arm, Role, Run
from slipstream.bench.child import environment
from slipstream.bench.child_arm import ChildArm
from slipstream.bench.runner import Plan, measure
from slipstream.bench.schedule import Block, default_checks, default_pairs, hold_out
from slipstream.bench.session_arm import SessionArm, Stage
from slipstream.bench.store import ResultStore, new_id
from slipstream.bench.verdict import CONTROL_OF
from slipstream.bench.workload import Prompt, built_in, load, pick
from slipstream.cli import arm_settings, measured
from slipstream.cli import options as shared
from slipstream.cli.arm_settings import Settings
from slipstream.core.errors import RequestError
from slipstream.host import launch


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a command line asks to be measured, besides the arms."""

    prompts: Sequence[Prompt]
    pairs: int | None
    fresh: bool
    hold_out: bool
    control: bool
    others: float
    limit: float
    canary: bool


def prompts_of(workload: Path | None, tasks: Sequence[str], each: int | None) -> list[Prompt]:
    """The prompts of a file or the built-in ones, of some tasks."""
    return pick(load(workload) if workload else built_in(), tasks, each)


def require_positive(**values: float | None) -> None:
    """RequestError for an option that isn't above 0."""
    for name, value in values.items():
        if value is not None and not value > 0:
            raise RequestError(f"--{name.replace('_', '-')} is {value:g}", hint="give a positive number")


def new_run(kind: str, arms: Mapping[str, Settings], wanted: Wanted) -> Run:
    """A run of these arms, of which the first is the baseline; with its repetition and, for every arm that differs from
    it in drafts alone and may copy from the prompt, one that may not. Refuses what can't be opened."""
    models = dict(checked_model(settings) for settings in arms.values())
    (baseline, ground), *others = arms.items()
    pairs = wanted.pairs or default_pairs(len(wanted.prompts))
    _, held = hold_out([(prompt.id, prompt.task) for prompt in wanted.prompts])
    if wanted.hold_out and not held:
        raise RequestError("no prompt can be held out", hint="it takes a task class with two prompts, or --no-hold-out")
    fresh = "--fresh" if wanted.fresh else arm_settings.needs_process(list(arms.values()))
    made = [_arm(baseline, "baseline", ground, fresh), _arm(f"{baseline}, again", "repeat", ground, fresh)]
    for name, settings in others:
        made.append(_arm(name, "candidate", settings, fresh))
        drafts_alone = arm_settings.same_but_for_drafts(settings, ground)
        if wanted.control and drafts_alone and arm_settings.reads_context(settings):
            control = {**settings, "control": True}
            made.append(_arm(f"{name}, nothing to copy", "control", control, fresh, **{CONTROL_OF: name}))
    now = time.time()
    return Run(
        id=new_id(now),
        kind=kind,
        started=now,
        arguments=launch.arguments(sys.argv),
        arms=tuple(made),
        plan={
            "prompts": [asdict(prompt) for prompt in wanted.prompts],
            "pairs": pairs,
            "checks": default_checks(pairs),
            "size": len(wanted.prompts) if fresh else 1,
            "held": held if wanted.hold_out else [],
            "fresh": fresh,
            "others": wanted.others,
            "limit": wanted.limit,
            "canary": wanted.canary,
        },
        attestation=measured.attestation(models),
    )


def stored_run(kind: str, name: str) -> Run:
    """An unfinished run to go on with. UnknownName, or RequestError if it is of another kind."""
    with ResultStore.open(measured.store_file()) as store:
        found = store.run(name)
    if found.kind != kind:
        raise RequestError(f"run {found.id} is of the kind {found.kind}", hint="go on with it by the command it is of")
    return Run(**{field.name: getattr(found, field.name) for field in fields(Run)})


def perform(run: Run, *, as_json: bool, verbose: bool) -> int:
    """Measure the run, or the rest of it, and print what it says. Returns the exit code."""
    from slipstream.bench.doubts import Limits
    from slipstream.bench.garbage import doubt
    from slipstream.bench.runner_lock import RunnerLock
    from slipstream.cli.paired_table import as_dict, show
    from slipstream.cli.progress import Bar

    given = {field.name: run.plan[field.name] for field in fields(Plan)}
    prompts = tuple(Prompt(**prompt) for prompt in given.pop("prompts"))
    plan = Plan(**given, prompts=prompts)
    limits = Limits(others=run.plan["others"], garbage=doubt)
    path = measured.store_file()
    with RunnerLock(path), ResultStore.open(path) as store, ExitStack() as opened, Bar() as bar:
        arms: dict[str, Any] = _children(run, prompts) if run.plan["fresh"] else _on_stage(run, opened, verbose)
        canary = measured.canary(opened, limits.others) if run.plan["canary"] else None
        history = measured.history(store, run, canary)
        with measured.resumable(run):
            outcome = measure(run, plan, arms, store, limits, canary=canary, history=history, report=bar)
        measured.keep_curves(store, run, map(_curve, arms.values()))
    if as_json:
        print(json.dumps(as_dict(run, outcome)))
    else:
        show(run, outcome)
    return measured.exit_code(run, outcome)


def _arm(name: str, role: Role, settings: Settings, fresh: str, **more: str) -> Arm:
    """With the command line and the variables of its children, as far as they may be published."""
    configuration = {"settings": dict(settings), **more}
    if fresh:
        configuration["argv"] = list(launch.arguments([*_command(settings), "JOB"]))
        configuration["environment"] = launch.environment(environment(settings.get("environment") or {}))
    return Arm(name=name, role=role, configuration=configuration)


def _command(settings: Settings) -> list[str]:
    return [*(settings.get("prefix") or ()), sys.executable, "-m", "slipstream", "worker"]


def _curve(arm: ChildArm | SessionArm) -> tuple[str, measured.Table | None]:
    """Name of an arm's model, and what its passes cost: in the process that opened it, if it was."""
    if isinstance(arm, ChildArm):
        return (arm.ready["model"], arm.ready["curve"]) if arm.ready else ("", None)
    session = arm.stage.session
    return session.header.path.name, session.keep.curve.table if session.keep.curve else None


def _children(run: Run, prompts: Sequence[Prompt]) -> dict[str, ChildArm]:
    folder = config.load().data_root.tmp
    arms: dict[str, ChildArm] = {}
    for arm in run.arms:
        settings = arm.configuration["settings"]
        variables = environment(settings.get("environment") or {})
        job = partial(_job, arm.name, settings, {prompt.id: prompt for prompt in prompts})
        arms[arm.name] = ChildArm(_command(settings), variables, job, folder, cell=run.plan["limit"])
    return arms


def _job(name: str, settings: Settings, prompts: Mapping[str, Prompt], block: Block) -> dict[str, Any]:
    chosen = [asdict(prompts[prompt]) for prompt in block.prompts]
    return {"arm": name, "settings": dict(settings), "repetition": block.repetition, "prompts": chosen}


def _on_stage(run: Run, opened: ExitStack, verbose: bool) -> dict[str, SessionArm]:
    """One opened model on which all arms take turns."""
    from slipstream.host.load import Sentinel

    settings = {arm.name: arm.configuration["settings"] for arm in run.arms}
    options = arm_settings.opening({**settings[run.arms[0].name], "draft": "auto"})
    given = {field.name: getattr(options, field.name) for field in fields(options)}
    session = opened.enter_context(shared.open_session(verbose, **given))
    stage = Stage(session, load=Sentinel())
    arms = {name: SessionArm(name, stage, arm_settings.generation(given)) for name, given in settings.items()}
    stage.warm_up()
    return arms


def checked_model(settings: Settings) -> tuple[str, str]:
    """Name and content hash of an arm's model, once it is clear that it can be opened like that."""
    from slipstream.assembly.options import model_options, require_context, with_settings
    from slipstream.assembly.second import second_models
    from slipstream.host import cpu
    from slipstream.models.embedded import embedded_model
    from slipstream.models.gguf import identity, read_header

    ours = config.load()
    options = with_settings(arm_settings.opening(settings), ours)
    path = options.model or ours.model or embedded_model()
    header = read_header(path)
    opened = model_options(options, ours, header, cpu.read().cores)
    require_context(header, opened)
    second_models(options, ours, header, opened, ours.data_root.state)
    return path.name, identity(path)
