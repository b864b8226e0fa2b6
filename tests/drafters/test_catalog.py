"""The table of drafters."""

import pytest

from slipstream.core.errors import RequestError, UnknownName
from slipstream.core.request import Request
from slipstream.drafters import catalog
from slipstream.drafters.suffix import SuffixConfig


@pytest.mark.parametrize("name", catalog.names(free=True))
def test_every_entry_makes_a_drafter_of_its_name(name: str) -> None:
    drafter = catalog.create(name)
    assert drafter.name == name
    assert drafter.begin(0, Request((1,), reference=(1, 2)))
    assert drafter.propose(0, 4).source == name
    assert len(drafter.propose(0, 0)) == 0
    drafter.commit(0, [1, 1, 1])
    assert len(drafter.propose(0, 4)) <= 4
    drafter.end(0)
    drafter.end(0)


def test_purposes_fit_a_line() -> None:
    assert all(0 < len(entry.purpose) < 100 and "\n" not in entry.purpose for entry in catalog.CATALOG.values())


def test_unknown_names_are_refused_with_the_valid_ones() -> None:
    with pytest.raises(UnknownName, match="suffix"):
        catalog.create("sufix")
    with pytest.raises(UnknownName, match="min_probability"):
        catalog.create("suffix", {"min_probabilty": 0.5})
    with pytest.raises(RequestError):
        catalog.create("suffix", {"depth": "deep"})


def test_configs_come_from_mappings_and_objects() -> None:
    assert catalog.config("suffix", {"depth": 40}) == SuffixConfig(depth=40)
    assert catalog.create("suffix", SuffixConfig(depth=40)).name == "suffix"
