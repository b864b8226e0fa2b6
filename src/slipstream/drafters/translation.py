"""A bridge between vocabularies through text, so that any small model can draft for any target.

It is string-level exact match (SLEM, algorithm 2 of "Accelerating LLM Inference with Lossless Speculative Decoding
Algorithms for Heterogeneous Vocabularies", arXiv 2502.05202; "universal assisted generation" in transformers): the
draft model reads the target's text in its own tokens and what it says is tokenized for the target. The output is the
target's in any case, because it verifies target tokens; a bad translation costs speed only.
"""

import codecs
from collections.abc import Mapping, Sequence

from slipstream.core.ports import Tokenizer
from slipstream.drafters.alignment import Encoder, GrowingTokens, opens, text_from, window_start
from slipstream.drafters.bridge import NOTHING, Translated

BORDER = 8
"""Bytes of committed text, at least, that are read together with a draft: what is at stake is only whether a token
would span the border."""

OPEN_WORD, OPEN_SPACE = 0.93, 0.5
"""How often the last target token is right, given that the draft is and doesn't say that its text ends there: what
comes next may still lengthen it. (Those before it are right 10625 times in 10628.) It is kept at a discount, not
dropped: whether it is worth verifying is the policy's choice. Measured by the real tests: true continuations of 3 to 8
draft tokens, cut off anywhere, between Qwen2.5, SmolLM2 and Gemma 3, over code, prose, Chinese and emoji; 1691 of 1810
that end in a word or sign (95% or more for two targets, 84% for Qwen2.5), 94 of 201 that end in white space."""


class Translation:
    """Through text. `controls` gives the draft tokens for control tokens of the target (those whose text in a chat
    template is a control token of the draft as well); any other control token separates what is before and after it by
    a newline. Dropping it would glue a role's name to a message ("hiassistant"), its text spelt out would be letters
    that the draft never saw in a chat. `opening` starts every context (the draft's begin token, if it wants one).
    `end` is the target's end token that the draft's end tokens stand for; by default the only one the target has, none
    if it has several.

    The context's text is the target's up to its last complete character, whatever the tokenizers: bytes of an
    incomplete one wait, and bytes that can't become a character are U+FFFD. That its tokens are those of the whole text
    holds within what alignment.py says.
    """

    def __init__(
        self,
        target: Tokenizer,
        draft: Tokenizer,
        controls: Mapping[int, Sequence[int]] | None = None,
        opening: Sequence[int] = (),
        end: int | None = None,
    ) -> None:
        self._target, self._draft = target, draft
        self._controls = controls or {}
        self._opening = tuple(opening)
        ends = target.end_tokens
        self._end = next(iter(ends)) if end is None and len(ends) == 1 else end
        self._draft_ends = draft.end_tokens
        self._to_draft, self._to_target = Encoder(draft), Encoder(target)
        self.end()

    @property
    def context(self) -> Sequence[int]:
        """The draft's tokens of the target's text."""
        return self._grown.tokens

    def begin(self, prompt: Sequence[int]) -> None:
        """Translate the whole prompt, once."""
        self.end()
        first = self._controls.get(prompt[0], ()) if prompt else ()
        if tuple(first[: len(self._opening)]) != self._opening:
            self._grown.append_controls(self._opening)
        self.commit(prompt)

    def end(self) -> None:
        """Forget the request."""
        self._grown = GrowingTokens(self._to_draft)
        self._pieces: list[bytes | None] = []
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def commit(self, tokens: Sequence[int]) -> int:
        """Read the last characters and the new ones again: at most alignment.MOST bytes besides those of `tokens`."""
        kept = len(self._grown.tokens)
        run: list[bytes] = []
        for token in tokens:
            piece = self._target.piece(token)
            if piece:
                run.append(piece)
                self._pieces.append(piece)
                continue
            self._pieces.append(None)
            kept = min(kept, self._say(b"".join(run), final=True))
            run = []
            controls = self._controls.get(token)
            if controls is not None:
                self._grown.append_controls(controls)
            elif self._grown.inside_line:
                kept = min(kept, self._grown.append("\n"))
        return min(kept, self._say(b"".join(run), final=False))

    def translate(self, tokens: Sequence[int], probabilities: Sequence[float]) -> Translated:
        """Nothing if the draft contradicts the bytes that its context lacks. The draft ends at a control token and at
        bytes that are no UTF-8. A draft token's probability counts for the target token that it starts in: of several
        target tokens in one draft token the first bears all the doubt."""
        waiting = self._decoder.getstate()[0]
        said, starts, closed, ended = self._read(tokens)
        if not said.startswith(waiting):
            return NOTHING
        said = said[len(waiting) :]
        found, pieces = self._tokens_after(said)
        chances = _shared_out(probabilities, [max(start - len(waiting), 0) for start in starts], pieces)
        if closed and sum(map(len, pieces)) == len(said):
            if ended and self._end is not None:
                found, chances = [*found, self._end], [*chances, probabilities[len(starts)]]
        elif found:
            chances[-1] *= OPEN_SPACE if pieces[-1][-1:].isspace() else OPEN_WORD
        return tuple(found), tuple(chances)

    def target_token(self, token: int) -> int | None:
        """None: text becomes tokens only together with what is around it."""
        return None

    def stops(self, token: int) -> bool:
        """At a control token."""
        return not self._draft.piece(token)

    def _say(self, data: bytes, final: bool) -> int:
        """Returns how many tokens of the context stay as they were."""
        text = self._decoder.decode(data, final)
        if final:
            self._decoder.reset()
        return self._grown.append(text) if text else len(self._grown.tokens)

    def _read(self, tokens: Sequence[int]) -> tuple[bytes, list[int], bool, bool]:
        """Text of the draft's tokens, where each starts in it, whether a control token closes it and whether that one
        ends the output."""
        said = b""
        starts: list[int] = []
        for token in tokens:
            if token in self._draft_ends:
                return said, starts, True, True
            piece = self._draft.piece(token)
            if not piece:
                return said, starts, True, False
            starts.append(len(said))
            said += piece
        return said, starts, False, False

    def _tokens_after(self, said: bytes) -> tuple[list[int], list[bytes]]:
        """Target tokens of what was said after the committed text, and their pieces: from the tokens of both together,
        or of `said` alone if a token of both would span the border."""
        start = window_start(self._pieces, BORDER)
        before = text_from(self._pieces, start)
        both = before + said
        valid = _valid_length(both)
        if valid > len(before):
            found, pieces = self._to_target.encode(both[:valid], opens(self._pieces, start))
            at = 0
            for index, piece in enumerate(pieces):
                if at == len(before):
                    return found[index : len(pieces)], pieces[index:]
                at += len(piece)
        found, pieces = self._to_target.encode(said[: _valid_length(said)], opening=False)
        return found[: len(pieces)], pieces


def _valid_length(data: bytes) -> int:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start
    return len(data)


def _shared_out(probabilities: Sequence[float], starts: Sequence[int], pieces: Sequence[bytes]) -> list[float]:
    """The probability of each target token: the product of those of the draft tokens that start in it."""
    shared, at, index = [], 0, 0
    for piece in pieces:
        at += len(piece)
        probability = 1.0
        while index < len(starts) and starts[index] < at:
            probability *= probabilities[index]
            index += 1
        shared.append(probability)
    return shared
