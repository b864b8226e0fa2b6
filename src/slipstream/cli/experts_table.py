"""What `slipstream experts` prints."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

EXPLAINED = """\
Speed: tokens a second of decoding against the default, interleaved pairs. KL: divergence from it, in nats a token.
Same token: how often both find the same one likeliest. As a drafter: its output is the whole model's."""
WIDE, HIGH = 56, 10
"""Characters and lines of the plot."""


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
        cells["trade"] = "" if row.speed_up is None else "best" if row.best else "beaten"
        table.add_row(*(cells[column] for column in columns), style="bold" if row.best else None)
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    print(EXPLAINED)
    print(f"Perplexity and KL: on {value['text_tokens']} tokens of text, in windows of 512 at most.")
    if picture := plot(rows):
        print(f"\n{picture}\n")
    for row in rows:
        if row.claim and row.claim.verdict not in ("faster", "slower"):
            print(f"{row.experts}: {_doubt(row.claim)}")
        if row.limit.verdict != "fine":
            print(f"{row.experts}: {row.limit.reason}")
    if value["suspect"]:
        print(f"Suspect: {value['suspect']}.")
    print(f"stored as run {value['run']}: slipstream report draws it as well")
    _conclude(header, experts, rows, value)


def plot(rows: Sequence[Any]) -> str:
    """Speed across and perplexity up, each number of experts at its place, in brackets where nothing beats it; "" where
    there are no two of them."""
    compared = [row for row in rows if row.speed_up is not None and "perplexity" in row.quality]
    points = [(row.speed_up, row.quality["perplexity"], row) for row in compared]
    if len(points) < 2:
        return ""
    (left, right), (low, high) = ((min(axis), max(axis)) for axis in list(zip(*points, strict=True))[:2])
    lines = [[" "] * (WIDE + 4) for _ in range(HIGH)]
    for speed, perplexity, row in sorted(points, key=lambda point: point[2].best):
        across = round((speed - left) / ((right - left) or 1) * (WIDE - 1))
        up = round((perplexity - low) / ((high - low) or 1) * (HIGH - 1))
        mark = f"[{row.experts}]" if row.best else f" {row.experts} "
        lines[HIGH - 1 - up][across : across + len(mark)] = mark
    labels = [f"{high:.2f}", *[""] * (HIGH - 2), f"{low:.2f}"]
    body = [f"{label:>10} |{''.join(line).rstrip()}" for label, line in zip(labels, lines, strict=True)]
    ends = f"{left:.2f}x{'speed':^{WIDE - 10}}{right:.2f}x"
    return "\n".join(["perplexity", *body, f"{'':>10} +{'-' * (WIDE + 2)}", f"{'':>11}{ends}"])


def _speed(row: Any) -> dict[str, str]:
    claim = row.claim
    cells = {
        "experts": str(row.experts),
        "tok/s": f"{row.rate:.1f}",
        "speed": "" if row.speed_up is None else f"{row.speed_up:.2f}x",
        "95 % interval": f"{claim.low:.2f} to {claim.high:.2f}" if claim and row.speed_up is not None else "",
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


def _conclude(header: Any, experts: Any, rows: Sequence[Any], value: Mapping[str, Any]) -> None:
    from slipstream.bench.reduced_draft import best_draft

    drafts = {row.experts: row.draft for row in rows if row.draft}
    if (count := best_draft(drafts)) is not None:
        print(f"As a drafter, with the whole model's output: {_draft(count, drafts[count])}.")
        print(f"    slipstream run --model {header.path} --draft-experts {count}")
    elif drafts:
        best = max(drafts, key=lambda count: drafts[count].speed_up)
        print(f"As a drafter none is predicted to pay here. The best of them, {_draft(best, drafts[best])}.")
    if value["kept"] is not None:
        (row,) = (row for row in rows if row.experts == value["kept"])
        print(f"Kept: {row.experts} experts, in the model's profile; --no-profile is without.")
        if row.experts != experts.default and (row.claim is None or row.claim.verdict != "faster"):
            print("They were not seen to be faster.")
    elif len(rows) > 1:
        print("To keep a number: slipstream experts MODEL --use N. Its output is not the whole model's.")


def _doubt(claim: Any) -> str:
    return f"{claim.verdict}: {claim.reason}" if claim.reason else str(claim.verdict)


def _draft(count: int, use: Any) -> str:
    return (
        f"{count} experts: {use.acceptance:.0%} of their tokens stand, each costs {use.cost:.2f} plain passes, "
        f"{use.speed_up:.2f}x predicted ({use.low:.2f} to {use.high:.2f}, {use.tokens} tokens)"
    )
