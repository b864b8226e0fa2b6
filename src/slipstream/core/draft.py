"""A draft: tokens that a drafter expects next, each with the probability it gives them."""

from dataclasses import dataclass
from itertools import accumulate
from operator import mul


@dataclass(frozen=True, slots=True)
class Draft:
    """A value: `tokens[i]` is expected at position i with `probabilities[i]`, given that all before it were right.

    `match_length` is how many tokens of context the drafter matched to find it; `support` how many occurrences stand
    behind its first token. Both are the features by which the probabilities are calibrated.
    """

    source: str
    tokens: tuple[int, ...] = ()
    probabilities: tuple[float, ...] = ()
    match_length: int = 0
    support: int = 0

    def __post_init__(self) -> None:
        if len(self.tokens) != len(self.probabilities):
            raise ValueError(f"{len(self.tokens)} tokens with {len(self.probabilities)} probabilities")

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def score(self) -> float:
        """Expected accepted tokens by the drafter's own probabilities: the sum of prefix products
        (SuffixDecoding, arXiv 2411.04975)."""
        return float(sum(accumulate(self.probabilities, mul)))

    def cut(self, length: int) -> "Draft":
        """The first `length` tokens of this draft."""
        if length >= len(self.tokens):
            return self
        return Draft(self.source, self.tokens[:length], self.probabilities[:length], self.match_length, self.support)
