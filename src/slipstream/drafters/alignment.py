"""Reading a growing text again from a little before its end, so that its tokens stay those of the whole text.

Tokenizers decide locally. Byte pair encoding of the rest of a text from a token boundary on gives the same tokens again
(no merge crossed the boundary), and the patterns that split text before merging start a piece at a space after a word.
So only tokens near the end can change when text is appended, and a window of the last characters is all that has to be
read again: a bounded cost per appended text, however long the whole is.

Text is kept exactly. Tokens are those of the whole text read at once as long as appended text changes no token that
ends more than LEAST bytes before it: always for longest match from the left with tokens up to that length, and without
exception so far between real vocabularies (tests). Where it doesn't hold, a few tokens are cut otherwise than usual,
which costs drafts and nothing else.
"""

from collections.abc import Sequence

from slipstream.core.ports import Tokenizer

LEAST = 16
MOST = 96
"""Bytes before the end of a text at which reading starts again: at a word's start from LEAST on, or at the furthest
token within MOST if there is none. 16 bytes hold the last words, the only ones that appended text changes; 96 are 32
Chinese characters."""

SPACE_MARK = "\u2581".encode()
"""How SentencePiece writes a space; a text's own U+2581 comes back from it as a space."""

Pieces = Sequence[bytes | None]
"""The text of each token: None for a control token, b"" for one without text of its own."""


def window_start(pieces: Pieces, least: int = LEAST, most: int = MOST) -> int:
    """The token at which to start reading again: never in the middle of a character, never before a control token."""
    size, index, furthest = 0, len(pieces), len(pieces)
    while index:
        index -= 1
        piece = pieces[index]
        if piece is None:
            return index + 1
        size += len(piece)
        if size > most:
            return furthest
        if not piece or _continues(piece[0]):
            continue
        furthest = index
        if size >= least and index and _word_starts(pieces[index - 1], piece):
            return index
    return 0


def text_from(pieces: Pieces, start: int) -> bytes:
    """The bytes of the tokens from `start` on, behind the last control token."""
    return b"".join(piece or b"" for piece in pieces[start:])


def opens(pieces: Pieces, start: int) -> bool:
    """Whether a text begins at this token: nothing or a control token is before it."""
    return start == 0 or pieces[start - 1] is None


def _continues(byte: int) -> bool:
    return byte & 0xC0 == 0x80


def _word_starts(before: bytes | None, piece: bytes) -> bool:
    # Not at a newline: several patterns take newlines together with the punctuation before them.
    return piece[0] in b" \t" and before is not None and before[-1:] not in (b" ", b"\t", b"\n", b"\r", b"")


def _end_of(piece: bytes, data: bytes, at: int) -> int:
    """Where `piece` ends in `data` if it is there at `at`; `at` if it isn't."""
    if data.startswith(piece, at):
        return at + len(piece)
    end = at
    for byte in piece:
        if data[end : end + 1] == bytes((byte,)):
            end += 1
        elif byte == ord(" ") and data.startswith(SPACE_MARK, end):
            end += len(SPACE_MARK)
        else:
            return at
    return end


class Encoder:
    """A tokenizer that can also read from the middle of a text."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        # SentencePiece vocabularies like Llama 2's put a space in front of whatever they read.
        self._adds_space = self._text(tokenizer.encode("a")) == b" a"

    def encode(self, data: bytes, opening: bool) -> tuple[list[int], list[bytes]]:
        """Tokens of `data` and their pieces, which join to it as far as they go: there are fewer pieces than tokens if
        the tokenizer changed the text (lower case, composed characters). `opening` says that a text begins here. Raises
        UnicodeDecodeError if `data` is no UTF-8."""
        text = data.decode()
        if not text:
            return [], []
        if not self._adds_space:
            tokens = self.tokenizer.encode(text)
        elif opening and not text.startswith(" "):
            # A space that is there already is most likely what another such vocabulary has put there.
            tokens = self.tokenizer.encode(text)
            first = self._text(tokens[:1])
            if first.startswith(b" ") and data.startswith(first[1:]):
                return tokens, [first[1:], *self._matched(tokens[1:], data[len(first) - 1 :])]
        elif text.startswith(" ") and len(text) > 1:
            tokens = self.tokenizer.encode(text[1:])
        else:
            tokens = self._behind_newline(text)
        return tokens, self._matched(tokens, data)

    def _behind_newline(self, text: str) -> list[int]:
        tokens = self.tokenizer.encode("\n" + text)
        for count in (1, 2):
            if self._text(tokens[:count]) in (b"\n", b" \n"):
                return tokens[count:]
        return self.tokenizer.encode(text)

    def _matched(self, tokens: Sequence[int], data: bytes) -> list[bytes]:
        pieces = [self.tokenizer.piece(token) for token in tokens]
        if b"".join(pieces) == data:
            return pieces
        at, matched = 0, []
        for piece in pieces:
            end = _end_of(piece, data, at)
            if end == at:
                break
            matched.append(data[at:end])
            at = end
        return matched if at == len(data) else matched[: len(pieces) - 1]

    def _text(self, tokens: Sequence[int]) -> bytes:
        return b"".join(map(self.tokenizer.piece, tokens))


class GrowingTokens:
    """The tokens of a text that grows at its end, with control tokens in it."""

    def __init__(self, encoder: Encoder, least: int = LEAST, most: int = MOST) -> None:
        self.tokens: list[int] = []
        self._encoder, self._least, self._most = encoder, least, most
        self._pieces: list[bytes | None] = []

    def append_controls(self, tokens: Sequence[int]) -> None:
        """Control tokens: what is before them is final."""
        self.tokens.extend(tokens)
        self._pieces.extend([None] * len(tokens))

    def append(self, text: str) -> int:
        """More text. Returns how many tokens stay as they were."""
        start = window_start(self._pieces, self._least, self._most)
        data = text_from(self._pieces, start) + text.encode()
        fresh, pieces = self._encoder.encode(data, opens(self._pieces, start))
        if len(pieces) < len(fresh):
            # Where the tokenizer changed the text, all of the rest counts as the text of the first token there.
            rest = data[sum(map(len, pieces)) :]
            pieces = [*pieces, rest, *(b"" for _ in fresh[len(pieces) + 1 :])]
        old = self.tokens[start:]
        same = 0
        for before, after in zip(old, fresh, strict=False):
            if before != after:
                break
            same += 1
        # The piece of a token that stays can change all the same where the tokenizer changed the text.
        self._pieces[start:] = pieces
        self.tokens[start + same :] = fresh[same:]
        return start + same

    @property
    def inside_line(self) -> bool:
        """Whether the last thing is text that doesn't end in a newline."""
        return bool(self._pieces) and self._pieces[-1] is not None and not self._pieces[-1].endswith(b"\n")
