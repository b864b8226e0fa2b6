"""A bridge between vocabularies that mostly hold the same texts: token for token."""

import codecs
from collections.abc import Sequence
from itertools import takewhile

from slipstream.core.ports import Tokenizer
from slipstream.drafters.alignment import Encoder
from slipstream.drafters.bridge import NOTHING, Translated


class MappedVocabulary:
    """One token for one, for vocabularies that mostly hold the same texts: `to_draft` has the draft's token for each of
    the target's and `to_target` the reverse, -1 where there is none. A committed token without a counterpart is spelt
    in draft tokens (dropped if it is a control token); a draft ends before a token without one. The context only ever
    grows."""

    def __init__(self, target: Tokenizer, draft: Tokenizer, to_draft: Sequence[int], to_target: Sequence[int]) -> None:
        self._target, self._encoder = target, Encoder(draft)
        self._to_draft, self._to_target = to_draft, to_target
        self.end()

    def begin(self, prompt: Sequence[int]) -> None:
        """Map the prompt."""
        self.end()
        self.commit(prompt)

    def end(self) -> None:
        """Forget the request."""
        self.context: list[int] = []
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def commit(self, tokens: Sequence[int]) -> int:
        """Map the tokens; bytes of an incomplete character wait until it is complete or a mapped token follows."""
        kept = len(self.context)
        for token in tokens:
            mapped = _looked_up(self._to_draft, token)
            spelt = self._decoder.decode(self._target.piece(token) if mapped < 0 else b"", mapped >= 0)
            self.context.extend(self._encoder.encode(spelt.encode(), opening=False)[0])
            if mapped >= 0:
                self._decoder.reset()
                self.context.append(mapped)
        return kept

    def translate(self, tokens: Sequence[int], probabilities: Sequence[float]) -> Translated:
        """Nothing while bytes wait: the context lacks them."""
        if self._decoder.getstate()[0]:
            return NOTHING
        found = tuple(takewhile(lambda token: token >= 0, (_looked_up(self._to_target, token) for token in tokens)))
        return found, tuple(probabilities[: len(found)])

    def target_token(self, token: int) -> int | None:
        """The token it is mapped to."""
        found = _looked_up(self._to_target, token)
        return None if found < 0 else found

    def stops(self, token: int) -> bool:
        """At one without a counterpart."""
        return _looked_up(self._to_target, token) < 0


def _looked_up(table: Sequence[int], token: int) -> int:
    return table[token] if token < len(table) else -1
