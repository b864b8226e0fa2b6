"""`slipstream bench peers`: other engines on the same prompts, in the same run."""

import json
import math
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slipstream.cli import measured
from slipstream.cli import options as shared
from slipstream.cli import paired_options as asked
from slipstream.core.errors import RequestError

if TYPE_CHECKING:
    from slipstream.bench.cell import Cell, Run
    from slipstream.bench.child_arm import ChildArm
    from slipstream.bench.peers.ports import Job, Offer
    from slipstream.bench.peers.table import Parted
    from slipstream.bench.schedule import Block
    from slipstream.engine.tokenizer import LlamaTokenizer

KIND = "peers"
OURS, PLAIN, STACK = "slipstream", "slipstream plain", "slipstream stack"
WORKER = (sys.executable, "-m", "slipstream", "worker")
LENGTHS = (8, 16, 32)
ROOM = 64
"""Tokens of context beside the longest prompt and its answer: a draft may go past the answer's end."""
WARM_UP = 64
"""Tokens of the text that ships with the package, which every engine is given first."""


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
    fresh process for every repetition. An engine that answers something else is shown below those that don't.
    """
    from slipstream.cli import paired

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
    run = new_run(
        prompts,
        pairs,
        {"max_tokens": max_tokens, "others": others, "limit": limit, "canary": canary},
        {"model": model, "draft_model": draft_model, "binary": llama_server},
        {"peers": list(peer or ()), "lengths": lengths, "threads": threads},
    )
    return perform(run, as_json=as_json, verbose=verbose)


def new_run(
    prompts: Sequence[Any], pairs: int | None, wanted: Mapping[str, Any], files: Mapping[str, Path | None],
    more: Mapping[str, Any],
) -> "Run":  # fmt: skip
    """A run of Slipstream and every setting of the peers. UnknownName or RequestError for a peer that isn't there."""
    from slipstream import config
    from slipstream.bench.cell import Arm, Run
    from slipstream.bench.peers import catalog
    from slipstream.bench.schedule import default_pairs
    from slipstream.bench.store import new_id
    from slipstream.host import cpu, launch
    from slipstream.models.embedded import embedded_model
    from slipstream.models.gguf import identity

    settings = config.load()
    path = files["model"] or settings.model or embedded_model()
    given = {**files, "model": path}
    plan: dict[str, Any] = {
        **wanted,
        **more,
        **{name: str(file.absolute()) if file else "" for name, file in given.items()},
        "threads": more["threads"] or settings.threads or cpu.read().cores,
        "prompts": [asdict(prompt) for prompt in prompts],
        "pairs": pairs or default_pairs(len(prompts)),
    }
    with ExitStack() as opened:
        job, _ = _job(plan, opened)
        arms = [
            Arm(name=PLAIN, role="baseline", configuration=_configuration("plain", _settings(plan, job, "off"))),
            Arm(name=f"{PLAIN}, again", role="repeat", configuration={"peer": OURS}),
            Arm(name=STACK, configuration=_configuration("stack", _settings(plan, job, "auto"))),
        ]
        for setting in catalog.settings(_offer(plan), plan["peers"]):
            about = {"peer": setting.peer, "setting": setting.name, **setting.configuration}
            if setting.open:
                about["argv"] = list(launch.arguments(setting.open(job).argv))
            if not setting.absent:
                arms.append(Arm(name=setting.arm, configuration=about))
    models = [Path(plan["model"]), *([Path(plan["draft_model"])] if plan["draft_model"] else [])]
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
    """Measure the run, or the rest of it, and print what it says. Returns the exit code."""
    from slipstream.bench.doubts import Limits
    from slipstream.bench.garbage import doubt
    from slipstream.bench.peers import catalog, table
    from slipstream.bench.peers.arm import Refused, Watched
    from slipstream.bench.runner import Measures, Plan, measure
    from slipstream.bench.runner_lock import RunnerLock
    from slipstream.bench.store import ResultStore
    from slipstream.cli.progress import Bar
    from slipstream.host.load import Sentinel

    plan, pairs = run.plan, run.plan["pairs"]
    checks = min(pairs, max(2, math.ceil(pairs / 2)))
    file = measured.store_file()
    with RunnerLock(file), ResultStore.open(file) as store, ExitStack() as opened, Bar("peers") as bar:
        job, tokenizer = _job(plan, opened)
        prompts = tuple(question.prompt for question in job.questions.values())
        listed = catalog.settings(_offer(plan), plan["peers"])
        arms: dict[str, Measures] = {
            PLAIN: _our_arm(PLAIN, _settings(plan, job, "off"), job),
            STACK: _our_arm(STACK, _settings(plan, job, "auto"), job),
        }
        for setting in listed:
            if setting.open:
                started = setting.open(job)
                arms[setting.arm] = Watched(started, tokenizer.decode, job.ends, job.max_tokens, Sentinel())
            else:
                arms[setting.arm] = Refused(setting.problem)
        canary = measured.canary(opened) if plan["canary"] else None
        order = Plan(prompts=prompts, pairs=pairs, checks=checks, size=len(prompts))
        limits = Limits(others=plan["others"], garbage=doubt)
        outcome = measure(run, order, arms, store, limits, canary=canary, history=store.canaries(run), report=bar)
    rows = table.rows(run.arms, outcome.cells, outcome.claims, _parted(plan, job, outcome.cells, verbose))
    missing = [{"peer": one.peer, "problem": one.problem} for one in listed if one.absent]
    if as_json:
        found = {"run": run.id, "state": outcome.state, "suspect": outcome.suspect, "rows": rows, "missing": missing}
        print(json.dumps(found))
    else:
        show(run, rows, missing)
        measured.last_words(run, outcome)
    return measured.exit_code(run, outcome)


def show(run: "Run", rows: Sequence[Mapping[str, Any]], missing: Iterable[Mapping[str, str]]) -> None:
    """The table, and what a reader has to know of it."""
    from rich.console import Console
    from rich.table import Table

    from slipstream.bench.peers import table as bench

    table = Table(title=f"peers {run.id}: {Path(run.plan['model']).name}, {run.plan['threads']} threads")
    for title in bench.COLUMNS:
        table.add_column(title, justify="left" if title in ("peer", "setting", "same output") else "right")
    for row in rows:
        table.add_row(*bench.texts(row))
    for one in missing:
        table.add_row(one["peer"], "", "", "", "", "", one["problem"])
    Console(width=None if sys.stdout.isatty() else 170, markup=False).print(table)
    print("tok/s: from the first token that arrived to the last, on our clock. To plain: median of pairs.")
    for row in rows:
        for lost in row["lost"][:1]:
            print(f"  {row['arm']}: {len(row['lost'])} cells lost, {lost['prompt']} {lost['status']}: {lost['reason']}")


def _offer(plan: Mapping[str, Any]) -> "Offer":
    from slipstream.bench.peers.ports import Offer
    from slipstream.models.gguf import read_header

    header = read_header(Path(plan["model"]))
    return Offer(
        lengths=tuple(plan["lengths"]),
        draft_model=Path(plan["draft_model"]) if plan["draft_model"] else None,
        native_head=bool(header.metadata.get(f"{header.architecture}.nextn_predict_layers")),
        binary=Path(plan["binary"]) if plan["binary"] else None,
    )


def _job(plan: Mapping[str, Any], opened: ExitStack) -> tuple["Job", "LlamaTokenizer"]:
    """What all are given, and the tokenizer, which stays open. RequestError for a model without a chat template,
    ContextOverflow if it wasn't trained for that much."""
    from importlib import resources

    from slipstream import config
    from slipstream.bench.peers.ports import Job, Question
    from slipstream.bench.workload import Prompt
    from slipstream.engine.chat import open_chat_template
    from slipstream.engine.model import LlamaModel
    from slipstream.engine.tokenizer import LlamaTokenizer

    path = Path(plan["model"])
    model = opened.enter_context(LlamaModel.load_vocabulary(path))
    tokenizer = LlamaTokenizer(model)
    template = open_chat_template(model, tokenizer)
    questions = {}
    for prompt in (Prompt(**one) for one in plan["prompts"]):
        text = template.render([{"role": "user", "content": prompt.text}])
        questions[prompt.id] = Question(prompt, tuple(tokenizer.encode_prompt(text, special=True)))
    longest = max(len(question.tokens) for question in questions.values())
    sample = resources.files("slipstream.bench").joinpath("sample.txt").read_text("utf-8")
    return Job(
        model=path,
        questions=questions,
        warm_up=tuple(tokenizer.encode_prompt(sample)[:WARM_UP]),
        ends=tokenizer.end_tokens,
        max_tokens=plan["max_tokens"],
        threads=plan["threads"],
        context=model.slot_context(longest + plan["max_tokens"] + ROOM),
        scratch=config.load().data_root.tmp,
        draft_model=Path(plan["draft_model"]) if plan["draft_model"] else None,
        answer_seconds=plan["limit"],
    ), tokenizer


def _settings(plan: Mapping[str, Any], job: "Job", draft: str) -> dict[str, Any]:
    """Of an arm of ours."""
    return {
        "model": plan["model"],
        "context_length": job.context,
        "threads": plan["threads"],
        "max_tokens": plan["max_tokens"],
        "draft": draft,
        **({"draft_model": plan["draft_model"]} if draft != "off" and plan["draft_model"] else {}),
    }


def _configuration(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {"peer": OURS, "setting": name, "settings": dict(settings)}


def _our_arm(name: str, settings: Mapping[str, Any], job: "Job") -> "ChildArm":
    from slipstream.bench.child import environment
    from slipstream.bench.child_arm import ChildArm

    told = partial(_told, name, settings, job)
    return ChildArm(WORKER, environment({}), told, job.scratch, job.load_seconds, job.answer_seconds)


def _told(name: str, settings: Mapping[str, Any], job: "Job", block: "Block") -> dict[str, Any]:
    prompts = [asdict(job.questions[prompt].prompt) for prompt in block.prompts]
    return {"arm": name, "settings": dict(settings), "repetition": block.repetition, "prompts": prompts}


def _parted(plan: Mapping[str, Any], job: "Job", cells: Sequence["Cell"], verbose: bool) -> list["Parted"]:
    """Where answers differ from the plain ones, and how close a call that was; the model is opened only for that."""
    from slipstream.bench.arms import logit_gap
    from slipstream.bench.peers.arm import answered
    from slipstream.bench.peers.table import parted

    with ExitStack() as opened:
        sessions: list[Any] = []

        def gap(prompt: str, shared_part: Sequence[int], ours: int | None, theirs: int | None) -> float:
            if not sessions:
                options = {"model": job.model, "context_length": job.context, "threads": job.threads}
                session = shared.open_session(verbose, **options, drafters=(), memory=False, learn=False)
                sessions.append(opened.enter_context(session))
            prefix = [*job.questions[prompt].tokens, *shared_part]
            pairs = [(a, b) for a in _either(ours, job.ends) for b in _either(theirs, job.ends)]
            return min(logit_gap(sessions[0].target, prefix, a, b) for a, b in pairs)

        return parted(cells, PLAIN, lambda tokens: answered(tokens, job.ends, job.max_tokens), gap)


def _either(token: int | None, ends: Iterable[int]) -> list[int]:
    """The token, or where an answer ended every one that ends it."""
    return sorted(ends) if token is None else [token]
