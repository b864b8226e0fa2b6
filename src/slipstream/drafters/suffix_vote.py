"""From occurrences to a draft: what followed them is voted on, token by token. Pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slipstream.drafters.suffix_index import SuffixIndex

Vote = tuple[int, int, float, int]
"""One occurrence (position, next token, weight, match length). A plain tuple for speed."""

Path = tuple[list[int], list[float]]
"""Draft tokens, and for each its share of the weight of the occurrences that agreed with all before it."""


@dataclass(frozen=True, slots=True)
class Ballot:
    """The votes from one index. Copies from a `periodic` one go on through themselves where they reach its end."""

    index: SuffixIndex
    votes: list[Vote]
    periodic: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """A draft in the making; `support` occurrences stand behind its first token, `match_length` is the longest of
    theirs."""

    tokens: Sequence[int] = ()
    shares: Sequence[float] = ()
    match_length: int = 0
    support: int = 0


def blend(ballots: Sequence[Ballot], limit: int, minimum: float, alpha: float, offset: float) -> Outcome:
    """All occurrences of all indexes vote at once. At most min(`limit`, alpha * match length + offset) tokens, while
    the path's probability is at least `minimum`."""
    totals: dict[int, float] = {}
    for ballot in ballots:
        for _, token, weight, _ in ballot.votes:
            totals[token] = totals.get(token, 0.0) + weight
    if not totals:
        return Outcome()
    first = max(totals, key=totals.__getitem__)
    share = totals[first] / sum(totals.values())
    if first < 0 or share < minimum:
        return Outcome()
    agreeing = [(ballot, vote) for ballot in ballots for vote in ballot.votes if vote[1] == first]
    longest = max(vote[3] for _, vote in agreeing)
    limit = min(limit, int(alpha * longest + offset + 1e-6))
    if limit < 1:
        return Outcome()
    groups: dict[bytes, float] = {}
    for ballot, (position, _, weight, _) in agreeing:
        copied = ballot.index.copy(position, limit, ballot.periodic)
        groups[copied] = groups.get(copied, 0.0) + weight
    tokens, shares = follow(groups, limit, minimum / share)
    shares[0] = share
    return Outcome(tokens, shares, longest, len(agreeing))


def levels(ballot: Ballot, limit: int, minimum: float, alpha: float, offset: float) -> Outcome:
    """The paper's choice within one index: for every match length, its occurrences draft by plain counts, at most
    min(`limit`, alpha * match length + offset) tokens; the best score wins, of equals the longer match."""
    best, best_score = Outcome(), 0.0
    groups: dict[bytes, float] = {}
    votes = sorted(ballot.votes, key=lambda vote: -vote[3])
    for place, (position, _, _, length) in enumerate(votes):
        copied = ballot.index.copy(position, limit, ballot.periodic)
        groups[copied] = groups.get(copied, 0.0) + 1.0
        if place + 1 < len(votes) and votes[place + 1][3] == length:
            continue
        tokens, shares = follow(groups, min(limit, int(alpha * length + offset + 1e-6)), minimum)
        value = score(shares)
        if value > best_score:
            support = sum(vote[1] == tokens[0] for vote in votes[: place + 1])
            best, best_score = Outcome(tokens, shares, length, support), value
    return best


def follow(continuations: Mapping[bytes, float], limit: int, minimum: float) -> Path:
    """The likeliest path of at most `limit` tokens, while its probability stays at least `minimum`.

    `continuations` are what followed the occurrences, as int32 bytes, equal ones merged, each with its summed weight
    (a count, when weights are 1). SuffixDecoding's greedy path through the suffix tree (arXiv 2411.04975, section 4),
    on the occurrences themselves: at each step the heaviest next token wins (of equals the one seen first) and the
    occurrences that continue otherwise drop out. One that ends (its output was over, or a negative token) votes for
    stopping.
    """
    live = [(memoryview(copied).cast("i").tolist(), weight) for copied, weight in continuations.items()]
    tokens: list[int] = []
    shares: list[float] = []
    path = 1.0
    while len(live) > 1 and len(tokens) < limit:
        step = len(tokens)
        totals: dict[int, float] = {}
        for copied, weight in live:
            token = copied[step] if step < len(copied) else -1
            totals[token] = totals.get(token, 0.0) + weight
        share = 1.0
        if len(totals) > 1:
            token = max(totals, key=totals.__getitem__)
            share = totals[token] / sum(totals.values())
            path *= share
            live = [one for one in live if step < len(one[0]) and one[0][step] == token]
        if token < 0 or path < minimum:
            return tokens, shares
        tokens.append(token)
        shares.append(share)
    if live:
        rest = live[0][0][len(tokens) : limit]
        if rest and min(rest) < 0:
            rest = rest[: next(place for place, token in enumerate(rest) if token < 0)]
        tokens += rest
        shares += [1.0] * len(rest)
    return tokens, shares


def score(shares: Sequence[float]) -> float:
    """Expected accepted tokens: the sum of path probabilities."""
    path, total = 1.0, 0.0
    for share in shares:
        path *= share
        total += path
    return total
