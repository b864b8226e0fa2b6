"""A reply as a cell: what our own clock says of it (invariant I4)."""

from slipstream.bench.cell import Cell
from slipstream.bench.peers.ports import Reply

WARM_UP_TOKENS = 8
"""Tokens generated, and not counted, before the first question is put."""


def cell_of(prompt: str, task: str, repetition: int, prompt_tokens: int, reply: Reply) -> Cell:
    """Decoding runs from the first tokens that arrived to the last ones, so the first ones aren't counted: their time
    is the prompt's. An answer that came in one piece has no rate, and failed. The weights are warm, the cache isn't."""
    first, count = reply.arrivals[0] if reply.arrivals else (0.0, 0)
    last = reply.arrivals[-1][0] if reply.arrivals else 0.0
    total = len(reply.tokens)
    why = "" if last > first else f"its {total} tokens came at once: no rate" if total else "it answered nothing"
    return Cell(
        arm="",
        prompt=prompt,
        task=task,
        repetition=repetition,
        status="failed" if why else "ok",
        reason=why,
        tokens=total - count,
        seconds=last - first,
        prefill_tokens=prompt_tokens,
        prefill_seconds=first,
        engine_rate=reply.engine_rate,
        warm=True,
        started=reply.started,
        token_ids=reply.tokens,
        figures={"answered": total, **reply.figures},
    )
