"""`slipstream bench sweep`: every combination of some settings against a baseline, paired."""

from collections.abc import Sequence
from itertools import product
from typing import Annotated, Any

import typer

from slipstream.cli import options as shared
from slipstream.cli import paired_options as asked
from slipstream.cli.bench_compare import base
from slipstream.core.errors import RequestError

MOST_ARMS = 200


def sweep(
    vary: Annotated[
        list[str] | None, typer.Option(help="setting=value,value,...; repeated: every combination.")
    ] = None,
    baseline: Annotated[str, typer.Option(help="Settings of the baseline; the arms change what is varied.")] = (
        "draft=off"
    ),
    setting: Annotated[list[str] | None, typer.Option("--set", help="setting=value,... for every arm.")] = None,
    model: shared.Model = None,
    draft_model: shared.DraftModel = None,
    workload: asked.Workload = None,
    task: asked.Task = None,
    each: asked.Each = None,
    max_tokens: asked.Tokens = 128,
    pairs: asked.Pairs = None,
    fresh: asked.Fresh = False,
    control: asked.Control = False,
    hold_out: asked.HoldOut = True,
    others: asked.Others = 0.1,
    limit: asked.Limit = 600.0,
    canary: asked.WithCanary = True,
    resume: asked.Resume = "",
    as_json: asked.AsJson = False,
    verbose: shared.Verbose = False,
) -> int:
    """A grid of settings, such as --vary draft_length=8,16,24 --vary threads=1,2; the winner is measured again.

    Any setting of bench compare can be varied. The baseline decodes plainly unless told otherwise; where something
    about drafts is varied, the other arms draft (draft=auto, unless --set or --vary says who).
    """
    from slipstream.cli import paired

    if resume:
        return paired.perform(paired.stored_run("sweep", resume), as_json=as_json, verbose=verbose)
    paired.require_positive(pairs=pairs, each=each, max_tokens=max_tokens, others=others, limit=limit)
    common = base(setting or (), model, draft_model, max_tokens)
    wanted = paired.Wanted(
        prompts=paired.prompts_of(workload, task or (), each),
        pairs=pairs, fresh=fresh, hold_out=hold_out, control=control, others=others, limit=limit, canary=canary,
    )  # fmt: skip
    run = paired.new_run("sweep", grid(vary or (), baseline, common), wanted)
    return paired.perform(run, as_json=as_json, verbose=verbose)


def grid(vary: Sequence[str], baseline: str, common: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The baseline, then every combination in order. RequestError if nothing is varied, or something twice."""
    from slipstream.cli.arm_settings import DRAFTING, checked, merged, parse

    columns: dict[str, list[str]] = {}
    for text in vary:
        name, equals, values = (part.strip() for part in text.partition("="))
        if not equals or not values:
            raise RequestError(f"--vary {text!r} says no values", hint="write --vary threads=1,2,4")
        if name in columns:
            raise RequestError(f"{name} is varied twice", hint="give all its values at once")
        columns[name] = list(dict.fromkeys(f"{name}={value.strip()}" for value in values.split(",")))
    if not columns:
        raise RequestError("nothing is varied", hint="write --vary draft_length=8,16,24")
    combinations = [", ".join(one) for one in product(*columns.values())]
    if len(combinations) > MOST_ARMS:
        raise RequestError(f"{len(combinations)} combinations are too many", hint=f"at most {MOST_ARMS}")
    plain = checked(merged(common, parse(baseline)))
    ground = plain
    if plain.get("draft") == "off" and any(set(parse(text)) & DRAFTING for text in combinations):
        ground = plain | {"draft": common.get("draft", "auto")}
    return {baseline: plain} | {one: checked(merged(ground, parse(one))) for one in combinations}
