"""What quality is in the result store: a cell for every marked answer, or one for all windows of a text."""

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from slipstream.bench.cell import Cell
from slipstream.bench.quality.divergence import Divergence
from slipstream.bench.quality.marks import Mark, Scorer, mark
from slipstream.bench.quality.perplexity import Perplexity
from slipstream.bench.schedule import Block
from slipstream.bench.workload import Prompt
from slipstream.core.stats import Stats

TEXT = "text"
"""The task of a cell that read a text and answered nothing."""


class MarkedArm:
    """Greedy answers of a session without drafts, marked one by one. `score` is the scorer; what it writes goes to the
    folder `scratch`. A cell's figures hold `outcome`, `why` and, unless it couldn't be marked, `score`: 1 or 0."""

    def __init__(
        self, session: Any, score: Scorer, max_tokens: int, scratch: Path, now: Callable[[], float] = time.time
    ) -> None:
        self.session, self.score, self.max_tokens, self.scratch, self.now = session, score, max_tokens, scratch, now
        self._raw = not session.header.has_chat_template

    def start(self, block: Block) -> None:
        """The session is open."""

    def stop(self) -> None:
        """It stays open."""

    def measure(self, prompt: Prompt, repetition: int) -> Cell:
        """One answer and its mark."""
        started = self.now()
        said = self.session.generate(
            prompt.text, raw=self._raw, max_tokens=self.max_tokens, draft="off", remember=False
        )
        made = mark(self.score, prompt, said.text, said.tokens, self.max_tokens, said.finish, self.scratch)
        score = {} if made.outcome == "refused" else {"score": float(made.outcome == "passed")}
        stats: Stats = said.stats
        return Cell(
            arm="",
            prompt=prompt.id,
            task=prompt.task,
            repetition=repetition,
            tokens=len(said.tokens),
            seconds=stats.decode_ms / 1000,
            prefill_tokens=stats.prompt_tokens - stats.reused_tokens,
            prefill_seconds=stats.prefill_ms / 1000,
            started=started,
            answer=said.text,
            token_ids=tuple(said.tokens),
            figures={
                "outcome": made.outcome, "why": made.reason, **score, "max_tokens": self.max_tokens,
                "finish": said.finish,
            },
        )  # fmt: skip


def mark_of(cell: Cell) -> Mark:
    """The mark that a cell of `MarkedArm` holds; refused if there is no answer."""
    if cell.status == "failed":
        return Mark("refused", cell.reason)
    return Mark(cell.figures["outcome"], cell.figures["why"])


def text_cell(
    name: str, found: Perplexity | Divergence, window: int, read: int, started: float, seconds: float
) -> Cell:
    """What was measured on the text `name`, whose `read` tokens took so many seconds. Figures are named as those of
    expert counts are, so that a report reads both alike."""
    if isinstance(found, Perplexity):
        figures: dict[str, Any] = {"perplexity": found.value, "perplexity_error": found.error, "scored": found.tokens}
    else:
        figures = {
            "divergence": found.mean,
            "divergence_error": found.error,
            "agreement": found.agreement,
            "perplexity": found.reduced.value,
            "perplexity_error": found.reduced.error,
            "scored": found.tokens,
            "details": asdict(found),
        }
    return Cell(
        arm="",
        prompt=name,
        task=TEXT,
        repetition=0,
        prefill_tokens=read,
        prefill_seconds=seconds,
        started=started,
        figures={**figures, "window": window},
    )
