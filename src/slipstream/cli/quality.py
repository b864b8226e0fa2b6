"""`slipstream bench quality`: are the answers right, is the model still itself?"""

import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slipstream.cli import options as shared
from slipstream.core.errors import RequestError

if TYPE_CHECKING:
    from slipstream.bench.cell import Run

KIND = "quality"


def quality(
    scorer: Annotated[
        str, typer.Option("--scorer", "-s", help="exact, unit_tests, perplexity or divergence.", show_default=False)
    ],
    workload: Annotated[
        Path | None,
        typer.Option(
            "--workload",
            "-w",
            help="Prompts as JSON lines (default: the built-in set); for perplexity and divergence a text.",
        ),
    ] = None,
    against: Annotated[Path | None, typer.Option(help="GGUF file of the full model, for divergence.")] = None,
    task: Annotated[list[str] | None, typer.Option(help="Only this task or task class; may be repeated.")] = None,
    each: Annotated[int | None, typer.Option(help="Prompts per task.")] = None,
    max_tokens: Annotated[int, typer.Option("--max-tokens", "-n", help="Most tokens per answer.")] = 512,
    window: Annotated[int, typer.Option(help="Tokens that are read at once; the second half counts.")] = 512,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    model: shared.Model = None,
    threads: shared.Threads = None,
    override_kv: shared.Override = None,
    verbose: shared.Verbose = False,
) -> int:
    """Score a model's own greedy answers, or measure it on a text. The result is stored."""
    from slipstream import config
    from slipstream.bench.quality import catalog
    from slipstream.models.embedded import embedded_model

    reads = catalog.entry(scorer).reads
    for name, value in (("--each", each), ("--max-tokens", max_tokens)):
        if value is not None and value < 1:
            raise RequestError(f"{name} is {value}", hint="at least 1")
    if (reads == "two models") != (against is not None):
        raise RequestError(
            f"{scorer} measures {'one model against another' if against is None else 'one model alone'}",
            hint="name the full model's file with --against" if against is None else "leave out --against",
        )
    path = model or config.load().model or embedded_model()
    options: dict[str, Any] = {"threads": threads, "kv_overrides": shared.overrides(override_kv), "drafters": ()}
    settings: dict[str, Any] = {
        "model": str(path.absolute()),
        "draft": "off",
        "kv_overrides": dict(options["kv_overrides"] or {}),
    }
    if threads:
        settings["threads"] = threads
    plan: dict[str, Any]
    if reads == "answers":
        from slipstream.bench.workload import built_in, load, pick

        prompts = pick(catalog.suited(scorer, load(workload) if workload else built_in()), task or (), each)
        plan = {"scorer": scorer, "max_tokens": max_tokens, "prompts": [asdict(prompt) for prompt in prompts]}
        run = _run(path, None, settings, plan)
        found = _answers(run, scorer, prompts, max_tokens, verbose, options)
        show = _table
    elif workload is None:
        raise RequestError(f"{scorer} needs a text", hint="name a UTF-8 file with --workload")
    else:
        text = shared.read_text(workload, "text")
        digest = hashlib.sha256(text.encode()).hexdigest()
        plan = {"scorer": scorer, "window": window, "text": workload.name, "sha256": digest}
        run = _run(path, against, settings, plan)
        found = _text(run, scorer, text, path, against, window, verbose, options)
        show = _sentences
    found = {"run": run.id, "model": path.name, "scorer": scorer, **found}
    if as_json:
        print(json.dumps(found))
    else:
        show(found)
        print(f"stored as {run.id}")
    if found.get("state") == "interrupted":
        print("interrupted; what was marked by then is stored", file=sys.stderr)
        return 130
    return 0


def _run(path: Path, against: Path | None, settings: Mapping[str, Any], plan: Mapping[str, Any]) -> "Run":
    """A run with one arm, the model."""
    from slipstream.bench.cell import Arm, Run
    from slipstream.bench.store import new_id
    from slipstream.cli import measured
    from slipstream.host import launch
    from slipstream.models.gguf import identity

    now = time.time()
    configuration = {"settings": settings, **({"against": against.name} if against else {})}
    return Run(
        id=new_id(now),
        kind=KIND,
        started=now,
        arguments=launch.arguments(sys.argv),
        arms=(Arm(name=path.name.removesuffix(".gguf"), role="baseline", configuration=configuration),),
        plan=plan,
        attestation=measured.attestation({file.name: identity(file) for file in (path, against) if file}),
    )


def _answers(
    run: "Run", scorer: str, prompts: Sequence[Any], max_tokens: int, verbose: bool, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Greedy answers without drafts, marked one by one. Ctrl-C keeps those that were."""
    from slipstream import config
    from slipstream.bench.doubts import Limits
    from slipstream.bench.garbage import doubt
    from slipstream.bench.quality import catalog
    from slipstream.bench.quality.cells import MarkedArm, mark_of
    from slipstream.bench.quality.marks import fold
    from slipstream.bench.runner import Plan, measure
    from slipstream.bench.runner_lock import RunnerLock
    from slipstream.bench.store import ResultStore
    from slipstream.bench.task_classes import class_of
    from slipstream.cli import measured
    from slipstream.cli.progress import Bar

    score, scratch, file = catalog.entry(scorer).load(), config.load().data_root.tmp, measured.store_file()
    (arm,) = run.arms
    with RunnerLock(file), ResultStore.open(file) as store, Bar("answering") as bar, shared.open_session(
        verbose, model=Path(arm.configuration["settings"]["model"]), memory=False, learn=False, profile=False, **options
    ) as session:  # fmt: skip
        arms = {arm.name: MarkedArm(session, score, max_tokens, scratch)}
        plan = Plan(prompts=tuple(prompts), pairs=1)
        outcome = measure(run, plan, arms, store, Limits(garbage=doubt), report=bar)
    marks = {cell.prompt: (class_of(cell.task), mark_of(cell)) for cell in outcome.cells}
    classes = dict.fromkeys(one for one, _ in marks.values())
    return {
        "state": outcome.state,
        "by_class": {name: asdict(fold(made for one, made in marks.values() if one == name)) for name in classes},
        "all": asdict(fold(made for _, made in marks.values())),
        "answers": [{"prompt": prompt, **asdict(made)} for prompt, (_, made) in marks.items()],
    }


def _text(
    run: "Run", scorer: str, text: str, path: Path, against: Path | None, window: int, verbose: bool,
    options: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """A measurement on a text, of one model or of one against another, which is opened as its file says."""
    from slipstream.bench.quality import catalog
    from slipstream.bench.quality.cells import text_cell
    from slipstream.bench.runner_lock import RunnerLock
    from slipstream.bench.store import ResultStore
    from slipstream.cli import measured
    from slipstream.cli.progress import Bar
    from slipstream.engine.tokenizer import LlamaTokenizer

    files = [(against, options | {"kv_overrides": {}})] if against else []
    name, results = run.plan["text"], measured.store_file()
    with RunnerLock(results), ResultStore.open(results) as store, ExitStack() as stack, Bar("reading") as bar:
        targets = [stack.enter_context(_open(file, window, verbose, how)) for file, how in [*files, (path, options)]]
        vocabularies = [LlamaTokenizer(target.model) for target in targets]
        if len({one.fingerprint for one in vocabularies}) > 1:
            raise RequestError(
                f"{path.name} and {targets[0].options.path.name} have different vocabularies",
                hint="compare two files of one model",
            )
        tokens = vocabularies[0].encode_prompt(text)
        begin = vocabularies[0].begin_token if vocabularies[0].adds_begin else None
        started, clock = time.time(), time.perf_counter()
        found = catalog.entry(scorer).load()(*targets, tokens, window, begin=begin, report=bar)
        cell = text_cell(name, found, window, len(tokens), started, time.perf_counter() - clock)
        store.begin(run)
        store.append(run.id, replace(cell, arm=run.arms[0].name))
        store.finish(run.id, "complete")
    full = {"against": against.name} if against else {}
    return {**full, "text": name, "window": window, **asdict(found)}


def _open(path: Path, window: int, verbose: bool, options: dict[str, Any]) -> Any:
    """A target with room for a window, refused before loading where it can't work."""
    from slipstream import config
    from slipstream.assembly import Options
    from slipstream.assembly.needs import memory_needed
    from slipstream.assembly.options import model_options, require_context
    from slipstream.engine.target import LlamaTarget
    from slipstream.host import cpu, memory
    from slipstream.models.gguf import read_header

    header = read_header(path)
    given = Options(model=path, context_length=window, **options)
    opened = model_options(given, config.load(), header, cpu.read().cores)
    require_context(header, opened)
    needed = memory_needed(header, opened.context_length, output_rows=opened.output_rows)
    needed.require(memory.read().available, header.path.name)
    return LlamaTarget.open(opened, verbose=verbose)


def _table(found: dict[str, Any]) -> None:
    """Shares by task class, and why answers failed."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{found['model']}: {found['scorer']}")
    for column in ("class", "answers", "passed", "share", "95 % interval", "cut off", "garbage", "not marked"):
        table.add_column(column, justify="left" if column == "class" else "right")
    rows = found["by_class"] | ({"all": found["all"]} if len(found["by_class"]) > 1 else {})
    for name, row in rows.items():
        share = "-" if row["share"] is None else f"{100 * row['share']:.1f} %"
        interval = f"{100 * row['low']:.1f} to {100 * row['high']:.1f} %"
        counts = (row[field] for field in ("truncated", "garbage", "refused"))
        table.add_row(name, str(row["n"]), str(row["passed"]), share, interval, *map(str, counts))
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    for answer in found["answers"]:
        if answer["outcome"] != "passed":
            print(f"{answer['prompt']}: {answer['outcome']}: {answer['reason']}")


def _sentences(found: dict[str, Any]) -> None:
    """What a text says about a model, in words."""
    on = f"on {found['text']}, windows of {found['window']}"
    if found["scorer"] == "perplexity":
        print(f"{found['model']}: perplexity {_plus_minus(found)} over {found['tokens']} tokens {on}")
        return
    print(f"{found['model']} against {found['against']} over {found['tokens']} tokens {on}:")
    print(
        f"  KL divergence {found['mean']:.4g} ± {found['error']:.2g} nats a token, one in a hundred above"
        f" {found['high']:.3g}, at most {found['largest']:.3g}"
    )
    agreement, low, high = (100 * found[name] for name in ("agreement", "agreement_low", "agreement_high"))
    print(f"  the same likeliest token {agreement:.1f} % ({low:.1f} to {high:.1f} %)")
    print(f"  perplexity {_plus_minus(found['reduced'])}, of the full model {_plus_minus(found['full'])}")


def _plus_minus(perplexity: dict[str, Any]) -> str:
    return f"{perplexity['value']:.4g} ± {perplexity['error']:.2g}"
