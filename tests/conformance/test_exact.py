"""Exact mode on a target whose kernels differ by width, as llama.cpp's do: the output is plain's, bit for bit."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from slipstream.control.calibration import Calibration
from slipstream.control.curve import VerifyCost
from slipstream.control.measure import measure_cost
from slipstream.control.parity import SPLIT, measure_parity
from slipstream.control.policy import AdaptivePolicy
from slipstream.control.price import Price
from slipstream.core.request import Request, Sampling
from slipstream.decode.loop import Loop
from slipstream.decode.slot import Slot
from slipstream.drafters import catalog
from slipstream.drafters.draft_model import DraftModel
from slipstream.engine.fake import FakeTarget
from tests.support import LetterTokenizer, WidthSensitiveTarget, near_ties

VOCABULARY = 8
TEXT = [1, 2, 3, 4, 5, 6, 0, 2, 4, 6, 1, 3, 5] * 12
SAMPLINGS = [Sampling(), Sampling(temperature=0.6, seed=5)]
SEEDS = range(12)


def wide(width: int, depth: int) -> int:
    """BF16: 2 to 40 agree, one token alone doesn't."""
    return 0 if width == 1 else 1 if width <= 40 else 2


def narrow(width: int, depth: int) -> int:
    """Like Q4_K_M, with room for drafts: 1 to 6 agree, and from the split on only 2 to 6."""
    return 9 if width == 1 and depth >= SPLIT else 0 if width <= 6 else 1 + width // 8


KERNELS = {"wide": wide, "narrow": narrow}


def make_loop(seed: int, kernel: str, *, exact: bool, context_length: int = 2048) -> Loop:
    """As assembly puts it together."""
    target = WidthSensitiveTarget(
        near_ties(seed, VOCABULARY), VOCABULARY, slots=1, context_length=context_length,
        cost=lambda width, depth: 90.0 + 10 * width, kernel=KERNELS[kernel],
    )  # fmt: skip
    curve = measure_cost(target, TEXT, target.clock)
    model = DraftModel(FakeTarget(near_ties(seed, VOCABULARY), VOCABULARY, clock=target.clock), target.clock)
    policy = AdaptivePolicy(curve, Calibration(), prices={model.name: Price(VerifyCost({64: {1: 11.0, 64: 74.0}}))})
    if exact:
        policy.allowed = measure_parity(target, TEXT).choose(curve.costs(0))
    drafters = {name: catalog.create(name) for name in catalog.names(free=True)}
    target.widths_at.clear()
    reserve = curve.max_width if exact else 0
    tokenizer = LetterTokenizer()
    return Loop(
        target, tokenizer, drafters, policy, target.clock,
        reuse_prefix=not exact, reserve=reserve, paid={model.name: model},
    )  # fmt: skip


def run(loop: Loop, request: Request) -> Slot:
    slot = loop.submit(request)
    while slot.finish is None:
        loop.step()
    return slot


def outputs(kernel: str, *, exact: bool, prompt: int, length: int = 70) -> Iterator[tuple[Slot, Slot, Loop]]:
    """Plain and drafted generations of the same requests, by seed and sampler."""
    for seed in SEEDS:
        loop = make_loop(seed, kernel, exact=exact)
        for sampling in SAMPLINGS:
            request = Request(tuple(TEXT * 5)[:prompt], max_tokens=length, sampling=sampling)
            plain = run(loop, replace(request, draft="off"))
            yield plain, run(loop, request), loop


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("prompt", [20, SPLIT - 30, SPLIT + 20])
def test_drafted_output_is_the_plain_one_bit_for_bit(kernel: str, prompt: int) -> None:
    accepted = modelled = 0
    for plain, drafted, loop in outputs(kernel, exact=True, prompt=prompt):
        assert drafted.tokens == plain.tokens
        accepted += drafted.stats.accepted
        modelled += drafted.stats.sources["draft_model"].accepted if "draft_model" in drafted.stats.sources else 0
        policy, target = loop.policy, loop.target
        assert isinstance(policy, AdaptivePolicy) and policy.allowed and isinstance(target, WidthSensitiveTarget)
        assert all(width in policy.allowed(depth).widths for depth, width in target.widths_at)
    assert accepted > 100 and modelled > 10, "nothing was tested if no draft stood"


@pytest.mark.parametrize("kernel", KERNELS)
def test_without_exact_mode_outputs_can_differ(kernel: str) -> None:
    """The test above can fail: the kernels' last bits do change outputs."""
    assert any(drafted.tokens != plain.tokens for plain, drafted, _ in outputs(kernel, exact=False, prompt=SPLIT - 30))


@pytest.mark.parametrize("context_length", [200, 576, 577, 600, 650, 700])
def test_a_full_context_ends_alike(context_length: int) -> None:
    for seed in SEEDS:
        loop = make_loop(seed, "narrow", exact=True, context_length=context_length)
        request = Request(tuple(TEXT * 5)[: context_length - 100], max_tokens=500)
        plain, drafted = run(loop, replace(request, draft="off")), run(loop, request)
        assert plain.finish == drafted.finish == "context"
        assert drafted.tokens == plain.tokens
