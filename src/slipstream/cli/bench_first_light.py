"""`slipstream bench first-light`: the figures of the README."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slipstream.cli import options as shared
from slipstream.cli import paired_options as asked

if TYPE_CHECKING:
    from slipstream.cli.benchmark import Benchmark

KIND = "first-light"


def first_light(
    data: Annotated[
        Path | None, typer.Option(help="Folder with code_edit*.jsonl and spec_bench*.jsonl. Default: the built-in set.")
    ] = None,
    model: asked.Models = None,
    exact: Annotated[
        list[Path] | None, typer.Option(help="GGUF file to compare token by token in exact mode; may be repeated.")
    ] = None,
    repetitions: Annotated[int, typer.Option("--repetitions", "-r", help="Pairs per prompt.")] = 3,
    short: asked.Short = None,
    others: asked.Others = 0.1,
    canary: asked.WithCanary = True,
    resume: asked.Resume = "",
    as_json: asked.AsJson = False,
) -> int:
    """Plain decoding, the stack and an oracle on code edits and chats: the figures of the README."""
    from slipstream.bench import first_light as bench
    from slipstream.cli import benchmark
    from slipstream.models.embedded import embedded_model

    def request() -> dict[str, Any]:
        common = benchmark.asked_of_both(data, repetitions, short, others, canary)
        bench.suites(data)
        models = model or ([] if exact else [embedded_model()])
        return {
            "models": [benchmark.settings_of(path)["model"] for path in models],
            "exact": [benchmark.settings_of(path, exact=True)["model"] for path in exact or ()],
            **common,
        }

    return benchmark.perform(KIND, resume, request, _work, show, as_json=as_json)


def _work(benchmark: "Benchmark", report: dict[str, Any]) -> None:
    from slipstream.bench import first_light as bench
    from slipstream.bench.schedule import default_checks
    from slipstream.cli.benchmark import divergences, settings_of

    given = benchmark.asked
    data, pairs = Path(given["data"]) if given["data"] else None, given["repetitions"]
    suites, exact_suite = bench.suites(data), bench.exact_suite(data)
    if given["short"]:
        suites = [bench.short(suite, given["short"]) for suite in suites]
        exact_suite = bench.short(exact_suite, 2 * given["short"])
    report.update({"figures": [], "exact": [], "replay": []})
    for model in given["models"]:
        settings = settings_of(Path(model))
        with benchmark.stage(settings) as stage:
            parts = {
                suite.name: benchmark.measure(
                    benchmark.held(model, suite.name)
                    or benchmark.new(suite, bench.arms(suite, settings), pairs, default_checks(pairs)),
                    stage,
                )
                for suite in suites
            }
            edits, chats = parts[bench.EDITS], parts[bench.CHATS]
            found = bench.figures(Path(model).name, edits.cells, chats.cells)
            found["divergences"] = [apart for part in (edits, chats) for apart in divergences(part, stage)]
            report["figures"].append(found | {"curve": benchmark.ratios(edits.run)})
    for model in given["exact"]:
        settings = settings_of(Path(model), exact=True)
        with benchmark.stage(settings) as stage:
            arms = bench.exact_arms(exact_suite, settings)
            run = benchmark.held(model, exact_suite.name) or benchmark.new(exact_suite, arms, 1)
            cost = shared.exact_cost(stage.session)
            cells = benchmark.measure(run, stage).cells
            report["exact"].append(bench.exact_figures(Path(model).name, cells) | {"cost": cost})
    if data is not None:
        report["replay"] = replayed(sorted(data.glob("*_replay*.jsonl")), Path([*given["models"], *given["exact"]][0]))


def replayed(files: list[Path], model: Path) -> list[dict[str, Any]]:
    """Recorded answers through the free drafters; only the model's tokenizer is loaded."""
    from slipstream.bench.replay import replay_report
    from slipstream.engine.tokenizer import open_tokenizer

    return [asdict(row) for row in replay_report(files, open_tokenizer(model))]


def show(report: dict[str, Any]) -> None:
    """Print all tables."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 150)
    for title, headings, lines in tables(report):
        from rich.table import Table

        table = Table(*headings, title=title)
        for line in lines:
            table.add_row(*line)
        console.print(table)


def tables(report: dict[str, Any]) -> list[tuple[str, list[str], list[list[str]]]]:
    """(title, headings, rows) of a report's tables."""

    def ratio(values: list[float] | None) -> str:
        return f"{values[0]:.2f}x ({values[1]:.2f} to {values[2]:.2f})" if values else "nothing counts"

    result = []
    if report["figures"]:
        figures = report["figures"]
        lines = [
            ["code edits", *(ratio(f["edits"]) for f in figures)],
            ["chats", *(ratio(f["chats"]) for f in figures)],
            ["slowest prompt", *(ratio(f["slowest"] and f["slowest"]["ratio"]) for f in figures)],
            ["oracle on edits", *(ratio(f["oracle"]) for f in figures)],
            ["share of the oracle", *(ratio(f["share_of_oracle"]).replace("x", "") for f in figures)],
            ["policy and drafting, ms a round (median)", *(_said("{deciding_ms_median:.3f}", f) for f in figures)],
            [
                "all but the target pass, median (all)",
                *(_said("{all_but_target_median:.1%} ({all_but_target:.1%})", f) for f in figures),
            ],
            ["prompts that part, largest logit gap", *(_parted(f) for f in figures)],
            ["r[4], r[16], r[64]", *(", ".join(str(f["curve"][n]) for n in ("4", "16", "64")) for f in figures)],
        ]
        result.append(("first light", ["", *(f["model"] for f in figures)], lines))
    if report["exact"]:
        lines = [
            [e["model"], str(e["prompts"]), str(e["tokens"]), str(len(e["differing"])), ratio(e["speed_up"]), e["cost"]]
            for e in report["exact"]
        ]
        result.append(("exact mode", ["model", "prompts", "tokens", "differ", "speed-up within it", "cost"], lines))
    if report["replay"]:
        lines = [
            [
                r["file"], r["phase"], r["drafter"], str(r["tokens"]), f"{r['tokens_per_round']:.2f}",
                f"{r['drafted_per_token']:.2f}", f"{r['microseconds_per_token']:.0f}",
            ]
            for r in report["replay"]
        ]  # fmt: skip
        headings = ["file", "trials", "drafter", "tokens", "tokens/round", "drafted/token", "us/token"]
        result.append(("replay without a model, drafts of at most 16", headings, lines))
    return result


def _parted(figures: dict[str, Any]) -> str:
    gaps = [d["logit_gap"] for d in figures["divergences"]]
    return f"{len(gaps)} of {figures['prompts']}, {max(gaps):.3f}" if gaps else f"0 of {figures['prompts']}"


def _said(text: str, figures: dict[str, Any]) -> str:
    """Figures of rounds in words; there are none if no cell of the stack counts."""
    return text.format(**figures).replace("%", " %") if figures["all_but_target"] is not None else "nothing counts"
