"""`slipstream bench compare`: arms against the first of them, paired, with a verdict."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from slipstream.cli import options as shared
from slipstream.cli import paired_options as asked
from slipstream.core.errors import RequestError

DEFAULT = ("plain: draft=off", "stack: draft=auto")


def compare(
    arm: Annotated[
        list[str] | None,
        typer.Option(help='"NAME: setting=value,...", repeated; the first is the baseline. Default: plain, stack.'),
    ] = None,
    setting: Annotated[list[str] | None, typer.Option("--set", help="setting=value,... for every arm.")] = None,
    model: shared.Model = None,
    draft_model: shared.DraftModel = None,
    workload: asked.Workload = None,
    task: asked.Task = None,
    each: asked.Each = None,
    max_tokens: asked.Tokens = 128,
    pairs: asked.Pairs = None,
    fresh: asked.Fresh = False,
    control: asked.Control = True,
    hold_out: asked.HoldOut = False,
    others: asked.Others = 0.1,
    limit: asked.Limit = 600.0,
    canary: asked.WithCanary = True,
    resume: asked.Resume = "",
    as_json: asked.AsJson = False,
    verbose: shared.Verbose = False,
) -> int:
    """Settings against each other on the same prompts: ratio, interval, noise floor, verdict.

    Arms alternate in blocks. The baseline is measured against itself first: what it differs from itself is noise. An
    arm may set anything about model, drafting, sampling and process: draft=suffix,draft_length=8; threads=2;
    model=FILE; key_type=q8_0; env.OMP_NUM_THREADS=2; prefix=numactl --cpunodebind=0.
    """
    from slipstream.cli import paired

    if resume:
        return paired.perform(paired.stored_run("compare", resume), as_json=as_json, verbose=verbose)
    paired.require_positive(pairs=pairs, each=each, max_tokens=max_tokens, others=others, limit=limit)
    common = base(setting or (), model, draft_model, max_tokens)
    wanted = paired.Wanted(
        prompts=paired.prompts_of(workload, task or (), each),
        pairs=pairs, fresh=fresh, hold_out=hold_out, control=control, others=others, limit=limit, canary=canary,
    )  # fmt: skip
    run = paired.new_run("compare", arms_of(arm or DEFAULT, common), wanted)
    return paired.perform(run, as_json=as_json, verbose=verbose)


def base(setting: Sequence[str], model: Path | None, draft_model: Path | None, max_tokens: int) -> dict[str, Any]:
    """Settings of every arm."""
    from slipstream.cli import arm_settings

    given = {"model": model, "draft_model": draft_model, "max_tokens": max_tokens}
    named = {name: value for name, value in given.items() if value is not None}
    return arm_settings.checked(arm_settings.merged(named, arm_settings.parse(",".join(setting))))


def arms_of(texts: Sequence[str], common: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Settings by name, over the common ones. RequestError for a missing or repeated name, or a single arm."""
    from slipstream.cli import arm_settings

    arms: dict[str, dict[str, Any]] = {}
    for text in texts:
        name, colon, settings = text.partition(":")
        if not colon or not name.strip() or "=" in name:
            raise RequestError(f"the arm {text!r} has no name", hint='write "stack: draft=auto"')
        if name.strip() in arms:
            raise RequestError(f"two arms are called {name.strip()!r}", hint="give them different names")
        arms[name.strip()] = arm_settings.checked(arm_settings.merged(common, arm_settings.parse(settings)))
    if len(arms) < 2:
        raise RequestError("one arm alone can't be compared", hint="give --arm twice or more")
    return arms
