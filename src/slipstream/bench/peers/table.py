"""A run with peers as rows: how fast, against Slipstream's plain decoding, and whether it said the same."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from slipstream.bench.cell import Arm, Cell
from slipstream.bench.claim import Claim
from slipstream.bench.compare import first_difference
from slipstream.bench.verdict import ALL

NEAR_TIE = 0.5
"""Logits. llama.cpp rounds differently for different batch widths and builds; what lies farther apart is another
answer."""

Output = Literal["same", "near-ties", "other", "none"]
Cut = Callable[[Sequence[int]], Sequence[int]]
"""What counts of an answer's tokens."""
Gap = Callable[[str, Sequence[int], int | None, int | None], float]
"""Distance of the target's logits for two tokens (None: the likeliest end token) behind a prompt, given by its id, and
the tokens that both answers begin with."""


@dataclass(frozen=True, slots=True)
class Parted:
    """Where an arm's answer to a prompt first differs from the plain one, and how far apart the two tokens' logits
    are."""

    arm: str
    prompt: str
    position: int
    gap: float


def parted(cells: Iterable[Cell], baseline: str, cut: Cut, gap: Gap) -> list[Parted]:
    """One for every arm and prompt with a difference; of several answers the first that differs."""
    plain: dict[str, Cell] = {}
    found: dict[tuple[str, str], Parted] = {}
    cells = [cell for cell in cells if cell.status != "failed"]
    for cell in cells:
        if cell.arm == baseline:
            plain.setdefault(cell.prompt, cell)
    for cell in cells:
        if cell.prompt not in plain or (cell.arm, cell.prompt) in found:
            continue
        ours, theirs = cut(plain[cell.prompt].token_ids), cut(cell.token_ids)
        at = first_difference(ours, theirs)
        if at is not None:
            pair = [tokens[at] if at < len(tokens) else None for tokens in (ours, theirs)]
            distance = gap(cell.prompt, ours[:at], pair[0], pair[1])
            found[cell.arm, cell.prompt] = Parted(cell.arm, cell.prompt, at, distance)
    return list(found.values())


def rows(
    arms: Sequence[Arm], cells: Sequence[Cell], claims: Iterable[Claim], differences: Sequence[Parted]
) -> list[dict[str, Any]]:
    """One row an arm, fastest first among those that gave the same answers; then those that said something else, then
    those that gave none."""
    overall = {claim.arm: claim for claim in claims if claim.task == ALL}
    made = []
    for arm in arms:
        if arm.role != "repeat":
            own = [cell for cell in cells if cell.arm == arm.name]
            made.append(_row(arm, own, overall.get(arm.name), [one for one in differences if one.arm == arm.name]))
    ranks: Mapping[Output, int] = {"same": 0, "near-ties": 0, "other": 1, "none": 2}
    return sorted(made, key=lambda row: (ranks[row["output"]], -(row["tokens_per_second"] or 0.0)))


def _row(arm: Arm, cells: Sequence[Cell], claim: Claim | None, differences: Sequence[Parted]) -> dict[str, Any]:
    # Where nothing counts, what our clock says of doubted cells is still shown; it has no ratio then.
    counted = [c for c in cells if c.status == "ok"] or [c for c in cells if c.status == "tainted"]
    prompts = {cell.prompt for cell in cells if cell.status != "failed"}
    timed = [cell for cell in counted if cell.engine_rate]
    return {
        "arm": arm.name,
        "peer": arm.configuration.get("peer", ""),
        "setting": arm.configuration.get("setting", arm.name),
        "tokens_per_second": _rate(counted),
        "ratio": claim and [claim.value, claim.low, claim.high],
        "verdict": claim and claim.verdict,
        "pairs": claim.pairs if claim else 0,
        "output": _output(prompts, differences),
        "prompts": len(prompts),
        "parted": [{"prompt": d.prompt, "token": d.position, "logit_gap": d.gap} for d in differences],
        "engine_tokens_per_second": _engine(timed),
        "drafted": sum(cell.figures.get("drafted", 0) for cell in counted),
        "accepted": sum(cell.figures.get("accepted", 0) for cell in counted),
        "lost": [{"prompt": c.prompt, "status": c.status, "reason": c.reason} for c in cells if c.status != "ok"],
    }


def _output(prompts: Collection[str], differences: Sequence[Parted]) -> Output:
    if not prompts:
        return "none"
    if any(one.gap >= NEAR_TIE for one in differences):
        return "other"
    return "near-ties" if differences else "same"


def _rate(cells: Sequence[Cell]) -> float | None:
    """Tokens over seconds of all cells together."""
    seconds = sum(cell.seconds for cell in cells)
    return sum(cell.tokens for cell in cells) / seconds if seconds else None


def _engine(cells: Sequence[Cell]) -> float | None:
    """The engine's own figures, weighted like ours."""
    seconds = sum(cell.tokens / cell.engine_rate for cell in cells if cell.engine_rate)
    return sum(cell.tokens for cell in cells) / seconds if seconds else None


COLUMNS = (
    "peer", "setting", "tok/s", "to plain", "95 % interval", "pairs", "same output", "drafts stood", "engine says"
)  # fmt: skip


def texts(row: Mapping[str, Any]) -> list[str]:
    """A row as text, in the order of COLUMNS. One without a rate says why instead."""
    rate, ratio, engine = row["tokens_per_second"], row["ratio"], row["engine_tokens_per_second"]
    lost = row["lost"]
    doubted = any(one["reason"].startswith("the engine claims") for one in lost)
    return [
        row["peer"],
        row["setting"],
        f"{rate:.1f}" if rate else "",
        f"{ratio[0]:.2f}x" if ratio and row["pairs"] else "",
        f"{ratio[1]:.2f} to {ratio[2]:.2f}" if ratio and row["pairs"] else "",
        str(row["pairs"] or ""),
        _same(row) if row["prompts"] else f"{lost[0]['status']}: {lost[0]['reason']}" if lost else "not measured",
        f"{row['accepted']}/{row['drafted']}" if row["drafted"] else "",
        f"{engine:.1f}{' (doubted)' if doubted else ''}" if engine else "",
    ]


def _same(row: Mapping[str, Any]) -> str:
    count = row["prompts"] - len(row["parted"])
    gap = max((one["logit_gap"] for one in row["parted"]), default=0.0)
    told = {"same": "", "near-ties": f", near-ties of {gap:.2f}", "other": f", no: {gap:.2f} apart"}
    return f"{count} of {row['prompts']}{told[row['output']]}"
