"""A fake target that gives a bounded number of rows, for what reads texts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slipstream.core.ports import Feed
from slipstream.engine.fake import FakeTarget, Logits, LogitTable


@dataclass
class ReadingTarget(FakeTarget):
    """`most_rows` is the most rows of logits that a pass ever wanted."""

    output_rows: int = 256
    most_rows: int = 0

    def decode(self, feeds: Sequence[Feed]) -> None:
        super().decode(feeds)
        self.most_rows = max(self.most_rows, len(self._rows))


def uniform(size: int) -> LogitTable:
    """Every token as likely as any other."""
    return lambda context: np.full(size, 3.0, np.float32)


def knowing(text: Sequence[int], size: int, sharpness: float) -> LogitTable:
    """Expects the text, wherever it is in it: `sharpness` is the logit of the next token."""

    def table(context: Sequence[int]) -> Logits:
        logits = np.zeros(size, np.float32)
        logits[text[len(context)]] = sharpness
        return logits

    return table
