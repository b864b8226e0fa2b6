"""`slipstream tune`: the fastest way to open a model here, checked on prompts it was not chosen on."""

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from slipstream.cli import options as shared
from slipstream.cli import paired_options as asked_for

DEFAULT_TASKS = ("edit", "chat")
"""The two ends: an answer that stands in the prompt, and one that doesn't."""


def tune(
    model: Annotated[
        Path | None, typer.Argument(help="GGUF file. Default: the configured one, else the embedded SmolLM2.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="Time to spend, about.")] = 10.0,
    task: Annotated[
        list[str] | None,
        typer.Option(help="Task class to be fast on, with a weight as edit=3; may be repeated. Default: edit, chat."),
    ] = None,
    workload: asked_for.Workload = None,
    max_tokens: Annotated[int, typer.Option("--max-tokens", "-n", help="Most tokens per answer.")] = 96,
    objective: Annotated[
        str, typer.Option(help="request: tokens over the time of a whole request; decode: over decoding alone.")
    ] = "request",
    variant: Annotated[
        list[Path] | None,
        typer.Option(
            help="Further file of the same model in other weights, or a folder of such. Those in the model's folder are"
            " tried anyway if more precise; others only within a --quality-limit."
        ),
    ] = None,
    draft_model: Annotated[
        list[Path] | None,
        typer.Option(help="GGUF of a smaller model that may draft. Default: those in the model's folder."),
    ] = None,
    knob: Annotated[list[str] | None, typer.Option(help="Turn only this knob; may be repeated.")] = None,
    quality_limit: Annotated[
        list[str] | None,
        typer.Option(
            help="Let settings join that may make the output worse: perplexity=0.02 (a share), kl=0.01 (nats a token),"
            " score=0.05 (of right answers); may be repeated, and all must hold."
        ),
    ] = None,
    text: Annotated[
        Path | None, typer.Option(help="Text that quality is measured on. Default: a built-in one.")
    ] = None,
    others: asked_for.Others = 0.1,
    canary: asked_for.WithCanary = True,
    list_knobs: Annotated[
        bool, typer.Option("--list", help="Show the knobs and what would be tried, and stop.")
    ] = False,
    show: Annotated[bool, typer.Option("--show", help="Show the model's profile, and stop.")] = False,
    forget: Annotated[bool, typer.Option("--forget", help="Drop the model's profile, and stop.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Don't go on with an interrupted search: start anew.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    context: shared.Context = None,
) -> int:
    """Search for the fastest settings of a model here, with output no worse; run and compare then use them.

    Settings are measured as they would be used, drafting and all, beside the default ones on the same prompts; what
    wins is checked on prompts it wasn't chosen on. Other files of the model beside it join if they are more precise:
    which one is fastest with drafts often isn't the one that is fastest without.
    """
    from slipstream.cli import tune_table as table
    from slipstream.cli.tune_work import Asked, Work
    from slipstream.tune.quality_limit import limits_of

    _check(minutes, max_tokens, others, objective, knob or [], bool(quality_limit))
    asked = Asked(
        model=model,
        seconds=60 * minutes,
        tasks=tuple(task or ()) or (() if workload else DEFAULT_TASKS),
        workload=workload,
        max_tokens=max_tokens,
        figure="decode" if objective == "decode" else "request",
        variants=tuple(variant or ()),
        drafts=tuple(draft_model or ()),
        knobs=tuple(knob or ()),
        limits=limits_of(quality_limit or []),
        text=text,
        others=others,
        context=context,
        canary=canary,
    )
    work = Work.of(asked)
    for note in work.profiles.notes:
        print(f"note: {note}", file=sys.stderr)
    if forget:
        count = work.profiles.forget(work.key.model)
        print(f"{work.header.path.name}: {count} profile{'' if count == 1 else 's'} dropped")
        return 0
    if show:
        table.show_profile(work.header.path.name, work.stored, as_json)
        return 0
    if list_knobs:
        table.show_knobs(work.chosen, work.opening, as_json)
        return 0
    return _run(work, again, as_json)


def _check(minutes: float, max_tokens: int, others: float, objective: str, knobs: list[str], lossy: bool) -> None:
    """Refuse before anything is opened."""
    from slipstream.core.errors import RequestError, UnknownName
    from slipstream.tune.space import KNOBS

    for name, value in (("--minutes", minutes), ("--others", others)):
        if not 0 < value < 1e6:
            raise RequestError(f"{name} is {value:g}", hint="give a positive number")
    if max_tokens < 8:
        raise RequestError(f"--max-tokens is {max_tokens}", hint="at least 8: fewer tokens are no measurement")
    if objective not in ("request", "decode"):
        raise UnknownName("objective", objective, ("request", "decode"))
    by_name = {one.name: one for one in KNOBS}
    for name in knobs:
        if name not in by_name:
            raise UnknownName("knob", name, by_name)
        if by_name[name].lossy and not lossy:
            raise RequestError(f"{name} changes the output", hint="say how much with --quality-limit perplexity=0.02")


def _run(work: Any, again: bool, as_json: bool) -> int:
    from slipstream.bench.runner_lock import RunnerLock
    from slipstream.bench.store import FILE
    from slipstream.cli import tune_table as table
    from slipstream.cli.progress import Bar

    started = time.time()
    if again:
        work.record.forget()
    elif work.record.known:
        print("note: an interrupted search is gone on with (--again starts anew)", file=sys.stderr)
    with RunnerLock(work.root.results / FILE), Bar("tuning") as bar:
        try:
            tuned = work.tune(_telling(bar, work.asked.seconds))
        except KeyboardInterrupt:
            tuned = None
    if tuned is None:
        work.keep_part(started)
        print("interrupted: what was measured is kept; the same command goes on there", file=sys.stderr)
        if work.search and not as_json:
            table.show_rungs(work.search)
        return 130
    run, profile = work.keep(tuned, started)
    table.show(work, tuned, run, profile, as_json)
    return 0


def _telling(bar: Any, seconds: float) -> Any:
    """A bar where somebody looks, else a line for every launch."""
    from slipstream.control.measure import Progress

    def told(spent: float, what: str) -> None:
        if sys.stderr.isatty():
            bar(Progress(min(round(spent), round(seconds)), round(seconds), what))
        else:
            print(f"{spent:5.0f} of {seconds:.0f} s: {what}", file=sys.stderr, flush=True)

    return told
