"""What a paid drafter would gain, replayed from what it predicted of known answers: no target pass is run for it.

Recorded are, for every token of an answer, whether the drafter's likeliest token was the right one given all before it,
and the probability it gave it. Greedy verification accepts exactly the drafted tokens that agree, so a round from any
position can be replayed: k drafted tokens, of which the agreeing ones up to the first miss stand, and one token more.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

REPEATS = 4
"""The adaptive rule stops by the rate that it reaches itself: so often at most is it replayed with the last one's."""
LEVELS = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
"""Borders between the drafter's probabilities that are calibrated apart."""
FOLD = 8
PRIOR = 4.0
"""Weight, in tokens, of the drafter's own probability against the agreement recorded at its level."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Speed-ups over plain decoding on one machine.

    `best_length` is the fixed number of drafted tokens that gains most (0: plain is best), `speed_up_fixed` its gain, 1
    for plain. `speed_up_adaptive` is that of drafting on only while it pays, which may be below 1. `tokens_per_round`
    are those that a round of the better way emits.
    """

    best_length: int
    speed_up_fixed: float
    speed_up_adaptive: float
    tokens_per_round: float

    @property
    def speed_up(self) -> float:
        """Of the best way, plain decoding included: never below 1."""
        return max(1.0, self.speed_up_fixed, self.speed_up_adaptive)


PLAIN = Forecast(0, 1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Totals of a replay."""

    tokens: int
    rounds: int
    milliseconds: float

    @property
    def rate(self) -> float:
        """Tokens per millisecond."""
        return self.tokens / self.milliseconds


@dataclass(frozen=True, slots=True)
class _Record:
    """The ring of recorded tokens, and what passes cost. `runs[i]` tokens from i on agree, up to the whole ring;
    `longest` is the longest draft worth a look: the costs cover it, and it can stand as a whole somewhere."""

    runs: Sequence[int]
    probabilities: Sequence[float]
    chance: float
    costs: Sequence[float]
    draft_ms: float
    longest: int


def forecast(
    agree: Sequence[bool], probabilities: Sequence[float], costs: Sequence[float], draft_ms: float
) -> Forecast:
    """The gain by a record: `agree[i]` and `probabilities[i]` (0 to 1) belong to the answers' token i.

    `costs[n]` is milliseconds of a target pass over n tokens (index 0 unused), `draft_ms` of one drafted token. Answers
    of several prompts follow each other as if they were one. An empty record forecasts plain decoding.
    """
    if not agree:
        return PLAIN
    chance = sum(agree) / len(agree)
    runs = _runs(agree)
    longest = min(len(costs) - 2, max(runs))
    record = _Record(runs, _calibrated(agree, probabilities), chance, costs, draft_ms, longest)
    if record.longest < 1:
        return PLAIN
    plain = 1.0 / costs[1]
    fixed = {length: _replay_fixed(record, length) for length in range(1, record.longest + 1)}
    best = max(fixed, key=lambda length: fixed[length].rate)
    pays = fixed[best].rate > plain
    adaptive = _replay_adaptive(record, max(plain, fixed[best].rate))
    for _ in range(REPEATS):
        again = _replay_adaptive(record, max(plain, adaptive.rate))
        if again.rate <= adaptive.rate:
            break
        adaptive = again
    better = max(fixed[best], adaptive, key=lambda outcome: outcome.rate)
    return Forecast(
        best_length=best if pays else 0,
        speed_up_fixed=fixed[best].rate / plain if pays else 1.0,
        speed_up_adaptive=adaptive.rate / plain,
        tokens_per_round=better.tokens / better.rounds if better.rate > plain else 1.0,
    )


def _replay_fixed(record: _Record, length: int) -> _Outcome:
    return _replay(record, lambda at: (length, length))


def _replay_adaptive(record: _Record, rate: float) -> _Outcome:
    """Draft on while another token (or several) is expected to bring more per millisecond than `rate`, the long-run
    one: the marginal value rule. Then verify the prefix that is worth most at that rate: what was drafted is paid."""
    least = [_least_prefix(record, drafted, rate) for drafted in range(record.longest)]
    ring = len(record.runs)

    def lengths(at: int) -> tuple[int, int]:
        drafted, prefix, expected = 0, 1.0, 0.0
        best, best_value = 0, -rate * record.costs[1]
        while drafted < record.longest and prefix > least[drafted]:
            prefix *= record.probabilities[(at + drafted) % ring]
            expected += prefix
            drafted += 1
            value = expected - rate * record.costs[drafted + 1]
            if value > best_value:
                best, best_value = drafted, value
        return drafted, best

    return _replay(record, lengths)


def _least_prefix(record: _Record, drafted: int, rate: float) -> float:
    """The probability of what is drafted above which some number of further tokens is worth drafting and verifying.

    How probable a token is isn't known before it is drafted, so each counts with the mean. Several are looked ahead at,
    because costs are jagged: the next one may be dear and those after it free.
    """
    least, gain, chance = float("inf"), 0.0, 1.0
    for more in range(1, record.longest - drafted + 1):
        chance *= record.chance
        gain += chance
        extra = record.costs[drafted + 1 + more] - record.costs[drafted + 1]
        if gain:
            least = min(least, rate * (more * record.draft_ms + extra) / gain)
    return least


def _replay(record: _Record, lengths: Callable[[int], tuple[int, int]]) -> _Outcome:
    """Rounds around the ring: `lengths` says, for a position, how many tokens are drafted and how many verified.

    The position decides all that follows, so the first one that comes back closes a cycle, and that is the long run.
    """
    seen: dict[int, tuple[int, int, float]] = {}
    at = tokens = rounds = 0
    milliseconds = 0.0
    while at not in seen:
        seen[at] = tokens, rounds, milliseconds
        drafted, verified = lengths(at)
        emitted = 1 + min(verified, record.runs[at])
        milliseconds += drafted * record.draft_ms + record.costs[verified + 1]
        tokens, rounds, at = tokens + emitted, rounds + 1, (at + emitted) % len(record.runs)
    first_tokens, first_rounds, first_milliseconds = seen[at]
    return _Outcome(tokens - first_tokens, rounds - first_rounds, milliseconds - first_milliseconds)


def _runs(agree: Sequence[bool]) -> list[int]:
    """For each position, the tokens that agree from there on, around the ring."""
    ring, run = len(agree), 0
    runs = [0] * ring
    for index in reversed(range(2 * ring)):
        run = min(run + 1, ring) if agree[index % ring] else 0
        runs[index % ring] = run
    return runs


def _calibrated(agree: Sequence[bool], probabilities: Sequence[float]) -> list[float]:
    """The drafter's probabilities corrected by how often it was right at that level, as the policy does in operation.

    Every other stretch of the record is corrected by the rest, so that no token knows its own outcome.
    """
    cells: dict[tuple[int, int], list[float]] = {}
    keys = [(index // FOLD % 2, bisect_right(LEVELS, probability)) for index, probability in enumerate(probabilities)]
    for key, right in zip(keys, agree, strict=True):
        cell = cells.setdefault(key, [0.0, 0.0])
        cell[0] += right
        cell[1] += 1
    corrected = []
    for (fold, level), probability in zip(keys, probabilities, strict=True):
        hits, trials = cells.get((1 - fold, level), (0.0, 0.0))
        corrected.append((hits + PRIOR * probability) / (trials + PRIOR))
    return corrected
