"""Limits on quality: measured once, and exceeded by whatever wasn't measured."""

import math

import pytest

from slipstream.core.errors import RequestError, UnknownName
from slipstream.tune.configuration import DEFAULT, Configuration
from slipstream.tune.quality_limit import QualityLimit, limits_of, within
from tests.tune.simulated import choice, configuration


@pytest.mark.parametrize(
    ("losses", "good", "says"),
    [
        ({"perplexity": 0.01, "kl": 0.004}, True, "perplexity loss 0.01 within 0.02"),
        ({"perplexity": -0.01, "kl": 0.0}, True, "kl loss 0 within 0.005"),
        ({"perplexity": 0.03, "kl": 0.004}, False, "perplexity loss 0.03, beyond the limit of 0.02"),
        ({"perplexity": 0.01, "kl": 0.006}, False, "kl loss 0.006, beyond the limit of 0.005"),
        ({"perplexity": 0.01}, False, "kl was not measured"),
        ({"perplexity": math.nan, "kl": 0.0}, False, "perplexity loss nan"),
    ],
)
def test_every_limit_must_hold(losses: dict[str, float], good: bool, says: str) -> None:
    found = within({"perplexity": 0.02, "kl": 0.005}, losses)
    assert found.good is good and says in found.reason


def test_quality_is_measured_once_and_only_where_it_can_change() -> None:
    asked: list[str] = []

    def measure(one: Configuration) -> dict[str, float]:
        asked.append(one.name)
        return {"perplexity": 0.01}

    limit = QualityLimit({"perplexity": 0.02}, measure, {})
    cache = configuration("cache", lossy=True)
    both = Configuration((choice("threads"), choice("cache", lossy=True)))
    assert all(limit.admits(one).good for one in (DEFAULT, configuration("threads"), cache, both, cache))
    assert asked == ["cache True"]


def test_limits_by_name_and_alone() -> None:
    assert limits_of(["0.02", "kl=0.01"]) == {"perplexity": 0.02, "kl": 0.01}
    assert limits_of([]) == {}


@pytest.mark.parametrize("text", ["kl=", "kl=-1", "x", "kl=nan", "perplexity=200"])
def test_limits_that_can_not_be_read(text: str) -> None:
    with pytest.raises(RequestError, match="can't be read"):
        limits_of([text])


def test_an_unknown_figure_is_refused() -> None:
    with pytest.raises(UnknownName, match="did you mean 'perplexity'"):
        limits_of(["perplexiti=1"])
