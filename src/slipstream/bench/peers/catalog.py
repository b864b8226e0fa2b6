"""Every other engine that is measured beside Slipstream."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from importlib import import_module

from slipstream.bench.peers.ports import MISSING, Offer, Setting
from slipstream.core.errors import RequestError, UnknownName

INSTALL = "pip install 'slipstream-llm[peers]'"


@dataclass(frozen=True, slots=True)
class Entry:
    """A peer: its name, the function that lists its settings (imported only when asked for), and what it is."""

    name: str
    where: str
    purpose: str

    @property
    def settings(self) -> Callable[[Offer], list[Setting]]:
        """The function behind `where`."""
        module, _, name = self.where.partition(":")
        found: Callable[[Offer], list[Setting]] = getattr(import_module(module), name)
        return found


PEERS = (
    Entry(
        "llama-server",
        "slipstream.bench.peers.llama_server:settings",
        "llama.cpp's own server, with each type of speculation that it lists",
    ),
    Entry(
        "llama-cpp-python",
        "slipstream.bench.peers.llama_cpp_python:settings",
        "the Python binding's own generation, and its prompt lookup",
    ),
    Entry(
        "openvino",
        "slipstream.bench.peers.openvino:settings",
        "OpenVINO GenAI on the same file: plain, and its prompt lookup",
    ),
)


def names() -> list[str]:
    """Names of all peers."""
    return [entry.name for entry in PEERS]


def settings(offer: Offer, wanted: Iterable[str] = ()) -> list[Setting]:
    """All settings of the peers wanted; of every peer if none is named.

    One that isn't installed is a single setting that says so, but RequestError if it was named. UnknownName for a name
    that isn't in the table.
    """
    chosen = list(dict.fromkeys(wanted))
    for name in chosen:
        if name not in names():
            raise UnknownName("peer", name, names())
    found: list[Setting] = []
    for entry in PEERS:
        if chosen and entry.name not in chosen:
            continue
        listed = entry.settings(offer)
        if any(one.absent for one in listed):
            if chosen:
                raise RequestError(f"the peer {entry.name} isn't installed", hint=INSTALL)
            listed = [replace(listed[0], problem=f"{MISSING}: {INSTALL}")]
        found += listed
    return found
