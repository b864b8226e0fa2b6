"""The global memory of the suffix drafter: earlier outputs, the oldest evicted first, optionally on disk."""

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np

from slipstream.core.errors import StateFileError
from slipstream.core.ports import OutputLog
from slipstream.drafters.suffix_index import BREAK, SuffixIndex


class SuffixMemory:
    """An index over outputs (never prompts), each between two BREAKs, so that no match runs across them.

    Holds at most `max_tokens` tokens and `max_outputs` outputs; of an output longer than that, the end. With a `log`,
    outputs are read from it at the start and appended to it. A log that can't be written any more must not stop
    generation: it is let go, `warnings` says so, and the memory goes on without it.
    """

    def __init__(self, index: SuffixIndex, max_tokens: int, max_outputs: int, log: OutputLog | None = None) -> None:
        self.index = index
        self.max_tokens = max_tokens
        self.max_outputs = max_outputs
        self.warnings: list[str] = []
        self.tokens = 0
        self._lengths: deque[int] = deque()
        self._log = log
        self._stale = 0
        if log is not None:
            self._load(log)

    def _load(self, log: OutputLog) -> None:
        """Index as many of the newest outputs as fit, all at once. Raises StateFileError."""
        outputs = log.read()
        first = len(outputs)
        for output in reversed(outputs[-self.max_outputs :] if self.max_outputs else []):
            if self.tokens + len(output) > self.max_tokens:
                break
            self.tokens += len(output)
            first -= 1
        self._stale = first
        self._lengths.extend(len(output) for output in outputs[first:])
        if self._lengths:
            text = np.full(self.tokens + len(self._lengths) + 1, BREAK, np.int32)
            end = 1
            for output in outputs[first:]:
                text[end : end + len(output)] = output
                end += len(output) + 1
            self.index.extend(text)

    def __len__(self) -> int:
        return len(self._lengths)

    def add(self, output: Sequence[int]) -> None:
        """Remember an output; evict what no longer fits."""
        output = output[-self.max_tokens :]
        if not output or not self.max_outputs:
            return
        if self.index.size == self.index.origin:
            self.index.extend([BREAK])
        self.index.extend([*output, BREAK])
        self._lengths.append(len(output))
        self.tokens += len(output)
        while self.tokens > self.max_tokens or len(self._lengths) > self.max_outputs:
            length = self._lengths.popleft()
            self.tokens -= length
            self.index.drop(length + 1)
            self._stale += 1
        try:
            self._write(output)
        except StateFileError as error:
            self._log = None
            self.warnings.append(f"{error}. From now on outputs are remembered only until this process ends")

    def _write(self, output: Sequence[int]) -> None:
        """Append; once half of the log is evicted outputs, rewrite it."""
        if self._log is None:
            return
        if self._stale > max(64, len(self._lengths)):
            self._log.replace(list(self.outputs()))
            self._stale = 0
        else:
            self._log.append(output)

    def outputs(self) -> Iterator[list[int]]:
        """Every output, oldest first."""
        start = self.index.origin + 1
        for length in tuple(self._lengths):
            yield self.index.view[start : start + length].tolist()
            start += length + 1

    def wipe(self) -> None:
        """Forget everything, on disk too. Raises StateFileError."""
        self.index.clear()
        self._lengths.clear()
        self.tokens = self._stale = 0
        if self._log is not None:
            self._log.replace([])
