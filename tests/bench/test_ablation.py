"""Replays of single sources: the rounds that a real loop would have, without its target."""

import random

import pytest

from slipstream.bench.ablation import LENGTHS, Answer, draft_source, free_source
from slipstream.control.curve import VerifyCost
from slipstream.control.fixed import FixedPolicy
from slipstream.core.request import Request
from slipstream.decode.loop import Loop
from slipstream.drafters import catalog
from slipstream.drafters.draft_model import DraftModel
from slipstream.engine.fake import FakeTarget, scripted_table
from tests.support import LetterTokenizer

VOCABULARY = 12
CURVE = {1: 10.0, 2: 13.0, 4: 15.0, 8: 22.0, 16: 40.0, 64: 120.0}
COSTS = VerifyCost({64: CURVE}).costs(0)
STEP_MS = 2.0


def text(seed: int, length: int) -> tuple[int, ...]:
    """Tokens with repetitions."""
    rng = random.Random(seed)
    tokens: list[int] = []
    while len(tokens) < length:
        at = rng.randrange(len(tokens) + 1)
        tokens += tokens[at : at + 9] if rng.random() < 0.4 else [rng.randrange(VOCABULARY - 1)]
    return tuple(tokens[:length])


PROMPT, SAID = text(1, 60), text(2, 80)


def scripted() -> FakeTarget:
    table = scripted_table(SAID, len(PROMPT), VOCABULARY)
    return FakeTarget(table, VOCABULARY, cost=lambda width, depth: COSTS[width])


def in_a_loop(source: str, length: int) -> tuple[float, float]:
    """Speed-up and tokens per round of a real loop with this source at this length."""
    target = scripted()
    free = {source: catalog.create(source, {"max_outputs": 0} if source == "suffix" else None)}
    loop = Loop(target, LetterTokenizer(), free, FixedPolicy((source,), length), target.clock)
    slot = loop.submit(Request(PROMPT, max_tokens=len(SAID), remember=False))
    while slot.finish is None:
        loop.step()
    return len(SAID) * COSTS[1] / slot.stats.decode_ms, slot.stats.tokens_per_round


@pytest.mark.parametrize("source", ["suffix", "prompt_lookup"])
def test_a_free_source_has_the_rounds_of_a_real_loop(source: str) -> None:
    def make() -> object:
        return catalog.create(source, {"max_outputs": 0} if source == "suffix" else None)

    singles = free_source(source, make, [Answer(PROMPT, SAID)], COSTS)  # type: ignore[arg-type]
    assert [single.length for single in singles] == list(LENGTHS)
    for single in singles:
        assert (single.speed_up, single.tokens_per_round) == pytest.approx(in_a_loop(source, single.length))


def test_a_draft_model_has_the_rounds_of_a_real_loop() -> None:
    rng = random.Random(3)
    agree = tuple(rng.random() < 0.8 for _ in SAID)
    wrong = VOCABULARY - 1
    draft_says = [token if right else wrong for token, right in zip(SAID, agree, strict=True)]
    length = 6
    singles = draft_source("draft_model", [Answer(PROMPT, SAID, agree)], COSTS, STEP_MS)
    (single,) = [one for one in singles if one.length == length]
    target = scripted()
    model = FakeTarget(
        scripted_table(draft_says, len(PROMPT), VOCABULARY), VOCABULARY, clock=target.clock,
        cost=lambda width, depth: STEP_MS if width < 5 else 0.0,
    )  # fmt: skip
    loop = Loop(
        target, LetterTokenizer(), {}, FixedPolicy(("draft_model",), length), target.clock,
        paid={"draft_model": DraftModel(model, target.clock)},
    )  # fmt: skip
    slot = loop.submit(Request(PROMPT, max_tokens=len(SAID), remember=False))
    while slot.finish is None:
        loop.step()
    assert single.tokens_per_round == pytest.approx(slot.stats.tokens_per_round)
    assert single.speed_up == pytest.approx(len(SAID) * COSTS[1] / slot.stats.decode_ms, rel=0.01)
