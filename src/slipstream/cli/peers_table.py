"""What `slipstream bench peers` prints, and who goes from its first prompts into its final."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from slipstream.bench.cell import Cell, Run
from slipstream.bench.pairs import pairs_of
from slipstream.bench.statistics import ratio_of
from slipstream.cli.peers_arms import OURS


def finalists(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The arm of every engine's fastest setting, over all files; one whose answers are those of plain decoding before
    any other. Rows are in that order already."""
    best: dict[str, str] = {}
    for row in rows:
        if row["tokens_per_second"]:
            best.setdefault(row["peer"], row["arm"])
    return list(best.values())


def duels(cells: Sequence[Cell], rows: Sequence[Mapping[str, Any]], ours: str) -> list[dict[str, Any]]:
    """Our arm against every other engine's fastest setting, in pairs on the same prompts."""
    found = []
    prompts = {cell.prompt for cell in cells}
    mine = {row["arm"] for row in rows if row["peer"] == OURS}
    for other in finalists(rows):
        ratios = list(pairs_of(cells, ours, other, prompts).ratios.values())
        if other not in mine and ratios:
            ratio = ratio_of(ratios)
            figures = {"ratio": ratio.value, "low": ratio.low, "high": ratio.high, "pairs": ratio.pairs}
            found.append({"arm": ours, "against": other, **figures})
    return found


def show(
    run: Run,
    rows: Sequence[Mapping[str, Any]],
    missing: Iterable[Mapping[str, str]],
    fights: Iterable[Mapping[str, Any]],
) -> None:
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
    for fight in fights:
        print(
            f"{fight['arm']} against {fight['against']}: {fight['ratio']:.2f}x ({fight['low']:.2f} to"
            f" {fight['high']:.2f}, {fight['pairs']} pairs)"
        )
    for row in rows:
        for lost in row["lost"][:1]:
            print(f"  {row['arm']}: {len(row['lost'])} cells lost, {lost['prompt']} {lost['status']}: {lost['reason']}")
