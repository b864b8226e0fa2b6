"""How often a drafter's tokens come true, by source and feature bucket, learnt online from every emitted token.

Free sources propose in every round, whether or not their draft is verified; comparing each proposal with what was
emitted is a replay that costs no target pass (full-information feedback: HedgeSpec, arXiv 2510.20064).

A token's bucket is (source, matched length + position in the draft, agreement of the occurrences): by the time
position i is reached, the match has grown by i, and replays show that a token so deep in a draft stands as often as
the first token of a draft found with that longer match.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from slipstream.control.priors import COPY, PRIORS, agreement_bucket, length_bucket
from slipstream.core.draft import Draft

Key = tuple[str, int, int]

STRENGTH = 10.0
"""What a prior weighs, in observations."""
MEMORY = 2000.0
"""Observations after which a bucket's old ones fade."""
REQUEST_STRENGTH = 1.5
"""Expected misses it takes before a request's own record outweighs its workload's: few, because requests differ more
from each other than from themselves."""
REQUEST_FADE = 0.97
"""What an observation keeps of the older ones in a request's record."""

_LENGTHS = [length_bucket(length) for length in range(65)]
_GROUPS = (0, 0, 1, 1, 2, 2, 2, 3, 3, 3)
"""Length buckets that a request judges together: it has too few observations to judge each."""


@dataclass(slots=True)
class Buckets:
    """One workload class: hits and trials by bucket, the prior's pseudo-observations included; and what drafting gained
    per request lately, in plain passes."""

    counts: dict[Key, list[float]] = field(default_factory=dict)
    gain: float = 0.0

    def cell(self, key: Key) -> list[float]:
        """[hits, trials] of a bucket, to be added to."""
        cell = self.counts.get(key)
        if cell is None:
            source, length, agreement = key
            cell = self.counts[key] = [STRENGTH * PRIORS.get(source, COPY)[length][agreement], STRENGTH]
        elif cell[1] >= MEMORY:
            cell[0] *= 0.5
            cell[1] *= 0.5
        return cell


@dataclass(slots=True)
class _Request:
    """A running request: its workload's buckets, and by (source, length group) its misses and how many were
    expected."""

    workload: Buckets
    misses: dict[tuple[str, int], list[float]] = field(default_factory=dict)
    known: dict[Key, float] = field(default_factory=dict)


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
        self._requests.pop(slot, None)

    def probabilities(self, slot: int, draft: Draft, limit: int) -> Iterator[float]:
        """P(token i right | all before it right) for the first `limit` tokens of a draft, computed as far as asked."""
        request = self._requests[slot]
        source, support = draft.source, draft.support
        known = request.known
        for length, share in enumerate(draft.probabilities[:limit], start=draft.match_length):
            agreement = agreement_bucket(share, support)
            key = (source, _LENGTHS[length] if length < 64 else 9, agreement)
            probability = known.get(key)
            if probability is None:
                probability = known[key] = self._estimate(request, key)
            yield probability

    def observe(self, slot: int, offered: Iterable[Draft], emitted: Sequence[int]) -> None:
        """Compare every proposal of a round with the tokens it emitted, up to the first difference."""
        request = self._requests[slot]
        cell_of, misses = request.workload.cell, request.misses
        for draft in offered:
            source, support = draft.source, draft.support
            length = draft.match_length
            for expected, share, token in zip(draft.tokens, draft.probabilities, emitted, strict=False):
                bucket = _LENGTHS[length] if length < 64 else 9
                cell = cell_of((source, bucket, agreement_bucket(share, support)))
                group = (source, _GROUPS[bucket])
                record = misses.get(group)
                if record is None:
                    record = misses[group] = [0.0, 0.0]
                record[1] = REQUEST_FADE * record[1] + 1 - cell[0] / cell[1]
                cell[1] += 1
                if expected != token:
                    record[0] = REQUEST_FADE * record[0] + 1
                    break
                record[0] *= REQUEST_FADE
                cell[0] += 1
                length += 1
        request.known.clear()

    def _estimate(self, request: _Request, key: Key) -> float:
        """The workload's rate, its odds of a miss scaled by how this request's misses compare with those expected."""
        hits, trials = request.workload.cell(key)
        misses, expected = request.misses.get((key[0], _GROUPS[key[1]]), (0.0, 0.0))
        odds = (trials - hits) / hits * (misses + REQUEST_STRENGTH) / (expected + REQUEST_STRENGTH)
        return 1 / (1 + odds)

    def to_json(self) -> dict[str, Any]:
        """Plain values for a state file."""
        return {
            name: {"gain": buckets.gain, "buckets": [[*key, *cell] for key, cell in sorted(buckets.counts.items())]}
            for name, buckets in self.workloads.items()
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Calibration":
        """Raises ValueError, KeyError, TypeError or AttributeError on a damaged value."""
        workloads = {}
        for name, history in value.items():
            counts: dict[Key, list[float]] = {}
            for source, length, agreement, hits, trials in history["buckets"]:
                if not (0 < float(hits) <= float(trials) and 0 <= length < len(COPY) and 0 <= agreement < len(COPY[0])):
                    raise ValueError(f"bucket {source}/{length}/{agreement} holds {hits} hits of {trials}")
                counts[str(source), int(length), int(agreement)] = [float(hits), float(trials)]
            workloads[name] = Buckets(counts, float(history["gain"]))
        return cls(workloads)
