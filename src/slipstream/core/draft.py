"""A draft: tokens that a drafter expects next, each with the probability it gives them."""

from dataclasses import dataclass
from itertools import accumulate
from operator import mul


@dataclass(frozen=True, slots=True)
class Draft:
    """A value: `tokens[i]` is expected at position i with `probabilities[i]`, given that all before it were right.

    `match_length` is how many tokens of context the drafter matched to find it; `support` how many occurrences stand
    behind its first token, 0 if the probabilities are a model's own. Both are the features by which the probabilities
    are calibrated. `parts` are the drafts that a joined one consists of.
    """

    source: str
    tokens: tuple[int, ...] = ()
    probabilities: tuple[float, ...] = ()
    match_length: int = 0
    support: int = 0
    parts: tuple["Draft", ...] = ()

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

    @property
    def segments(self) -> tuple["Draft", ...]:
        """One draft per source, in order."""
        return self.parts or (self,)

    def cut(self, length: int) -> "Draft":
        """The first `length` tokens of this draft."""
        if length >= len(self.tokens):
            return self
        if self.parts:
            kept = Draft(self.parts[0].source)
            for part in self.parts:
                kept = kept.joined(part.cut(length - len(kept)))
            return kept
        return Draft(self.source, self.tokens[:length], self.probabilities[:length], self.match_length, self.support)

    def joined(self, then: "Draft") -> "Draft":
        """This draft and what another source expects after it (horizontal cascade, CAS-Spec, arXiv 2510.26843)."""
        if not then or not self:
            return self or then
        return Draft(
            f"{self.source}+{then.source}",
            self.tokens + then.tokens,
            self.probabilities + then.probabilities,
            self.match_length,
            self.support,
            self.segments + then.segments,
        )
