"""`slipstream bench peers`: other engines on the same prompts, in the same run."""

import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slipstream.cli import measured
from slipstream.cli import options as shared
from slipstream.cli import paired_options as asked
from slipstream.core.errors import RequestError

if TYPE_CHECKING:
    from slipstream.bench.cell import Cell, Run
    from slipstream.bench.peers.ports import Job
    from slipstream.bench.peers.table import Parted
    from slipstream.cli.peers_arms import Listed

KIND = "peers"
LENGTHS = (8, 16, 32)
BLOCK = 8
"""Prompts that an arm answers in one go, in one process: pairs lie no more than a turn of all arms apart."""


def peers(
    model: shared.Model = None,
    draft_model: shared.DraftModel = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(help="Only this engine: llama-server, llama-cpp-python or openvino; may be repeated."),
    ] = None,
    length: Annotated[
        list[int] | None, typer.Option(help="Length of drafts to try; may be repeated. Default: 8, 16, 32.")
    ] = None,
    llama_server: Annotated[
        Path | None, typer.Option(help="A llama-server of your own, in place of the installed package's.")
    ] = None,
    variant: Annotated[
        list[Path] | None,
        typer.Option(help="Another file of the model, or a folder of such: every engine is measured on it too."),
    ] = None,
    tuned: Annotated[
        bool, typer.Option("--tuned", help="Also Slipstream as slipstream tune left it for the model.")
    ] = False,
    screen: Annotated[
        int,
        typer.Option(
            help="First measure everything on so many prompts, then each engine's fastest setting on the others."
        ),
    ] = 0,
    workload: asked.Workload = None,
    task: asked.Task = None,
    each: asked.Each = None,
    max_tokens: asked.Tokens = 128,
    pairs: asked.Pairs = None,
    threads: shared.Threads = None,
    others: asked.Others = 0.1,
    limit: asked.Limit = 600.0,
    canary: asked.WithCanary = True,
    resume: asked.Resume = "",
    as_json: asked.AsJson = False,
    verbose: shared.Verbose = False,
) -> int:
    """Slipstream, plain and with its whole stack, against other engines in each of their settings.

    All are given the same tokens and timed by our clock, from the first token that arrives to the last; each arm is a
    fresh process for every few prompts. An engine that answers something else is shown below those that don't.
    """
    from slipstream.cli import paired, peers_arms

    if resume:
        return perform(paired.stored_run(KIND, resume), as_json=as_json, verbose=verbose)
    paired.require_positive(pairs=pairs, each=each, max_tokens=max_tokens, threads=threads, others=others, limit=limit)
    lengths = list(dict.fromkeys(length or LENGTHS))
    if wrong := [tokens for tokens in lengths if tokens < 1]:
        raise RequestError(f"--length is {wrong[0]}", hint="give a positive number")
    for file in (draft_model, llama_server):
        if file is not None and not file.is_file():
            raise RequestError(f"there is no file {file}", hint="check the path")
    prompts = paired.prompts_of(workload, task or (), each)
    if not 0 <= screen < len(prompts):
        raise RequestError(
            f"--screen is {screen}, of {len(prompts)} prompts", hint="leave some over, which the final is run on"
        )
    path = _model(model)
    settings = peers_arms.tuned_settings(path) if tuned else None
    files = [*_variants(path, variant), *([settings["model"]] if settings and "model" in settings else [])]
    plan = {
        "peers": list(peer or ()), "lengths": lengths, "model": str(path.absolute()), "variants": files,
        "draft_model": str(draft_model.absolute()) if draft_model else "",
        "binary": str(llama_server.absolute()) if llama_server else "", "threads": _threads(threads),
        "tuned": settings, "max_tokens": max_tokens, "others": others, "limit": limit, "canary": canary,
    }  # fmt: skip
    final = _part(prompts[screen:], pairs)
    if screen:
        first = {"prompts": [asdict(prompt) for prompt in prompts[:screen]], "pairs": 1, "checks": 0}
        return perform(new_run({**plan, **first, "final": final}), as_json=as_json, verbose=verbose)
    return perform(new_run({**plan, **final}), as_json=as_json, verbose=verbose)


def _part(prompts: Sequence[Any], pairs: int | None) -> dict[str, Any]:
    """What a run measures on: so many pairs of every prompt, and half as many of what checks the baseline."""
    from slipstream.bench.schedule import default_checks, default_pairs

    count = pairs or default_pairs(len(prompts))
    checks = default_checks(count)
    return {"prompts": [asdict(prompt) for prompt in prompts], "pairs": count, "checks": checks}


def _model(given: Path | None) -> Path:
    from slipstream import config
    from slipstream.models.embedded import embedded_model

    return given or config.load().model or embedded_model()


def _variants(path: Path, given: Sequence[Path] | None) -> list[str]:
    from slipstream.models.gguf import read_header
    from slipstream.tune.variants import named

    found = named(read_header(path), given) if given else ()
    return [str(header.path) for header in found if header.path != path.absolute()]


def _threads(given: int | None) -> int:
    from slipstream import config
    from slipstream.host import cpu

    return given or config.load().threads or cpu.read().cores


def new_run(plan: Mapping[str, Any]) -> "Run":
    """A run of Slipstream and every setting of the peers. UnknownName or RequestError for a peer that isn't there."""
    from slipstream.bench.cell import Run
    from slipstream.bench.store import new_id
    from slipstream.cli import peers_arms
    from slipstream.host import launch
    from slipstream.models.gguf import identity

    with ExitStack() as opened:
        arms = [one.arm for one in peers_arms.listed(plan, *peers_arms.job_of(plan, plan["prompts"], opened))]
    models = [*peers_arms.files(plan), *([Path(plan["draft_model"])] if plan["draft_model"] else [])]
    now = time.time()
    return Run(
        id=new_id(now),
        kind=KIND,
        started=now,
        arguments=launch.arguments(sys.argv),
        arms=tuple(arms),
        plan=plan,
        attestation=measured.attestation({file.name: identity(file) for file in models}),
    )


def perform(run: "Run", *, as_json: bool, verbose: bool) -> int:
    """Measure the run, or the rest of it, and print what it says; behind a first one on a few prompts also the final.
    Returns the exit code."""
    from slipstream.bench.doubts import Limits
    from slipstream.bench.garbage import doubt
    from slipstream.bench.peers import table
    from slipstream.bench.runner import Plan, measure
    from slipstream.bench.runner_lock import RunnerLock
    from slipstream.bench.store import ResultStore
    from slipstream.cli import peers_arms, peers_table
    from slipstream.cli.progress import Bar

    plan, file = run.plan, measured.store_file()
    with RunnerLock(file), ResultStore.open(file) as store, ExitStack() as opened, Bar("peers") as bar:
        job, tokenizer = peers_arms.job_of(plan, plan["prompts"], opened)
        prompts = tuple(question.prompt for question in job.questions.values())
        listed = peers_arms.listed(plan, job, tokenizer)
        arms = {one.arm.name: one.open() for one in listed if one.open}
        canary = measured.canary(opened, plan["others"]) if plan["canary"] else None
        order = Plan(prompts=prompts, pairs=plan["pairs"], checks=plan["checks"], size=BLOCK)
        limits = Limits(others=plan["others"], garbage=doubt)
        history = measured.history(store, run, canary)
        with measured.resumable(run):
            outcome = measure(run, order, arms, store, limits, canary=canary, history=history, report=bar)
    rows = table.rows(run.arms, outcome.cells, outcome.claims, _parted(plan, job, listed, outcome.cells, verbose))
    missing = [{"peer": one.peer, "problem": one.problem} for one in peers_arms.absent(plan)]
    best = peers_arms.TUNED if plan["tuned"] is not None else peers_arms.STACK
    final = outcome.state == "complete" and plan.get("final")
    fights = [] if final else peers_table.duels(outcome.cells, rows, best)
    if not as_json:
        peers_table.show(run, rows, missing, fights)
        measured.last_words(run, outcome)
    elif not final:
        found = {"run": run.id, "state": outcome.state, "suspect": outcome.suspect, "rows": rows, "missing": missing}
        print(json.dumps({**found, "duels": fights, "screened": plan.get("screened", "")}))
    if final:
        only = list(dict.fromkeys([best, *peers_table.finalists(rows)]))
        told = f"The final, on the other prompts: {', '.join(only)}."
        print(told, file=sys.stderr if as_json else sys.stdout, flush=True)
        following = new_run({**plan, **final, "final": None, "only": only, "screened": run.id})
        return perform(following, as_json=as_json, verbose=verbose)
    return measured.exit_code(run, outcome)


def _parted(
    plan: Mapping[str, Any], job: "Job", listed: Iterable["Listed"], cells: Sequence["Cell"], verbose: bool
) -> list["Parted"]:
    """Where answers differ from the plain ones of the same file, and how close a call that was; a model is opened only
    for that."""
    from slipstream.bench.arms import logit_gap
    from slipstream.bench.peers.arm import answered
    from slipstream.bench.peers.table import parted
    from slipstream.cli.peers_arms import plain_of

    files = {one.arm.name: one.file for one in listed}
    found: list[Parted] = []
    for file in dict.fromkeys(files.values()):
        with ExitStack() as opened:
            sessions: list[Any] = []

            def gap(
                prompt: str, shared_part: Sequence[int], ours: int | None, theirs: int | None, *,
                file: Path = file, opened: ExitStack = opened, sessions: list[Any] = sessions,
            ) -> float:  # fmt: skip
                if not sessions:
                    options = {"model": file, "context_length": job.context, "threads": job.threads, "profile": False}
                    session = shared.open_session(verbose, **options, drafters=(), memory=False, learn=False)
                    sessions.append(opened.enter_context(session))
                prefix = [*job.questions[prompt].tokens, *shared_part]
                pairs = [(a, b) for a in _either(ours, job.ends) for b in _either(theirs, job.ends)]
                return min(logit_gap(sessions[0].target, prefix, a, b) for a, b in pairs)

            own = [cell for cell in cells if files.get(cell.arm) == file]
            found += parted(own, plain_of(plan, file), lambda tokens: answered(tokens, job.ends, job.max_tokens), gap)
    return found


def _either(token: int | None, ends: Iterable[int]) -> list[int]:
    """The token, or where an answer ended every one that ends it."""
    return sorted(ends) if token is None else [token]
