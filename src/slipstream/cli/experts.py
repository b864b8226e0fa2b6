"""`slipstream experts`: how many experts a mixture-of-experts model needs, what fewer bring, and what they cost."""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from slipstream.cli import options as shared
from slipstream.cli import paired_options as paired


def experts(
    model: Annotated[Path | None, typer.Argument(help="GGUF file. Default: the configured one.")] = None,
    counts: Annotated[str, typer.Option(help="Numbers to try, such as 6,4. Default: down to a quarter.")] = "",
    use: Annotated[
        int | None, typer.Option(help="Keep this number in the model's profile: whatever opens the model then uses it.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Allow less than a quarter of the default number.")] = False,
    prompts: Annotated[
        Path | None, typer.Option(help="JSON lines with turns or prompt, id and task. Default: the built-in set.")
    ] = None,
    task: Annotated[list[str] | None, typer.Option(help="Only this task class; may be repeated.")] = None,
    max_tokens: Annotated[int, typer.Option("--max-tokens", "-n", help="Most tokens per answer.")] = 64,
    repetitions: Annotated[int, typer.Option("--repetitions", "-r", help="Pairs per prompt.")] = 2,
    text: Annotated[
        Path | None, typer.Option(help="UTF-8 text that perplexity is measured on. Default: a short one of ours.")
    ] = None,
    score: Annotated[str, typer.Option(help="Mark the answers: exact or unit_tests; the prompts must suit.")] = "",
    no_draft: Annotated[
        bool, typer.Option("--no-draft", help="Don't probe the reduced model as a drafter of the whole one.")
    ] = False,
    headers_only: Annotated[
        bool, typer.Option("--headers-only", help="Show what the header says and which numbers are allowed.")
    ] = False,
    canary: paired.WithCanary = True,
    resume: Annotated[str, typer.Option(help="An interrupted run to go on with; the rest as it was begun.")] = "",
    as_json: paired.AsJson = False,
    threads: shared.Threads = None,
    verbose: shared.Verbose = False,
) -> int:
    """Sweep the number of experts: a load for each, speed in interleaved pairs, perplexity, divergence and answers."""
    from slipstream import config
    from slipstream.cli.experts_table import show, show_header
    from slipstream.core.errors import RequestError
    from slipstream.models import experts as known
    from slipstream.models.gguf import read_header

    settings = config.load()
    path = model or settings.model
    if path is None:
        raise RequestError("no model was named", hint="give a mixture-of-experts GGUF file")
    header = read_header(path)
    found = known.experts_of(header)
    chosen = _counts(counts, found, use)
    limits = {count: known.require(found, count, force=force) for count in chosen}
    if headers_only:
        show_header(header, found, {count: known.limit(found, count) for count in range(1, found.default + 1)}, as_json)
        return 0
    for name, number in (("--max-tokens", max_tokens), ("--repetitions", repetitions)):
        if number < 1:
            raise RequestError(f"{name} is {number}", hint="at least 1")

    from slipstream.cli.experts_work import Asked, opened

    asked = Asked(
        prompts=prompts, tasks=tuple(task or ()), max_tokens=max_tokens, repetitions=repetitions, text=text,
        score=score, draft=not no_draft, canary=canary, resume=resume, threads=threads, verbose=verbose,
    )  # fmt: skip
    with opened(header, found, chosen, asked, settings) as sweep:
        for limit in limits.values():
            if limit.verdict != "fine":
                print(f"warning: {limit.reason}", file=sys.stderr)
        outcome, run = sweep.run()
        from slipstream.bench.experts import arm_name, rows_of

        complete = outcome.state == "complete"
        rows = rows_of(found, outcome.cells, outcome.claims)
        if complete:
            drafts = sweep.drafts([row.experts for row in rows if row.experts < found.default])
            rows = rows_of(found, outcome.cells, outcome.claims, drafts)
    missing = set(chosen) - {row.experts for row in rows} if complete else set()
    kept = None
    if use is not None and complete and use not in missing:
        kept = _keep(header, found, use, rows, run.id, settings)
    value = {
        "model": header.path.name, **asdict(found), "run": run.id, "state": outcome.state, "suspect": outcome.suspect,
        "text_tokens": len(sweep.sample), "kept": kept,
    }  # fmt: skip
    if as_json:
        print(json.dumps({**value, "rows": [row.to_json() for row in rows]}))
    else:
        show(header, found, rows, value)
    for count in sorted(missing, reverse=True):
        reason = next(cell.reason for cell in outcome.cells if cell.arm == arm_name(count))
        print(f"error: nothing was measured with {count} experts: {reason}", file=sys.stderr)
    if not complete:
        print(f"interrupted; go on with the same command and --resume {run.id}", file=sys.stderr)
        return 130
    return 1 if missing else 0


def _counts(text: str, found: Any, use: int | None) -> tuple[int, ...]:
    """The default first, then downwards."""
    from slipstream.core.errors import RequestError
    from slipstream.models.experts import default_counts

    if not text:
        named = (use,) if use is not None else default_counts(found)
    else:
        try:
            named = tuple(int(one) for one in text.split(","))
        except ValueError:
            raise RequestError(f"--counts {text!r} can't be read", hint="write it as 6,4,2") from None
        named += (use,) if use is not None else ()
    return (found.default, *sorted({*named} - {found.default}, reverse=True))


def stored_profile(header: Any, settings: Any) -> tuple[Any, Any]:
    """The data root's profiles, and the one for this model, machine and build: an empty one, if there is none."""
    from slipstream.engine.build import engine_build
    from slipstream.host import cpu
    from slipstream.host.fingerprint import fingerprint
    from slipstream.models.gguf import identity
    from slipstream.profile import Key, Profile, Profiles

    key = Key(host=fingerprint(cpu.read()), engine=engine_build().build_id, model=identity(header.path))
    profiles = Profiles.open(settings.data_root.state)
    return profiles, profiles.find(key, header.path) or Profile(key=key, path=str(header.path.absolute()))


def _keep(header: Any, found: Any, count: int, rows: Sequence[Any], run: str, settings: Any) -> int:
    """Put the number into the model's profile; returns it."""
    from slipstream.bench.expert_profile import with_experts

    by_count = {row.experts: row for row in rows}
    profiles, base = stored_profile(header, settings)
    made = with_experts(base, found, by_count[count], by_count[found.default], run)
    profiles.save(replace(made, made=time.time()))
    return count
