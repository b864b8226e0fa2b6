"""Suffix decoding (arXiv 2411.04975): copy what followed earlier occurrences of the current suffix, in this request
and in earlier outputs, for as long as those occurrences agree.

Exactly: in each of the two indexes the `candidates` most recent occurrences count, per n-gram order from the longest
down, until `enough` were found (SuffixIndex.find). The paper counts all occurrences in a suffix tree and lets match
lengths compete, and the two trees; that is preset "paper". The default lets all occurrences of both indexes vote at
once, with weight base ** (match length + bridge * length of agreement beyond one differing token) * (1 + heat) ** 2,
where heat tells how often the text around an occurrence was right lately: occurrences in an earlier answer to the same
task outweigh the many in unrelated ones.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from slipstream.core.draft import Draft
from slipstream.core.errors import RequestError
from slipstream.core.ports import OutputLog
from slipstream.core.request import Request
from slipstream.drafters.suffix_heat import BLOCK_BITS, Heat
from slipstream.drafters.suffix_index import Match, SuffixIndex, extended
from slipstream.drafters.suffix_memory import SuffixMemory
from slipstream.drafters.suffix_slot import SuffixSlot
from slipstream.drafters.suffix_vote import Ballot, Outcome, Vote, blend, levels, score

MOST_BRIDGED = 8
"""Agreement beyond a differing token counts up to this length."""
HEAVIEST = 24
"""Weights grow with the match up to this length."""


@dataclass(frozen=True, slots=True)
class SuffixConfig:
    """`depth`: longest match measured. `candidates`, `enough`: see the module. `choice`: "blend" or the paper's
    "levels".

    `base`, `bridge`, `heat` (the exponent), `decay` (of heat, per token) weigh votes in a blend. A draft has at most
    `alpha` * match length + `offset` tokens (generous: the policy cuts it by cost) and ends where its path probability
    falls below `min_probability`. `max_tokens` and `max_outputs` bound the memory; 0 outputs switch it off.
    """

    depth: int = 32
    candidates: int = 12
    enough: int = 1
    choice: Literal["blend", "levels"] = "blend"
    base: float = 3.0
    bridge: float = 0.5
    heat: float = 2.0
    decay: float = 0.95
    alpha: float = 16.0
    offset: float = 16.0
    min_probability: float = 0.1
    max_tokens: int = 1_000_000
    max_outputs: int = 100_000

    def __post_init__(self) -> None:
        for name, low, high in (
            ("depth", 8, 256), ("candidates", 1, 1 << 20), ("enough", 1, self.candidates),
            ("base", 1, 100), ("bridge", 0, 1), ("heat", 0, 10), ("decay", 0.01, 1),
            ("alpha", 0, 1 << 20), ("min_probability", 0, 1),
            ("max_tokens", 1, 1 << 28), ("max_outputs", 0, 1 << 28),
        ):  # fmt: skip
            value = getattr(self, name)
            if not low <= value <= high:
                raise RequestError(f"suffix: {name} is {value}", hint=f"it must lie between {low} and {high}")
        if self.choice not in ("blend", "levels"):
            raise RequestError(f"suffix: choice is {self.choice!r}", hint="valid: blend, levels")


PRESETS: Mapping[str, SuffixConfig] = {
    # The paper's library: depth 64, at most as many tokens as matched, path probability 0.1, all occurrences counted.
    "paper": SuffixConfig(depth=64, candidates=256, enough=256, choice="levels", alpha=1.0, offset=0.0),
}


class Suffix:
    """Drafts from the request's own text and from the memory of earlier outputs, which `log` keeps on disk.

    Opening raises StateFileError if the log can't be read. A request with `remember` false neither reads nor writes the
    memory. Not thread-safe.
    """

    name = "suffix"
    by_match = True

    def __init__(self, config: SuffixConfig | None = None, log: OutputLog | None = None) -> None:
        self.config = config or SuffixConfig()
        index = SuffixIndex(depth=self.config.depth)
        self.memory = SuffixMemory(index, self.config.max_tokens, self.config.max_outputs, log)
        self._slots: dict[int, SuffixSlot] = {}
        self._weights = [
            [
                self.config.base ** min(length + self.config.bridge * min(bridged, MOST_BRIDGED), HEAVIEST)
                for bridged in range(self.config.depth + 1)
            ]
            for length in range(self.config.depth + 1)
        ]

    @property
    def warnings(self) -> list[str]:
        """What went wrong with the memory on disk."""
        return self.memory.warnings

    def begin(self, slot: int, request: Request) -> bool:
        """Index the prompt. A request still running in this slot is dropped and not remembered."""
        index = SuffixIndex(depth=self.config.depth, capacity=len(request.prompt) + 1024)
        index.extend(request.prompt)
        self._slots[slot] = SuffixSlot(index, request.remember, self.config.decay)
        return True

    def commit(self, slot: int, tokens: Sequence[int]) -> None:
        """Index emitted tokens."""
        if tokens:
            self._slots[slot].extend(tokens)

    def end(self, slot: int) -> None:
        """Move the output into the memory, unless the request asked not to."""
        state = self._slots.pop(slot, None)
        if state is not None and state.remember:
            self.memory.add(state.output)

    def outputs(self) -> Iterator[list[int]]:
        """Every remembered output, oldest first."""
        return self.memory.outputs()

    def wipe(self) -> None:
        """Forget every remembered output, on disk too. Raises StateFileError."""
        self.memory.wipe()

    def propose(self, slot: int, limit: int, after: Sequence[int] = ()) -> Draft:
        """The likeliest continuation. `probabilities` are shares of the votes of occurrences that still agree;
        `match_length` is the longest match and `support` the number of occurrences behind the first token."""
        state, config = self._slots[slot], self.config
        if limit < 1:
            return Draft(self.name)
        own = state.index
        matches = own.find(extended(own.tail(), after), own.size - 1, config.candidates, config.enough)
        # A copy that reaches the end of its own text would have to go on with `after`, not with its beginning.
        ballots = [Ballot(own, self._weigh(own, matches, state.heats[0]), not after)]
        if state.remember and self.memory:
            index = self.memory.index
            matches = index.find(extended(state.tail, after), index.size - 1, config.candidates, config.enough)
            ballots.append(Ballot(index, self._weigh(index, matches, state.heats[1]), False))
        if not after:
            state.seen = [(ballot.index.moved, ballot.votes) for ballot in ballots]
        rule = (limit, config.min_probability, config.alpha, config.offset)
        if config.choice == "blend":
            found = blend(ballots, *rule)
        else:
            found = Outcome()
            for ballot in ballots:  # the request's own text comes first and wins a tie
                other = levels(ballot, *rule)
                found = other if score(other.shares) > score(found.shares) else found
        return Draft(self.name, tuple(found.tokens), tuple(found.shares), found.match_length, found.support)

    def _weigh(self, index: SuffixIndex, matches: Sequence[Match], heat: Heat) -> list[Vote]:
        view, table, power = index.view, self._weights, self.config.heat
        warmth, grown, moved = heat.scores, heat.grown, index.moved
        votes = []
        for position, length, bridged in matches:
            weight = table[length][bridged]
            warm = warmth.get(position + moved >> BLOCK_BITS)
            if warm:
                weight *= (1 + warm / grown) ** power
            votes.append((position, view[position + 1], weight, length))
        return votes
