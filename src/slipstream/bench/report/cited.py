"""What a report's text comes down to for its validator: figures that cite something, and everything else."""

from collections.abc import Collection
from dataclasses import dataclass

from slipstream.bench.report.claims_under_test import PROMISES
from slipstream.bench.report.evidence import single_spaced
from slipstream.bench.report.figure import Kind

CITED = "\N{OBJECT REPLACEMENT CHARACTER}"
"""Stands in loose text where something was that needs no citation of its own."""
QUOTABLE = frozenset(promise.text for promise in PROMISES)


@dataclass(frozen=True, slots=True)
class Cited:
    """A figure: what it cites, its text, and its exact number where the format carries one. `within`: the text only
    has to hold the figure (the words of a mark in a picture)."""

    line: int
    kind: Kind
    id: str
    field: str
    text: str
    exact: str | None = None
    within: bool = False


@dataclass(frozen=True, slots=True)
class Loose:
    """Text without the figures, stored texts and quoted promises in it."""

    line: int
    text: str


def spared(text: str, *, quoted: bool, stored: Collection[str]) -> bool:
    """Whether a quotation, or a text that is given as stored, may hold a number that looks like a speed-up."""
    return single_spaced(text) in (QUOTABLE if quoted else stored)
