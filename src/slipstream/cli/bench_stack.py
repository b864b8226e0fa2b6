"""`slipstream bench stack`: what each way to draft brings on this machine."""

import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slipstream.cli import options as shared
from slipstream.cli import paired_options as asked
from slipstream.core.errors import SlipstreamError, UnknownName

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slipstream.bench.cell import Cell, Run
    from slipstream.bench.first_light import Suite
    from slipstream.bench.session_arm import Stage
    from slipstream.cli.benchmark import Benchmark

KIND = "stack"
ARMS = ("stack", "best single", "lookup first")
ANSWERS, SLOWEST = "answers", "slowest"
"""Runs beside the one of a suite: what the model says plainly, and the slowest prompts measured again."""
SHOWN = 4
"""Lengths of a source that the ablation table shows, the best ones."""


def stack(
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with humaneval*, code_edit* and spec_bench*.jsonl. Default: the built-in set."),
    ] = None,
    model: asked.Models = None,
    draft_model: shared.DraftModel = None,
    draft_quantization: shared.DraftQuantization = "",
    repetitions: Annotated[int, typer.Option("--repetitions", "-r", help="Rounds through all prompts.")] = 2,
    suite: Annotated[list[str] | None, typer.Option(help="Only this suite; may be repeated.")] = None,
    short: asked.Short = None,
    others: asked.Others = 0.1,
    canary: asked.WithCanary = True,
    resume: asked.Resume = "",
    as_json: asked.AsJson = False,
) -> int:
    """The whole stack against plain decoding, the best single source and a fixed order, with an ablation table."""
    from slipstream.bench import stack as bench
    from slipstream.cli import benchmark
    from slipstream.models.embedded import embedded_model

    def request() -> dict[str, Any]:
        common = benchmark.asked_of_both(data, repetitions, short, others, canary)
        known = [one.name for one in bench.suites(data)]
        for name in suite or ():
            if name not in known:
                raise UnknownName("suite", name, known)
        drafts = {
            "draft_model": str(draft_model.absolute()) if draft_model else "",
            "drafter_settings": shared.drafter_settings(draft_quantization),
        }
        return {
            "models": [benchmark.settings_of(path, **drafts)["model"] for path in model or [embedded_model()]],
            "drafts": drafts,
            "suites": list(suite or known),
            **common,
        }

    return benchmark.perform(KIND, resume, request, _work, show, as_json=as_json)


def _work(benchmark: "Benchmark", report: dict[str, Any]) -> None:
    from slipstream.bench import stack as bench
    from slipstream.bench.first_light import short
    from slipstream.cli.benchmark import settings_of

    given = benchmark.asked
    suites = [
        one for one in bench.suites(Path(given["data"]) if given["data"] else None) if one.name in given["suites"]
    ]
    if given["short"]:
        suites = [short(one, given["short"]) for one in suites]
    report.update({"figures": [], "curves": {}})
    for model in given["models"]:
        settings = settings_of(Path(model), **given["drafts"])
        with benchmark.stage(settings) as stage:
            curve, prices = stage.session.keep.curve, stage.session.loop.policy.prices
            steps = {name: round(price.step(64, curve.costs(64)[1]), 3) for name, price in prices.items()}
            for one in suites:
                found, run = _measured(benchmark, settings, one, stage)
                report["figures"].append(found)
                report["curves"].setdefault(Path(model).name, {"ratios": benchmark.ratios(run), "draft_step": steps})


def _measured(
    benchmark: "Benchmark", settings: dict[str, Any], suite: "Suite", stage: "Stage"
) -> tuple[dict[str, Any], "Run"]:
    """Figures of a model on a suite, and the run behind them: the model's answers, which choose the best single source;
    then all arms; then the slowest prompts again."""
    from slipstream.bench import cell_figures
    from slipstream.bench import stack as bench
    from slipstream.bench.ablation import Single
    from slipstream.bench.compare import BASELINE
    from slipstream.bench.schedule import default_checks
    from slipstream.cli.benchmark import divergences

    model, pairs = settings["model"], benchmark.asked["repetitions"]
    first = benchmark.measure(
        benchmark.held(model, suite.name, ANSWERS)
        or benchmark.new(suite, bench.slow_arms(suite, settings)[:1], 1, part=ANSWERS),
        stage,
    )
    suite = replace(suite, prompts=first.prompts)
    run: Run | None = benchmark.held(model, suite.name)
    if run is None:
        answers = cell_figures.answers(first.cells, BASELINE)
        if not answers:
            raise SlipstreamError(
                f"{Path(model).name} answered no prompt of {suite.name}",
                hint=f"see slipstream bench show {first.run.id}",
            )
        singles = bench.ablate(stage.session, suite.prompts, answers, time.perf_counter)
        arms = bench.arms(suite, settings, singles[0], order=bench.DRAFT in stage.session.loop.paid)
        run = benchmark.new(suite, arms, pairs, default_checks(pairs), ablation=[asdict(single) for single in singles])
    whole = benchmark.measure(run, stage)
    slow = replace(suite, prompts=bench.slowest(suite, whole.cells))
    again: Sequence[Cell] = ()
    if slow.prompts:
        held = benchmark.held(model, suite.name, SLOWEST)
        more = bench.PAIRS, default_checks(bench.PAIRS)
        new = held or benchmark.new(slow, bench.slow_arms(slow, settings), *more, part=SLOWEST)
        again = benchmark.measure(new, stage).cells
    singles = [Single(**row) for row in run.plan["ablation"]]
    found = bench.figures(Path(model).name, suite, whole.cells, again, singles)
    return found | {"divergences": divergences(whole, stage)}, run


def show(report: dict[str, Any]) -> None:
    """Print all tables."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 170)
    for title, headings, lines in tables(report):
        table = Table(*headings, title=title)
        for line in lines:
            table.add_row(*line)
        console.print(table)


def tables(report: dict[str, Any]) -> list[tuple[str, list[str], list[list[str]]]]:
    """(title, headings, rows) of a report's tables."""
    return [_speed_ups(report["figures"]), _conditions(report), _ablation(report["figures"]), _tasks(report["figures"])]


def _ratio(values: list[float] | None) -> str:
    return f"{values[0]:.2f}x ({values[1]:.2f} to {values[2]:.2f})" if values else "nothing counts"


def _speed_ups(figures: list[dict[str, Any]]) -> tuple[str, list[str], list[list[str]]]:
    lines = [
        [
            f["model"],
            f["suite"],
            str(f["prompts"]),
            *(_ratio(f["speed_up"][arm]) if arm in f["speed_up"] else "not run" for arm in ARMS),
            f"{f['single']['source']} {f['single']['length']}",
            _ratio(f["against_single"]),
            _ratio(f["slowest"] and f["slowest"]["ratio"]),
        ]
        for f in figures
    ]
    headings = ["model", "suite", "prompts", *ARMS, "single", "stack against it", "slowest prompt"]
    return "against plain decoding, greedy, interleaved", headings, lines


def _conditions(report: dict[str, Any]) -> tuple[str, list[str], list[list[str]]]:
    lines = []
    for f in report["figures"]:
        curve = report["curves"][f["model"]]
        sources = ", ".join(f"{name} {stood}/{drafted}" for name, (stood, drafted) in f["sources"].items())
        gaps = [d["logit_gap"] for d in f["divergences"]]
        lines.append(
            [
                f["model"], f["suite"], f"{f['tokens_per_round']['stack']:.2f}", sources,
                f"{100 * f['drafting_share']:.0f} %", ", ".join(str(curve["ratios"][n]) for n in ("4", "16", "64")),
                ", ".join(f"{name} {step}" for name, step in curve["draft_step"].items()),
                f"{len(gaps)}, {max(gaps):.3f}" if gaps else "0",
            ]
        )  # fmt: skip
    headings = [
        "model", "suite", "tokens/round", "drafts stood", "in draft models", "r[4], r[16], r[64]", "a draft token",
        "parted, largest gap",
    ]  # fmt: skip
    return "what the stack did", headings, lines


def _ablation(figures: list[dict[str, Any]]) -> tuple[str, list[str], list[list[str]]]:
    lines = []
    for f in figures:
        by_source: dict[str, list[dict[str, Any]]] = {}
        for single in f["ablation"]:
            by_source.setdefault(single["source"], []).append(single)
        for source, singles in by_source.items():
            best = ", ".join(f"{s['length']}: {s['speed_up']:.2f}x" for s in singles[:SHOWN])
            lines.append([f["model"], f["suite"], source, best, f"{singles[0]['tokens_per_round']:.2f}"])
    headings = [
        "model",
        "suite",
        "source alone",
        "best fixed lengths, replayed with the measured curve",
        "tokens/round",
    ]
    return "single sources", headings, lines


def _tasks(figures: list[dict[str, Any]]) -> tuple[str, list[str], list[list[str]]]:
    lines = [[f["model"], task, _ratio(ratio)] for f in figures for task, ratio in f["by_task"].items()]
    return "the stack by task", ["model", "task", "speed-up"], lines
