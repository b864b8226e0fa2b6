"""Doubles for paid sources: draft models that check what they hold, tokenizers of two grains, a head, prices."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from slipstream.control.curve import VerifyCost
from slipstream.control.price import Price
from slipstream.core.ports import Ask, Clock, Drafted
from slipstream.drafters.draft_model import DraftModel
from slipstream.drafters.native_head import HeadDraft
from slipstream.engine.fake import FakeTarget, Logits, LogitTable

TARGET_CURVE = {1: 98.0, 2: 122.0, 4: 139.0, 6: 176.0, 8: 190.0, 12: 220.0, 16: 295.0, 24: 360.0, 32: 424.0, 64: 675.0}
DRAFT_CURVE = {1: 6.0, 4: 8.0, 16: 20.0, 64: 60.0}


def cost_of(curve: Mapping[int, float]) -> Callable[[int, int], float]:
    """What a pass costs on a fake target that behaves like this curve."""
    costs = VerifyCost({64: dict(curve)}).costs(0)
    return lambda width, depth: costs[min(width, len(costs) - 1)] * max(1.0, width / (len(costs) - 1))


def price(curve: Mapping[int, float] = DRAFT_CURVE) -> Price:
    return Price(VerifyCost({64: dict(curve)}))


@dataclass
class WordTokenizer:
    """Letters from "a" on, then all words of two letters if `pairs`, then an end token without text. Reads two letters
    at a time where it can; leaves out what it can't spell, as real tokenizers change a text now and then."""

    letters: int
    pairs: bool = False
    words: list[str] = field(init=False)

    def __post_init__(self) -> None:
        alphabet = [chr(ord("a") + index) for index in range(self.letters)]
        self.words = [*alphabet, *(one + two for one in alphabet for two in alphabet if self.pairs)]
        self._tokens = {word: token for token, word in enumerate(self.words)}

    @property
    def vocabulary_size(self) -> int:
        return len(self.words) + 1

    @property
    def end(self) -> int:
        return len(self.words)

    @property
    def end_tokens(self) -> frozenset[int]:
        return frozenset({self.end})

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        tokens, at = [], 0
        while at < len(text):
            word = text[at : at + 2] if text[at : at + 2] in self._tokens else text[at]
            if word in self._tokens:
                tokens.append(self._tokens[word])
            at += len(word)
        return tokens

    def piece(self, token: int) -> bytes:
        return self.words[token].encode() if token < len(self.words) else b""


def spelled(table: LogitTable, target: WordTokenizer, draft: WordTokenizer, longest: int) -> LogitTable:
    """What a model of another vocabulary says that knows the target's own likeliest words, at most `longest` letters of
    them at once."""

    def following(context: Sequence[int]) -> Logits:
        known = target.encode(b"".join(map(draft.piece, context)).decode())
        word = ""
        while known and len(word) < longest:
            token = int(table(known).argmax())
            if token == target.end:
                break
            word += target.words[token]
            known = [*known, token]
        logits = np.zeros(draft.vocabulary_size, np.float32)
        logits[draft.encode(word)[0] if word else draft.end] = 10
        return logits

    return following


def rolled(table: LogitTable) -> LogitTable:
    """Never the same likeliest token."""
    return lambda context: np.roll(table(context), 1)


def partly(table: LogitTable, share: int) -> LogitTable:
    """Agrees on `share` of five contexts."""
    return lambda context: table(context) if sum(context[-3:]) % 5 < share else np.roll(table(context), 1)


class CheckedModel(DraftModel):
    """Checks after every draft that KV holds the context and, behind it, nothing but what the model itself said."""

    checks = 0

    def draft(self, asks: Sequence[Ask]) -> Drafted:
        made = super().draft(asks)
        model = self.model
        assert isinstance(model, FakeTarget)
        for ask, draft in zip(asks, made.drafts, strict=True):
            state = self._slots[ask.slot]
            context = [*state.bridge.context, *ask.after][state.start :]
            if not context or len(context) >= model.context_length or not ask.limit:
                assert not draft
                continue
            held = model.kv[ask.slot]
            assert held[: len(context)] == context
            for length in range(len(context), len(held)):
                assert held[length] == int(model.table(held[:length]).argmax())
            self.checks += 1
        return made


@dataclass
class FakeHead:
    """A head with a table for a mind, that reads what the target's slots hold."""

    target: FakeTarget
    table: LogitTable
    clock: Clock = lambda: 0.0
    step_ms: float = 5.0
    read_ms: float = 0.5
    read: dict[int, int] = field(default_factory=dict)
    contexts: list[list[int]] = field(default_factory=list)

    def behind(self, slot: int) -> int:
        return max(0, len(self.target.kv[slot]) - self.read.get(slot, 0))

    def draft(self, slot: int, token: int, limit: int, go_on: Callable[[int, float], bool]) -> HeadDraft:
        context = [*self.target.kv[slot], token]
        self.contexts.append(list(context))
        self.target.clock.now += self.behind(slot) * self.read_ms / 1000
        self.read[slot] = len(self.target.kv[slot])
        tokens: list[int] = []
        probabilities: list[float] = []
        while len(tokens) < min(limit, self.target.context_length - len(context)):
            self.target.clock.now += self.step_ms / 1000
            logits = self.table([*context, *tokens])
            tokens.append(int(logits.argmax()))
            probabilities.append(float(1 / np.exp(logits - logits.max()).sum()))
            if not go_on(tokens[-1], probabilities[-1]):
                break
        return Made(tuple(tokens), tuple(probabilities))


@dataclass(frozen=True)
class Made:
    """What a head said."""

    tokens: tuple[int, ...]
    probabilities: tuple[float, ...]
