"""`slipstream compare`: is it faster here, and is the output the same?"""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from slipstream.cli import options as shared


def compare(
    prompts: Annotated[
        Path | None, typer.Argument(help="JSON lines with turns or prompt, id and task. Default: the built-in set.")
    ] = None,
    task: Annotated[list[str] | None, typer.Option(help="Only this task class; may be repeated.")] = None,
    each: Annotated[int | None, typer.Option(help="Prompts per task class.")] = None,
    max_tokens: Annotated[int, typer.Option("--max-tokens", "-n", help="Most tokens per answer.")] = 128,
    repetitions: Annotated[int, typer.Option("--repetitions", "-r", help="Pairs per prompt.")] = 2,
    draft: shared.Draft = "auto",
    draft_model: shared.DraftModel = None,
    draft_quantization: shared.DraftQuantization = "",
    draft_experts: shared.DraftExperts = 0,
    self_draft: shared.SelfDraft = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    model: shared.Model = None,
    context: shared.Context = None,
    threads: shared.Threads = None,
    experts: shared.Experts = None,
    exact: shared.Exact = False,
    profile: shared.Profile = None,
    verbose: shared.Verbose = False,
) -> int:
    """Plain decoding against drafting on the same prompts, in alternating order, from a cold start."""
    from slipstream.bench import workload
    from slipstream.core.errors import RequestError

    for name, value in (("--repetitions", repetitions), ("--each", each), ("--max-tokens", max_tokens)):
        if value is not None and value < 1:
            raise RequestError(f"{name} is {value}", hint="at least 1")
    drafters = shared.draft_choice(draft)
    chosen = workload.pick(workload.load(prompts) if prompts else workload.built_in(), task or (), each)
    with shared.open_session(
        verbose=verbose,
        model=model,
        drafters=shared.sources(drafters),
        draft_model=draft_model,
        drafter_settings=shared.drafter_settings(draft_quantization, draft_experts),
        self_draft=self_draft,
        context_length=context,
        threads=threads,
        experts=experts,
        exact=exact,
        profile=profile,
        memory=False,
        learn=False,
    ) as session:
        comparison = run(session, chosen, max_tokens, repetitions, drafters)
        if as_json:
            print(json.dumps(as_dict(session, comparison)))
        else:
            show(session, comparison)
    return 0


def run(session: Any, prompts: Any, max_tokens: int, repetitions: int, draft: Any = "auto") -> Any:
    """The comparison, with a progress bar; Ctrl-C keeps what is complete."""
    from slipstream.bench.arms import STACK, session_arms
    from slipstream.bench.compare import BASELINE, Comparison, interleave
    from slipstream.bench.table import find_divergences
    from slipstream.cli.progress import Bar
    from slipstream.control.measure import Progress

    arms = session_arms(session, max_tokens, draft=draft, clock=time.time)
    comparison = Comparison()
    total = len(prompts) * len(arms) * repetitions
    with Bar("comparing") as bar:
        try:
            for sample in interleave(prompts, arms, repetitions, session.forget):
                comparison.samples.append(sample)
                bar(Progress(len(comparison.samples), total, f"{sample.prompt.id}, {sample.arm}"))
        except KeyboardInterrupt:
            complete = {
                (s.prompt.id, s.repetition)
                for s in comparison.samples
                if sum((o.prompt.id, o.repetition) == (s.prompt.id, s.repetition) for o in comparison.samples)
                == len(arms)
            }
            comparison.samples = [s for s in comparison.samples if (s.prompt.id, s.repetition) in complete]
            print(f"interrupted: {len(comparison.samples)} of {total} generations count", file=sys.stderr)
            if not comparison.samples:
                raise
    tokens = {prompt.id: session.request(prompt.text).prompt for prompt in prompts}
    plain, ours = comparison.answers(BASELINE), comparison.answers(STACK)
    comparison.divergences = find_divergences(plain, ours, session.target, tokens)
    return comparison


def as_dict(session: Any, comparison: Any) -> dict[str, Any]:
    """Everything for programs."""
    from slipstream.bench.table import rows

    return {
        "model": session.header.path.name,
        "rows": rows(comparison),
        "divergences": [
            {"prompt": d.prompt, "position": d.position, "logit_gap": d.gap} for d in comparison.divergences
        ],
        "samples": [
            {
                "prompt": s.prompt.id,
                "arm": s.arm,
                "repetition": s.repetition,
                "tokens": len(s.tokens),
                "decode_ms": s.stats.decode_ms,
            }
            for s in comparison.samples
        ],
    }


def show(session: Any, comparison: Any) -> None:
    """The table, and what it means."""
    from rich.console import Console
    from rich.table import Table

    from slipstream.bench.table import COLUMNS, cells, rows

    table = Table(title=f"{session.header.path.name}: plain decoding against the stack")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in ("task", "drafts stood") else "right")
    found = rows(comparison)
    for row in found:
        table.add_row(*cells(row), end_section=row is found[-2], style="bold" if row is found[-1] else None)
    Console(width=None if sys.stdout.isatty() else 140).print(table)
    prompts = len(comparison.prompts())
    print("Speed-up: tokens a second of decoding, median of interleaved pairs, geometric mean over prompts.")
    if not comparison.divergences:
        print(f"Same output on all {prompts} prompts.")
        return
    same = prompts - len(comparison.divergences)
    print(f"Same output on {same} of {prompts} prompts; elsewhere they part at a near-tie:")
    for divergence in comparison.divergences:
        print(f"  {divergence.prompt}: token {divergence.position}, logits {divergence.gap:.3f} apart")
    print("llama.cpp rounds differently for different batch widths; --exact keeps to widths that agree bit for bit.")
