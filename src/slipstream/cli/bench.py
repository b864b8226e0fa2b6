"""`slipstream bench`: measurements that can be published, each stored with its conditions."""

import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from slipstream.cli import bench_baseline, bench_compare, bench_peers, bench_store, bench_sweep
from slipstream.cli import options as shared
from slipstream.cli.quality import quality
from slipstream.core.errors import RequestError

app = typer.Typer(
    rich_markup_mode=None, add_completion=False, no_args_is_help=True, help="Measurements that can be published."
)


@app.command("first-light")
def first_light(
    data: Annotated[
        Path | None, typer.Option(help="Folder with code_edit*.jsonl and spec_bench*.jsonl. Default: the built-in set.")
    ] = None,
    model: Annotated[list[Path] | None, typer.Option("--model", "-m", help="GGUF file; may be repeated.")] = None,
    exact: Annotated[
        list[Path] | None, typer.Option(help="GGUF file to compare token by token in exact mode; may be repeated.")
    ] = None,
    repetitions: Annotated[int, typer.Option("--repetitions", "-r", help="Pairs per prompt.")] = 3,
    resume: Annotated[Path | None, typer.Option(help="Folder of an interrupted run to go on with.")] = None,
    short: Annotated[int | None, typer.Option(help="Only this many prompts of each suite.")] = None,
) -> None:
    """Plain decoding, the stack and an oracle on code edits and chats: the figures of the README."""
    from slipstream import config
    from slipstream.bench import first_light as bench
    from slipstream.bench.record import RunRecord
    from slipstream.models.embedded import embedded_model
    from slipstream.storage.files import write_atomic

    if data is not None and not data.is_dir():
        raise RequestError(f"there is no folder {data}", hint="name the folder of the workload files with --data")
    for name, value in (("--repetitions", repetitions), ("--short", short)):
        if value is not None and value < 1:
            raise RequestError(f"{name} is {value}", hint="at least 1")
    chosen = bench.suites(data)
    exact_suite = bench.exact_suite(data)
    if short:
        chosen, exact_suite = [bench.short(suite, short) for suite in chosen], bench.short(exact_suite, 2 * short)
    models = model or ([] if exact else [embedded_model()])
    root = config.load().data_root
    record = RunRecord(resume or root.results / time.strftime("first-light-%Y%m%d-%H%M%S"))
    if resume is None:
        record.begin(_conditions([*models, *(exact or [])], repetitions))
    else:
        repetitions = record.conditions["repetitions"]
    report: dict[str, Any] = {"figures": [], "exact": [], "replay": []}
    for path in models:
        with _session(path) as session:
            for suite in chosen:
                bench.measure(session, path.name, suite, repetitions, record, time.time, _say)
            found = bench.figures(record, path.name)
            apart = [d for suite in chosen for d in bench.divergences(session, record, suite, path.name)]
            found["divergences"] = [{"prompt": d.prompt, "token": d.position, "logit_gap": d.gap} for d in apart]
            found["curve"] = {str(n): round(session.keep.curve.ratio(n), 2) for n in (2, 4, 8, 16, 32, 64)}
            report["figures"].append(found)
    for path in exact or []:
        with _session(path, exact=True) as session:
            bench.measure(session, path.name, exact_suite, 1, record, time.time, _say)
            report["exact"].append(bench.exact_figures(record, path.name) | {"cost": shared.exact_cost(session)})
    if data is not None:
        report["replay"] = _replay(sorted(data.glob("*_replay*.jsonl")), (models or exact or [embedded_model()])[0])
    write_atomic(record.folder / "report.json", json.dumps(report, indent=1) + "\n")
    _show(report)
    print(f"stored in {record.folder}")


@app.command("stack")
def stack(
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with humaneval*, code_edit* and spec_bench*.jsonl. Default: the built-in set."),
    ] = None,
    model: Annotated[list[Path] | None, typer.Option("--model", "-m", help="GGUF file; may be repeated.")] = None,
    draft_model: shared.DraftModel = None,
    draft_quantization: shared.DraftQuantization = "",
    repetitions: Annotated[int, typer.Option("--repetitions", "-r", help="Rounds through all prompts.")] = 2,
    suite: Annotated[list[str] | None, typer.Option(help="Only this suite; may be repeated.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Folder of an interrupted run to go on with.")] = None,
    short: Annotated[int | None, typer.Option(help="Only this many prompts of each suite.")] = None,
) -> None:
    """The whole stack against plain decoding, the best single source and a fixed order, with an ablation table."""
    from slipstream import config
    from slipstream.bench import stack as bench
    from slipstream.bench.first_light import short as shortened
    from slipstream.bench.record import RunRecord
    from slipstream.cli.bench_stack import show
    from slipstream.core.errors import UnknownName
    from slipstream.models.embedded import embedded_model
    from slipstream.storage.files import write_atomic

    if data is not None and not data.is_dir():
        raise RequestError(f"there is no folder {data}", hint="name the folder of the workload files with --data")
    for name, value in (("--repetitions", repetitions), ("--short", short)):
        if value is not None and value < 1:
            raise RequestError(f"{name} is {value}", hint="at least 1")
    known = bench.suites(data)
    for name in suite or ():
        if name not in [one.name for one in known]:
            raise UnknownName("suite", name, [one.name for one in known])
    chosen = [shortened(one, short) if short else one for one in known if not suite or one.name in suite]
    models = model or [embedded_model()]
    root = config.load().data_root
    record = RunRecord(resume or root.results / time.strftime("stack-%Y%m%d-%H%M%S"))
    if resume is None:
        record.begin(_conditions([*models, *([draft_model] if draft_model else [])], repetitions))
    else:
        repetitions = record.conditions["repetitions"]
    report: dict[str, Any] = {"figures": [], "curves": {}}
    for path in models:
        given = shared.drafter_settings(draft_quantization)
        with _session(path, draft_model=draft_model, drafter_settings=given) as session:
            curve, prices = session.keep.curve, session.loop.policy.prices
            report["curves"][path.name] = {
                "ratios": {str(n): round(curve.ratio(n), 2) for n in (2, 4, 8, 16, 32, 64)},
                "draft_step": {name: round(price.step(64, curve.costs(64)[1]), 3) for name, price in prices.items()},
            }
            for one in chosen:
                answers = bench.answers(session, path.name, one, record, time.time, _say)
                singles = bench.ablate(session, one, answers, time.perf_counter)
                bench.measure(session, path.name, one, singles[0], repetitions, record, time.time, _say)
                bench.measure_slowest(session, path.name, one, record, time.time, _say)
                report["figures"].append(bench.figures(session, record, path.name, one, singles))
    write_atomic(record.folder / "report.json", json.dumps(report, indent=1) + "\n")
    show(report)
    print(f"stored in {record.folder}")


@app.command("replay")
def replay(
    files: Annotated[list[Path], typer.Argument(help="JSON lines of recorded answers: messages, or response.")],
    model: shared.Model = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Replay recorded answers through the free drafters; only the model's tokenizer is loaded."""
    from slipstream.models.embedded import embedded_model

    rows = _replay(files, model or embedded_model())
    if as_json:
        print(json.dumps(rows))
    else:
        _show({"figures": [], "exact": [], "replay": rows})


app.command("compare")(bench_compare.compare)
app.command("sweep")(bench_sweep.sweep)
app.command("baseline")(bench_baseline.baseline)
app.command("peers")(bench_peers.peers)
app.command("quality")(quality)
for _name, _command in bench_store.COMMANDS.items():
    app.command(_name)(_command)


def _session(path: Path, **options: Any) -> Any:
    """From a cold start: nothing learnt or tuned before counts, and the curve is that of the machine as it is now."""
    cold = {"memory": False, "learn": False, "profile": False, "remeasure": True}
    return shared.open_session(model=path, context_length=4096, **cold, **options)


def _say(what: str) -> None:
    print(f"\r\033[K{what}" if sys.stderr.isatty() else what, end="" if sys.stderr.isatty() else "\n", file=sys.stderr)


def _conditions(models: list[Path], repetitions: int) -> dict[str, Any]:
    from slipstream import __version__
    from slipstream.engine.build import engine_build
    from slipstream.host import cpu, memory
    from slipstream.models.gguf import identity

    processor, build = cpu.read(), engine_build()
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "slipstream": __version__,
        "engine": build.build_id,
        "system_info": build.system_info,
        "cpu": processor.model,
        "cores": processor.cores,
        "cores_reason": processor.reason,
        "memory_available": memory.read().available,
        "load": os.getloadavg(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "models": {path.name: identity(path) for path in models},
        "arguments": sys.argv[1:],
        "repetitions": repetitions,
        "clock": "time.perf_counter around every step; decode only, prompts' KV shared by the arms of a prompt",
    }


def _replay(files: list[Path], model: Path) -> list[dict[str, Any]]:
    from dataclasses import asdict

    from slipstream.bench.replay import replay_report
    from slipstream.engine.tokenizer import open_tokenizer

    return [asdict(row) for row in replay_report(files, open_tokenizer(model))]


def _show(report: dict[str, Any]) -> None:
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

    def ratio(values: list[float]) -> str:
        return f"{values[0]:.2f}x ({values[1]:.2f} to {values[2]:.2f})"

    result = []
    if report["figures"]:
        figures = report["figures"]
        lines = [
            ["code edits", *(ratio(f["edits"]) for f in figures)],
            ["chats", *(ratio(f["chats"]) for f in figures)],
            ["slowest prompt", *(ratio(f["slowest"]["ratio"]) for f in figures)],
            ["oracle on edits", *(ratio(f["oracle"]) for f in figures)],
            ["share of the oracle", *(ratio(f["share_of_oracle"]).replace("x", "") for f in figures)],
            ["policy and drafting, ms a round (median)", *(f"{f['deciding_ms_median']:.3f}" for f in figures)],
            [
                "all but the target pass, median (all)",
                *(f"{100 * f['all_but_target_median']:.1f} % ({100 * f['all_but_target']:.1f} %)" for f in figures),
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
