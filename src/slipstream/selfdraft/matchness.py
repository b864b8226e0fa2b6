"""How well a model with sub-layers left out predicts the full one: top-1 agreement and perplexity on its own text."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slipstream.bench.quality.likelihood import surprise
from slipstream.core.errors import RequestError
from slipstream.core.ports import Feed
from slipstream.core.skip import SkipSet
from slipstream.selfdraft.ports import Masked
from slipstream.selfdraft.texts import Text


@dataclass(frozen=True, slots=True)
class Score:
    """`agreement`: share of `tokens` positions where both models find the same token likeliest. `perplexity_ratio`: the
    perplexity of the text, masked over full; where it is 3 one draft token in three stands, at 82 one in fifty (arXiv
    2605.01106)."""

    agreement: float
    perplexity_ratio: float
    tokens: int


class Matchness:
    """SWIFT's score (arXiv 2410.06916): answers that the target has already generated go through the masked model in
    one parallel pass, after prompts whose KV the full model computed.

    Text n lives in slot n. What the full model predicts is taken from a pass of the same shape, not from the answer: a
    pass of another width rounds differently, and a near-tie that flips for that is no fault of a mask. `gaps` are the
    logits between prediction and answer at such places.
    """

    def __init__(self, model: Masked, texts: Sequence[Text]) -> None:
        """RequestError if no text is left to compare, or one does not fit a pass."""
        self.model = model
        self.texts = [text for text in texts if len(text.answer) > 1]
        if not self.texts:
            raise RequestError("no answer is long enough to compare", hint="give more prompts or longer answers")
        self._groups = _groups([len(text.answer) - 1 for text in self.texts], model.batch_size)
        # The first token of an answer follows from the prompt alone, which the full model reads.
        answers = [token for group in self._groups for slot in group for token in self.texts[slot].answer[1:]]
        self._answers: NDArray[np.int64] = np.array(answers, np.int64)
        self._loss = 0.0
        self.gaps: list[float] = []
        predictions: list[int] = []
        for rows in self._passes(SkipSet()):
            for row in range(rows):
                logits, answer = model.logits(row), int(self._answers[len(predictions)])
                predictions.append(int(logits.argmax()))
                self._loss += surprise(logits, answer)
                if predictions[-1] != answer:
                    self.gaps.append(float(logits[predictions[-1]] - logits[answer]))
        self._reference: NDArray[np.int64] = np.array(predictions, np.int64)

    @property
    def tokens(self) -> int:
        """Positions compared."""
        return len(self._reference)

    def agreement(self, skip: SkipSet) -> float:
        """Share of positions where the masked model predicts what the full one does; 0 to 1."""
        predictions = [self.model.predictions(rows) for rows in self._passes(skip)]
        return float((np.concatenate(predictions) == self._reference).mean())

    def score(self, skip: SkipSet, *, own_context: bool = False) -> Score:
        """Agreement and perplexity. With `own_context` the masked model reads the prompts too, as one that is loaded
        from its own file does: costs a prefill of all texts."""
        hits = done = 0
        loss = 0.0
        for rows in self._passes(skip, own_context=own_context):
            for row in range(rows):
                logits = self.model.logits(row)
                hits += int(logits.argmax()) == int(self._reference[done])
                loss += surprise(logits, int(self._answers[done]))
                done += 1
        return Score(hits / done, math.exp(min(50.0, (loss - self._loss) / done)), done)

    def _passes(self, skip: SkipSet, *, own_context: bool = False) -> Iterator[int]:
        """Runs a pass a group and yields its rows, while the logits can be read; KV is as before afterwards."""
        for group in self._groups:
            for slot in group:
                self.model.hold(slot, () if own_context else self.texts[slot].prompt)
            self.model.mask(skip)
            try:
                if own_context:
                    self._read_prompts(group)
                feeds = [self._feed(slot) for slot in group]
                self.model.run(feeds)
                yield sum(feed.logits for feed in feeds)
            finally:
                self.model.mask(SkipSet())
                for slot in group:
                    self.model.rewind(slot, 0 if own_context else len(self.texts[slot].prompt))

    def _feed(self, slot: int) -> Feed:
        text = self.texts[slot]
        return Feed(slot, len(text.prompt), text.answer[:-1], len(text.answer) - 1)

    def _read_prompts(self, group: Sequence[int]) -> None:
        step = self.model.batch_size
        for slot in group:
            prompt = self.texts[slot].prompt
            for start in range(0, len(prompt), step):
                self.model.run([Feed(slot, start, prompt[start : start + step], 0)])


def _groups(lengths: Sequence[int], most: int) -> list[list[int]]:
    """Slots in order, as many to a pass as fit. RequestError for one that doesn't fit alone."""
    groups: list[list[int]] = []
    room = 0
    for slot, length in enumerate(lengths):
        if length > most:
            raise RequestError(
                f"an answer of {length} tokens does not fit a pass of {most}", hint="shorten the answers"
            )
        if length > room:
            groups.append([])
            room = most
        groups[-1].append(slot)
        room -= length
    return groups
