"""The table of peers."""

import pytest

from slipstream.bench.peers import catalog, llama_server, openvino
from slipstream.bench.peers.ports import Offer
from slipstream.core.errors import RequestError, UnknownName

OFFER = Offer(lengths=(8, 16))


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama_server, "installed", lambda: None)
    monkeypatch.setattr(openvino, "find_spec", lambda name: None)


@pytest.mark.parametrize("entry", catalog.PEERS, ids=lambda entry: entry.name)
def test_every_peer_lists_settings_under_its_own_name(entry: catalog.Entry) -> None:
    found = entry.settings(OFFER)
    assert found and {one.peer for one in found} == {entry.name}
    assert len({one.arm for one in found}) == len(found)
    assert found[0].name == "plain" and entry.purpose
    assert all(one.open or one.problem for one in found)


@pytest.mark.usefixtures("nothing_installed")
def test_a_peer_that_is_not_installed_is_a_line_and_no_error() -> None:
    found = catalog.settings(OFFER)
    assert {one.peer for one in found} == set(catalog.names())
    assert {one.peer for one in found if one.absent} == {"llama-server", "openvino"}
    assert all("pip install 'slipstream-llm[peers]'" in one.problem for one in found if one.absent)


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize("name", ["llama-server", "openvino"])
def test_asked_for_by_name_it_is_one(name: str) -> None:
    with pytest.raises(RequestError, match=f"the peer {name} isn't installed") as caught:
        catalog.settings(OFFER, [name])
    assert "slipstream-llm[peers]" in caught.value.hint


def test_only_the_ones_asked_for() -> None:
    assert {one.peer for one in catalog.settings(OFFER, ["llama-cpp-python"])} == {"llama-cpp-python"}
    with pytest.raises(UnknownName, match="did you mean 'llama-server'"):
        catalog.settings(OFFER, ["lama-server"])


def test_prompt_lookup_of_every_length() -> None:
    found = [(one.name, dict(one.configuration)) for one in catalog.settings(OFFER, ["llama-cpp-python"])]
    assert found == [
        ("plain", {}),
        ("prompt lookup", {"match": 2, "length": 10}),
        ("prompt lookup 8", {"match": 3, "length": 8}),
        ("prompt lookup 16", {"match": 3, "length": 16}),
    ]
