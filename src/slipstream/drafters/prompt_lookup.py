"""Prompt lookup: copy what followed an earlier occurrence of the current suffix in the same request.

Prompt lookup decoding (Saxena 2023) and its relatives in transformers, vLLM and llama.cpp differ in the n-gram lengths
tried, in which occurrence is taken and in the draft length; `PRESETS` holds them. The default takes the longest match
and of several the most recent one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from slipstream.core.draft import Draft
from slipstream.core.errors import RequestError
from slipstream.core.request import Request
from slipstream.drafters.suffix_index import SuffixIndex, Tokens, extended

CANDIDATES = 64
"""Most recent occurrences among which the longest match is looked for, per order of the index."""


@dataclass(frozen=True, slots=True)
class PromptLookupConfig:
    """`max_match` and `min_match` bound the n-gram length, tried from long to short. `draft_length` caps a draft (0:
    the caller's limit). `overlap` lets a draft copy on through itself, which extrapolates periodic text; without it,
    it ends where the text ends. `require_full` takes no occurrence that is followed by less than the cap.

    At least two tokens by default: matching single ones gives a tenth more tokens per round on agent conversations,
    for nearly twice the drafted tokens, nine of ten of them wrong.
    """

    max_match: int = 32
    min_match: int = 2
    draft_length: int = 0
    occurrence: Literal["recent", "first"] = "recent"
    overlap: bool = True
    require_full: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.min_match <= self.max_match:
            raise RequestError(
                f"prompt_lookup matches from {self.min_match} to {self.max_match} tokens make no sense",
                hint="set 1 <= min_match <= max_match",
            )
        if self.draft_length < 0:
            raise RequestError(f"draft_length is {self.draft_length}", hint="it must be 0 (the caller's limit) or more")
        if self.occurrence not in ("recent", "first"):
            raise RequestError(f"occurrence is {self.occurrence!r}", hint="valid: recent, first")


PRESETS: Mapping[str, PromptLookupConfig] = {
    # Saxena's reference: n-grams of 3, 2, 1, leftmost, ten tokens or nothing.
    "pld": PromptLookupConfig(3, 1, 10, "first", overlap=False, require_full=True),
    # transformers' prompt_lookup_num_tokens=10: n-grams of 2, 1, leftmost, cut at the end of the text.
    "transformers": PromptLookupConfig(2, 1, 10, "first", overlap=False),
    # vLLM's ngram method with its documented settings: longest of 2 to 5, earliest.
    "vllm": PromptLookupConfig(5, 2, 5, "first", overlap=False),
    # llama.cpp's ngram-simple: n-gram of 12, most recent, 48 tokens or nothing.
    "llama.cpp": PromptLookupConfig(12, 12, 48, "recent", overlap=False, require_full=True),
}
"""What other programs do, so that a comparison can imitate them."""


class PromptLookup:
    """Drafts from the request's own text. Token probabilities are 1: one occurrence, no counts."""

    name = "prompt_lookup"
    by_match = True

    def __init__(self, config: PromptLookupConfig | None = None) -> None:
        self.config = config or PromptLookupConfig()
        low, high = self.config.min_match, self.config.max_match
        self._orders = tuple(sorted({low, *(n for n in (2, 4, 8, 16) if low < n < high), high}))
        self._slots: dict[int, SuffixIndex] = {}

    def begin(self, slot: int, request: Request) -> bool:
        """Index the prompt."""
        index = SuffixIndex(self._orders, self.config.max_match, len(request.prompt) + 1024)
        index.extend(request.prompt)
        self._slots[slot] = index
        return True

    def commit(self, slot: int, tokens: Sequence[int]) -> None:
        """Index emitted tokens."""
        self._slots[slot].extend(tokens)

    def end(self, slot: int) -> None:
        """Forget the request."""
        self._slots.pop(slot, None)

    def propose(self, slot: int, limit: int, after: Sequence[int] = ()) -> Draft:
        """What followed the chosen occurrence."""
        index, config = self._slots[slot], self.config
        wanted = min(limit, config.draft_length) if config.draft_length else limit
        if wanted < 1:
            return Draft(self.name)
        tail = extended(index.tail(), after)
        found = self._first(index, tail, wanted) if config.occurrence == "first" else self._recent(index, tail, wanted)
        if found is None:
            return Draft(self.name)
        length, position = found
        tokens = memoryview(index.copy(position, wanted, config.overlap and not after)).cast("i").tolist()
        return Draft(self.name, tuple(tokens), (1.0,) * len(tokens), length, 1)

    def _usable(self, index: SuffixIndex, position: int, wanted: int) -> bool:
        config = self.config
        following = index.size - 1 - position
        return not config.require_full or config.overlap or following >= (config.draft_length or wanted)

    def _recent(self, index: SuffixIndex, tail: Tokens, wanted: int) -> tuple[int, int] | None:
        """The longest match and of those the most recent."""
        found = index.find(tail, index.size - 1, CANDIDATES)
        usable = [(length, position) for position, length, _ in found if self._usable(index, position, wanted)]
        return max(usable, default=None)

    def _first(self, index: SuffixIndex, tail: Tokens, wanted: int) -> tuple[int, int] | None:
        """The leftmost occurrence of the longest n-gram that has one: a byte search over the token array."""
        text = index.tokens[index.origin : index.size].tobytes()
        count = index.size - index.origin
        for length in range(min(self.config.max_match, count - 1), self.config.min_match - 1, -1):
            pattern = tail[-length:].tobytes()
            at = text.find(pattern)
            while at % 4:
                at = text.find(pattern, at + 1)
            position = at // 4 + length - 1
            if position < count - 1 and self._usable(index, index.origin + position, wanted):
                return length, index.origin + position
        return None
