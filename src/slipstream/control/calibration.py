"""How often a drafter's tokens come true, by source and feature bucket, learnt online from every emitted token.

Free sources propose in every round, whether or not their draft is verified; comparing each proposal with what was
emitted is a replay that costs no target pass (full-information feedback: HedgeSpec, arXiv 2510.20064).

A token's bucket is (source, matched length + position in the draft, agreement of the occurrences): by the time
position i is reached, the match has grown by i, and replays show that a token so deep in a draft stands as often as
the first token of a draft found with that longer match. Of a model's draft it is (source, its own probability).
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from slipstream.control.priors import COPY, MODEL, agreement_bucket, confidence_bucket, length_bucket, prior
from slipstream.control.worth import FADE, REQUEST_FADE, RUNS, Droughts, Record, estimate
from slipstream.core.draft import Draft

Key = tuple[str, int, int]

STRENGTH = 10.0
"""What a prior weighs, in observations."""
MEMORY = 2000.0
"""Observations after which a bucket's old ones fade."""
REQUEST_STRENGTH = 1.5
"""Expected misses it takes before a request's own record outweighs its workload's: few, because requests differ more
from each other than from themselves."""
MISS_FADE = 0.97
"""What an observation keeps of the older ones in a request's record."""

_LENGTHS = [length_bucket(length) for length in range(65)]
_GROUPS = (0, 0, 1, 1, 2, 2, 2, 3, 3, 3)
"""Length buckets that a request judges together: it has too few observations to judge each."""


@dataclass(slots=True)
class Buckets:
    """One workload class: hits and trials by bucket, the prior's pseudo-observations included; what free and
    paid drafts gained per request lately, in plain passes; what paid sources were worth; and how long free ones know
    nothing."""

    counts: dict[Key, list[float]] = field(default_factory=dict)
    gain: float = 0.0
    paid_gain: float = 0.0
    records: dict[str, Record] = field(default_factory=dict)
    droughts: Droughts = field(default_factory=Droughts)

    def record(self, source: str) -> Record:
        """Of a paid source, to be added to."""
        return self.records.setdefault(source, Record())

    def cell(self, key: Key) -> list[float]:
        """[hits, trials] of a bucket, to be added to."""
        cell = self.counts.get(key)
        if cell is None:
            cell = self.counts[key] = [STRENGTH * prior(*key), STRENGTH]
        elif cell[1] >= MEMORY:
            cell[0] *= 0.5
            cell[1] *= 0.5
        return cell


@dataclass(slots=True)
class _Request:
    """A running request: its workload's buckets, by (source, length group) its misses and how many were expected, and
    what paid sources were worth to it; tokens since a free draft was last verified."""

    workload: Buckets
    misses: dict[tuple[str, int], list[float]] = field(default_factory=dict)
    known: dict[Key, float] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    drought: int = 0

    def record(self, source: str) -> Record:
        """Of a paid source."""
        return self.records.setdefault(source, Record())


class Calibration:
    """Calibrated probabilities for the drafts of running requests, one history per workload class."""

    def __init__(self, workloads: Mapping[str, Buckets] | None = None) -> None:
        self.workloads: dict[str, Buckets] = dict(workloads or {})
        self._requests: dict[int, _Request] = {}

    def begin(self, slot: int, workload: str) -> Buckets:
        """A request starts in this slot. Returns its workload's history."""
        history = self.workloads.setdefault(workload, Buckets())
        self._requests[slot] = _Request(history)
        return history

    def end(self, slot: int) -> None:
        """The request is over; what it showed stays with its workload."""
        request = self._requests.pop(slot, None)
        if request and request.drought:
            request.workload.droughts.add(request.drought)

    def probabilities(self, slot: int, draft: Draft, limit: int, behind: str = "") -> Iterator[float]:
        """P(token i right | all before it right) for the first `limit` tokens of a draft, computed as far as asked. A
        draft that continues another's, of source `behind`, has a record of its own: it is found where little repeats.
        """
        request = self._requests[slot]
        known = request.known
        for part in draft.segments:
            for key in islice(_keys(part, behind), limit):
                probability = known.get(key)
                if probability is None:
                    probability = known[key] = self._estimate(request, key)
                yield probability
            behind, limit = part.source, limit - len(part)
            if limit <= 0:
                break

    def observe(self, slot: int, offered: Iterable[Draft], emitted: Sequence[int]) -> None:
        """Compare every proposal of a round with the tokens it emitted, up to the first difference."""
        request = self._requests[slot]
        for draft in offered:
            at, behind = 0, ""
            for part in draft.segments:
                stood = self._compare(request, part, emitted[at:], behind)
                at, behind = at + stood, part.source
                if stood < len(part):
                    break
        request.known.clear()

    def observe_paid(self, slot: int, source: str, tokens: int, cost: float) -> None:
        """A round that asked a paid source emitted `tokens` and cost so many plain passes, drafting included."""
        request = self._requests[slot]
        request.workload.record(source).add(tokens, cost, FADE)
        request.record(source).add(tokens, cost, REQUEST_FADE)

    def worth(self, slot: int, source: str, expected: float) -> float:
        """Tokens a plain pass when this paid source is asked now; `expected` before anything was observed."""
        request = self._requests[slot]
        return estimate(expected, request.workload.record(source), request.record(source))

    def observe_drought(self, slot: int, tokens: int, dry: bool) -> None:
        """A round emitted `tokens`; `dry` if no free draft paid."""
        request = self._requests[slot]
        if not dry and request.drought:
            request.workload.droughts.add(request.drought)
        request.drought = request.drought + tokens if dry else 0

    def drought_left(self, slot: int, most: int) -> float:
        """Tokens still to come, of at most `most`, before a free source is expected to know something."""
        request = self._requests[slot]
        return request.workload.droughts.left(request.drought, most)

    def waited(self, slot: int, source: str) -> int:
        """Counts a round in which the source wasn't asked; how many of them the workload has seen in a row."""
        record = self._requests[slot].workload.record(source)
        record.since += 1
        return record.since

    def _compare(self, request: _Request, draft: Draft, emitted: Sequence[int], behind: str) -> int:
        """Fold one source's draft in; how many of its tokens stood."""
        misses = request.misses
        stood = 0
        for key, expected, token in zip(_keys(draft, behind), draft.tokens, emitted, strict=False):
            cell = request.workload.cell(key)
            group = (key[0], _GROUPS[key[1]])
            record = misses.get(group)
            if record is None:
                record = misses[group] = [0.0, 0.0]
            record[1] = MISS_FADE * record[1] + 1 - cell[0] / cell[1]
            cell[1] += 1
            if expected != token:
                record[0] = MISS_FADE * record[0] + 1
                break
            record[0] *= MISS_FADE
            cell[0] += 1
            stood += 1
        return stood

    def _estimate(self, request: _Request, key: Key) -> float:
        """The workload's rate, its odds of a miss scaled by how this request's misses compare with those expected."""
        hits, trials = request.workload.cell(key)
        misses, expected = request.misses.get((key[0], _GROUPS[key[1]]), (0.0, 0.0))
        odds = (trials - hits) / hits * (misses + REQUEST_STRENGTH) / (expected + REQUEST_STRENGTH)
        return 1 / (1 + odds)

    def to_json(self) -> dict[str, Any]:
        """Plain values for a state file."""
        return {
            name: {
                "gain": [buckets.gain, buckets.paid_gain],
                "buckets": [[*key, *cell] for key, cell in sorted(buckets.counts.items())],
                "paid": _records_to_json(buckets.records),
                "droughts": buckets.droughts.counts,
            }
            for name, buckets in self.workloads.items()
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Calibration":
        """Raises ValueError, KeyError, TypeError or AttributeError on a damaged value."""
        workloads = {}
        for name, history in value.items():
            counts: dict[Key, list[float]] = {}
            for source, row, column, hits, trials in history["buckets"]:
                if not (0 < float(hits) <= float(trials) and 0 <= row < len(COPY) and 0 <= column <= MODEL):
                    raise ValueError(f"bucket {source}/{row}/{column} holds {hits} hits of {trials}")
                counts[str(source), int(row), int(column)] = [float(hits), float(trials)]
            droughts = [float(count) for count in history["droughts"]]
            if len(droughts) != len(RUNS) or not all(0 <= count < math.inf for count in droughts):
                raise ValueError(f"{name} holds the droughts {droughts}")
            paid = _records_from_json(history["paid"])
            gain, paid_gain = map(float, history["gain"])
            if not math.isfinite(gain) or not math.isfinite(paid_gain):
                raise ValueError(f"{name} gained {gain} and {paid_gain} passes")
            workloads[name] = Buckets(counts, gain, paid_gain, paid, Droughts(droughts))
        return cls(workloads)


def _keys(draft: Draft, behind: str) -> Iterator[Key]:
    """The bucket of every token of one source's draft."""
    source, support = f"{behind}+{draft.source}" if behind else draft.source, draft.support
    if not support:
        for probability in draft.probabilities:
            yield source, confidence_bucket(probability), MODEL
        return
    for length, share in enumerate(draft.probabilities, start=draft.match_length):
        yield source, _LENGTHS[length] if length < 64 else 9, agreement_bucket(share, support)


def _records_to_json(records: Mapping[str, Record]) -> dict[str, list[float]]:
    return {source: [record.tokens, record.cost, record.since] for source, record in records.items()}


def _records_from_json(value: Mapping[str, Any]) -> dict[str, Record]:
    records = {}
    for source, (tokens, cost, since) in value.items():
        if not all(0 <= float(figure) < math.inf for figure in (tokens, cost, since)):
            raise ValueError(f"the record of {source} holds {tokens} tokens for {cost} passes, {since} rounds ago")
        records[str(source)] = Record(float(tokens), float(cost), int(since))
    return records
