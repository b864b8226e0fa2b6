"""The tables of `slipstream bench stack`."""

import sys
from typing import Any

ARMS = ("stack", "best single", "lookup first")
SHOWN = 4
"""Lengths of a source that the ablation table shows, the best ones."""


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
    return f"{values[0]:.2f}x ({values[1]:.2f} to {values[2]:.2f})" if values else "not run"


def _speed_ups(figures: list[dict[str, Any]]) -> tuple[str, list[str], list[list[str]]]:
    lines = [
        [
            f["model"], f["suite"], str(f["prompts"]), *(_ratio(f["speed_up"].get(arm)) for arm in ARMS),
            f"{f['single']['source']} {f['single']['length']}", _ratio(f["against_single"]),
            _ratio(f["slowest"]["ratio"]),
        ]
        for f in figures
    ]  # fmt: skip
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
