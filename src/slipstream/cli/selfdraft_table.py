"""What `slipstream selfdraft` prints."""

import json
import sys
from collections.abc import Sequence
from typing import Any

EXPLAINED = """\
Agreement: the full model's likeliest token, on text that the search did not see. Perplexity: against the full model's.
Cost: a draft pass against a plain one. Expected: speed with drafts of that length, from measured passes, not timed."""


def show(name: str, found: Sequence[Any], as_json: bool) -> None:
    """Sets that were found."""
    if as_json:
        print(json.dumps({"model": name, "found": [item.to_json() for item in found]}))
        return
    if not found:
        print(f"Nothing was found for {name} yet.")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{name}: sub-layers left out, and how often the rest agrees")
    for title in ("task", "method", "left out", "attention", "feed-forward"):
        table.add_column(title)
    for title in ("agreement", "perplexity", "cost", "draft", "expected"):
        table.add_column(title, justify="right", no_wrap=True)
    for item in found:
        table.add_row(
            item.task,
            item.method,
            f"{len(item.skip)} ({item.ratio:.0%})",
            " ".join(map(str, item.skip.attention)),
            " ".join(map(str, item.skip.feed_forward)),
            f"{item.held_out:.1%}",
            f"{item.perplexity_ratio:.2f}x",
            f"{item.cost:.2f}",
            str(item.length),
            f"{item.speedup:.2f}x",
        )
    Console(width=None if sys.stdout.isatty() else 140).print(table)
    print(EXPLAINED)
    if max(item.speedup for item in found) <= 1:
        print("None of them is expected to be faster than plain decoding here: other draft sources serve better.")
    for item in found:
        if item.file:
            print(f"{item.task}, {item.method}: {item.file}")


def show_self_test(name: str, tested: Any, as_json: bool) -> None:
    """That the path works, and what each block is worth."""
    if as_json:
        print(json.dumps({"model": name, **{key: getattr(tested, key) for key in tested.__slots__}}))
        return
    print(f"{name}: nothing skipped: {tested.nothing:.1%} of {tested.tokens} predictions as in the full model;")
    print(f"all middle blocks skipped: {tested.everything:.1%}; one block skipped:")
    for block, agreement in tested.blocks.items():
        print(f"  {block:3}  {agreement:6.1%}  {'▇' * round(40 * agreement)}")
    if tested.near_ties:
        print(f"{tested.near_ties} predictions are near-ties that a pass of another width orders differently.")
