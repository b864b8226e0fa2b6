"""llama-cpp-python as its users run it: plain, and with its own prompt lookup (`LlamaPromptLookupDecoding`)."""

from functools import partial
from typing import Any

from slipstream.bench.peers.arm import child_arm
from slipstream.bench.peers.ports import Offer, Setting

NAME = "llama-cpp-python"
OWN = (2, 10)
"""The library's own defaults: longest match and length of drafts."""
MATCH = 3


def settings(offer: Offer) -> list[Setting]:
    """It is installed wherever Slipstream is."""
    lookups = [("prompt lookup", OWN), *((f"prompt lookup {length}", (MATCH, length)) for length in offer.lengths)]
    return [_setting("plain", {}), *(_setting(name, {"match": m, "length": n}) for name, (m, n) in lookups)]


def _setting(name: str, options: dict[str, Any]) -> Setting:
    return Setting(NAME, name, options, partial(child_arm, NAME, options))
