"""`slipstream bench quality`: are the answers right, is the model still itself?"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from slipstream.cli import options as shared
from slipstream.core.errors import RequestError


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
) -> None:
    """Score a model's own greedy answers, or measure it on a text."""
    from slipstream.bench.quality import catalog

    reads = catalog.entry(scorer).reads
    for name, value in (("--each", each), ("--max-tokens", max_tokens)):
        if value is not None and value < 1:
            raise RequestError(f"{name} is {value}", hint="at least 1")
    if (reads == "two models") != (against is not None):
        raise RequestError(
            f"{scorer} measures {'one model against another' if against is None else 'one model alone'}",
            hint="name the full model's file with --against" if against is None else "leave out --against",
        )
    options = {"threads": threads, "kv_overrides": shared.overrides(override_kv), "drafters": ()}
    if reads == "answers":
        from slipstream.bench.workload import built_in, load, pick

        prompts = pick(catalog.suited(scorer, load(workload) if workload else built_in()), task or (), each)
        found = _answers(scorer, prompts, max_tokens, verbose, model=model, **options)
        show = _table
    elif workload is None:
        raise RequestError(f"{scorer} needs a text", hint="name a UTF-8 file with --workload")
    else:
        found = _text(scorer, workload, model, against, window, verbose, options)
        show = _sentences
    if as_json:
        print(json.dumps(found))
    else:
        show(found)


def _answers(scorer: str, prompts: Sequence[Any], max_tokens: int, verbose: bool, **options: Any) -> dict[str, Any]:
    """Greedy answers without drafts, marked one by one."""
    from dataclasses import asdict

    from slipstream import config
    from slipstream.bench.quality import catalog
    from slipstream.bench.quality.marks import fold, mark
    from slipstream.bench.task_classes import class_of
    from slipstream.cli.progress import Bar
    from slipstream.control.measure import Progress

    score, scratch = catalog.entry(scorer).load(), config.load().data_root.tmp
    marks = {}
    with shared.open_session(verbose=verbose, memory=False, learn=False, **options) as session, Bar("answering") as bar:
        raw = not session.header.has_chat_template
        for done, prompt in enumerate(prompts):
            bar(Progress(done, len(prompts), prompt.id))
            said = session.generate(prompt.text, raw=raw, max_tokens=max_tokens, draft="off", remember=False)
            marks[prompt] = mark(score, prompt, said.text, said.tokens, max_tokens, said.finish, scratch)
        name = session.header.path.name
    classes = dict.fromkeys(class_of(prompt.task) for prompt in prompts)
    by_class = {one: fold(made for prompt, made in marks.items() if class_of(prompt.task) == one) for one in classes}
    return {
        "model": name,
        "scorer": scorer,
        "by_class": {one: asdict(quality) for one, quality in by_class.items()},
        "all": asdict(fold(marks.values())),
        "answers": [{"prompt": prompt.id, **asdict(made)} for prompt, made in marks.items()],
    }


def _text(
    scorer: str,
    workload: Path,
    model: Path | None,
    against: Path | None,
    window: int,
    verbose: bool,
    options: dict[str, Any],
) -> dict[str, Any]:
    """A measurement on a text, of one model or of one against another, which is opened as its file says."""
    from contextlib import ExitStack
    from dataclasses import asdict

    from slipstream import config
    from slipstream.bench.quality import catalog
    from slipstream.cli.progress import Bar
    from slipstream.engine.tokenizer import LlamaTokenizer
    from slipstream.models.embedded import embedded_model

    text = shared.read_text(workload, "text")
    path = model or config.load().model or embedded_model()
    files = [(against, options | {"kv_overrides": {}})] if against else []
    with ExitStack() as stack, Bar("reading") as bar:
        targets = [stack.enter_context(_open(file, window, verbose, how)) for file, how in [*files, (path, options)]]
        vocabularies = [LlamaTokenizer(target.model) for target in targets]
        if len({one.fingerprint for one in vocabularies}) > 1:
            raise RequestError(
                f"{path.name} and {targets[0].options.path.name} have different vocabularies",
                hint="compare two files of one model",
            )
        tokens = vocabularies[0].encode_prompt(text)
        begin = vocabularies[0].begin_token if vocabularies[0].adds_begin else None
        found = catalog.entry(scorer).load()(*targets, tokens, window, begin=begin, report=bar)
    full = {"against": against.name} if against else {}
    return {"model": path.name, "scorer": scorer, **full, "text": workload.name, "window": window, **asdict(found)}


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
