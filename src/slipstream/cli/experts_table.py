"""What `slipstream experts` prints."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

EXPLAINED = """\
Speed: tokens a second of decoding against the default, interleaved pairs. KL: divergence from it, in nats a token.
Same token: how often both find the same one likeliest. As a drafter: its output is the whole model's."""


def show_header(header: Any, experts: Any, limits: Mapping[int, Any], as_json: bool) -> None:
    """What the file says, and which numbers may be used."""
    if as_json:
        rows = [{"experts": n, "verdict": one.verdict, "reason": one.reason} for n, one in limits.items()]
        value = {name: getattr(experts, name) for name in ("key", "default", "total", "shared")}
        print(json.dumps({"model": header.path.name, **value, "limits": rows}))
        return
    shared = f", and {experts.shared} that all tokens use" if experts.shared else ""
    print(f"{header.path.name}: {experts.default} of {experts.total} experts a token{shared} ({experts.key})")
    for verdict in ("fine", "warned", "blocked"):
        counts = [count for count, limit in limits.items() if limit.verdict == verdict]
        if counts:
            reach = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else str(counts[0])
            print(f"{verdict:<8} {reach}")


def show(header: Any, experts: Any, rows: Sequence[Any], value: Mapping[str, Any]) -> None:
    """The table, and what follows from it."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{header.path.name}: {experts.default} of {experts.total} experts a token by default")
    drafts, marked = any(row.draft for row in rows), any("score" in row.quality for row in rows)
    columns = ["experts", "tok/s", "speed", "95 % interval", "perplexity", "KL", "same token", "answer", "ended"]
    columns += ["garbage"] * any(row.garbage for row in rows) + ["score"] * marked
    columns += ["as a drafter"] * drafts + ["trade"]
    for column in columns:
        table.add_column(column, justify="left" if column in ("as a drafter", "trade") else "right")
    for row in rows:
        cells = dict.fromkeys(columns, "")
        cells |= _speed(row) | _quality(row)
        cells["trade"] = "best" if row.best else "beaten"
        table.add_row(*(cells[column] for column in columns), style="bold" if row.best else None)
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    print(EXPLAINED)
    for row in rows:
        if row.limit.verdict != "fine":
            print(f"{row.experts}: {row.limit.reason}")
    print(f"stored as run {value['run']}: slipstream report shows it as a plot")
    _conclude(header, rows, value)


def _speed(row: Any) -> dict[str, str]:
    claim = row.claim
    cells = {
        "experts": str(row.experts),
        "tok/s": f"{row.rate:.1f}",
        "speed": f"{row.speed_up:.2f}x",
        "95 % interval": f"{claim.low:.2f} to {claim.high:.2f}" if claim else "",
        "answer": f"{row.tokens:.0f} tokens",
        "ended": f"{row.finished:.0%}",
        "garbage": f"{row.garbage:.0%}",
    }
    if row.draft:
        cells["as a drafter"] = f"{row.draft.acceptance:.0%} at {row.draft.cost:.2f}: {row.draft.speed_up:.2f}x"
    return cells


def _quality(row: Any) -> dict[str, str]:
    forms = {
        "perplexity": ("perplexity", "{:.2f}"),
        "divergence": ("KL", "{:.3f}"),
        "agreement": ("same token", "{:.0%}"),
        "score": ("score", "{:.0%}"),
    }
    return {title: form.format(row.quality[name]) for name, (title, form) in forms.items() if name in row.quality}


def _conclude(header: Any, rows: Sequence[Any], value: Mapping[str, Any]) -> None:
    from slipstream.bench.reduced_draft import best_draft

    drafts = {row.experts: row.draft for row in rows if row.draft}
    if (count := best_draft(drafts)) is not None:
        use = f"slipstream run --model {header.path} --draft-experts {count}"
        print(f"Same output, {drafts[count].speed_up:.2f}x predicted: {use}")
    elif drafts:
        print("As a drafter of the whole model none of them is predicted to pay here.")
    if value["kept"] is not None:
        print(f"Kept: {value['kept']} experts in the model's profile; slipstream run, compare and serve use them.")
    elif len(rows) > 1:
        print("To keep a number: slipstream experts MODEL --use N. Its output is not the whole model's.")
