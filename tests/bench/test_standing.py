"""How a claim stands: retraction outweighs all, doubt and distance allow an observation at most."""

from dataclasses import fields, replace
from itertools import product
from typing import get_args

import pytest

from slipstream.bench.claim import Standing
from slipstream.bench.standing import reach, standing
from slipstream.bench.store_rows import Report, Retraction, StoredRun
from tests.bench.stored import make_claim, make_run

RUN = StoredRun(**{field.name: getattr(make_run(), field.name) for field in fields(make_run())})


@pytest.mark.parametrize("made_as", get_args(Standing))
def test_a_claim_stands_as_it_was_made(made_as: Standing) -> None:
    assert standing(make_claim(standing=made_as, reason="why"), RUN, {}) == (made_as, "why")


def test_a_retraction_outweighs_everything_else() -> None:
    for suspect, kind, mine in product(("", "slow"), ("compare", "external"), ("", "run too")):
        run = replace(RUN, suspect=suspect, kind=kind, retracted=mine)
        assert standing(make_claim(), run, {make_claim().id: "wrong"}) == ("retracted", "wrong")
    assert standing(make_claim(), replace(RUN, retracted="run too"), {"another": "wrong"})[0] == "retracted"


@pytest.mark.parametrize("made_as", ["optimum", "baseline", "candidate"])
def test_suspect_and_external_runs_carry_observations_at_most(made_as: Standing) -> None:
    claim = make_claim(standing=made_as)
    assert standing(claim, replace(RUN, suspect="slow"), {}) == ("observation", "its run is suspect: slow")
    assert standing(claim, replace(RUN, kind="external"), {}) == ("observation", "measured elsewhere")


def test_an_observation_keeps_its_own_reason() -> None:
    claim = make_claim(standing="observation", reason="3 pairs")
    assert standing(claim, replace(RUN, suspect="slow"), {}) == ("observation", "3 pairs")


def test_reach() -> None:
    mine, other = make_claim(), make_claim("another")
    reports = [Report("a", "a.html", 1.0, (mine.id, other.id)), Report("b", "b.html", 2.0, (other.id,))]
    found = reach(Retraction("run", mine.run, "why", 3.0), [mine, other], reports)
    assert (found.claims, found.reports) == ((mine.id,), (reports[0],))
    found = reach(Retraction("claim", other.id, "why", 3.0), [mine, other], reports)
    assert (found.claims, found.reports) == ((other.id,), tuple(reports))
