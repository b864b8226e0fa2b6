"""A real session on the fake target, for benchmarks that run in no time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from slipstream.control.calibration import Calibration
from slipstream.control.curve import VerifyCost
from slipstream.control.policy import AdaptivePolicy
from slipstream.decode.loop import Loop
from slipstream.drafters import catalog
from slipstream.engine.fake import FakeTarget, random_table
from slipstream.keep import Keep
from slipstream.models.gguf import Header
from slipstream.session import Session
from tests.support import LetterTokenizer

VOCABULARY = 8
CURVE = {1: 98.0, 2: 122.0, 4: 139.0, 8: 190.0, 16: 295.0, 32: 424.0, 64: 675.0}


def fake_session(folder: Path, seed: int = 1) -> Session:
    """Prompts are words of the letters a to h."""
    curve = VerifyCost({64: dict(CURVE)})
    costs = list(curve.costs(64))
    target = FakeTarget(
        random_table(seed, VOCABULARY), VOCABULARY, slots=1, context_length=512,
        cost=lambda width, depth: costs[min(width, 64)],
    )  # fmt: skip
    tokenizer = LetterTokenizer()
    keep = Keep(folder, "machine", "model", curve=curve, calibration=Calibration())
    drafters = {name: catalog.create(name) for name in catalog.names(free=True)}
    loop = Loop(target, tokenizer, drafters, AdaptivePolicy(curve, keep.calibration), target.clock)

    def render(messages: Sequence[Mapping[str, str]]) -> list[int]:
        return tokenizer.encode(messages[-1]["content"])

    return Session(
        target, tokenizer, loop, render, tokenizer.encode, lambda: None, lambda: (), keep, cast(Header, None)
    )
