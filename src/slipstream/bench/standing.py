"""What a claim is worth today (requirement R12), and what a retraction reaches. Nothing is deleted: it is marked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from slipstream.bench.claim import Claim, Standing
from slipstream.bench.store_rows import Report, Retraction, StoredRun

EXTERNAL, PROJECTION = "external", "projection"
"""Kinds of runs that were measured elsewhere, not on our clock, or not at all."""


@dataclass(frozen=True, slots=True)
class Reach:
    """A retraction, the claims it takes down, and the reports that cite one of them."""

    retraction: Retraction
    claims: tuple[str, ...]
    reports: tuple[Report, ...]


def standing(claim: Claim, run: StoredRun, retracted: Mapping[str, str]) -> tuple[Standing, str]:
    """How a claim of `run` stands now, with the reason; `retracted` has reasons by claim id.

    A retraction outweighs everything; a suspect run, one that was measured elsewhere, and a projection carry
    observations at most.
    """
    if why := retracted.get(claim.id):
        return "retracted", why
    if run.retracted:
        return "retracted", f"its run was retracted: {run.retracted}"
    if claim.standing != "observation":
        if run.suspect:
            return "observation", f"its run is suspect: {run.suspect}"
        if run.kind == EXTERNAL:
            return "observation", "measured elsewhere"
        if run.kind == PROJECTION:
            return "observation", "a projection, not measured"
    return claim.standing, claim.reason


def judged(claims: Iterable[Claim], runs: Mapping[str, StoredRun], retracted: Mapping[str, str]) -> list[Claim]:
    """The claims with their present standing and its reason."""
    found = []
    for claim in claims:
        now, why = standing(claim, runs[claim.run], retracted)
        found.append(replace(claim, standing=now, reason=why))
    return found


def reach(retraction: Retraction, claims: Iterable[Claim], reports: Sequence[Report]) -> Reach:
    """What a retraction touches. `claims` are at least those of its run, or the claim itself."""
    if retraction.what == "run":
        fallen = tuple(claim.id for claim in claims if claim.run == retraction.id)
    else:
        fallen = (retraction.id,)
    return Reach(retraction, fallen, tuple(report for report in reports if set(fallen) & set(report.claims)))
