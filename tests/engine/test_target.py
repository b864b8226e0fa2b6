"""The target on tiny models of every kind of memory, where results can be compared exactly or nearly so."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_cpp import llama_cpp as library

from slipstream.core.errors import ContextOverflow, EngineError
from slipstream.core.ports import Feed
from slipstream.core.request import Sampling
from slipstream.engine.context import Logits
from slipstream.engine.options import ModelOptions
from slipstream.engine.target import LlamaTarget

PROMPT = list(range(10, 30))
TOLERANCE = 0.02
"""Kernels differ by batch width in the last bits of an f16 cache; states that are wrong differ by whole logits."""


@pytest.fixture(params=["dense", "window", "recurrent", "hybrid", "delta_net", "mamba2", "rwkv"])
def any_target(request: pytest.FixtureRequest, tiny_folder: Path) -> Iterator[LlamaTarget]:
    options = ModelOptions(tiny_folder / f"{request.param}.gguf", threads=1, context_length=128, slots=3, batch_size=64)
    with LlamaTarget.open(options) as target:
        yield target


def fresh(target: LlamaTarget, tokens: list[int], slot: int = 2) -> Logits:
    """Logits after `tokens`, decoded from nothing."""
    target.rewind(slot, 0)
    target.decode([Feed(slot, 0, tokens, 1)])
    return target.logits(0).copy()


def test_capabilities(tiny_folder: Path) -> None:
    found = {}
    for name in ("dense", "window", "recurrent", "hybrid", "delta_net", "mamba2", "rwkv"):
        with LlamaTarget.open(ModelOptions(tiny_folder / f"{name}.gguf", threads=1, context_length=64)) as target:
            found[name] = (target.capabilities.rewind, target.capabilities.window)
            assert target.held(0) == []
            assert target.context.length(0) == 0
    assert found == {
        "dense": ("full", 0),
        "window": ("full", 8),
        "recurrent": ("checkpoint", 0),
        "hybrid": ("bounded", 0),
        "delta_net": ("bounded", 0),
        "mamba2": ("bounded", 0),
        "rwkv": ("checkpoint", 0),
    }


def test_rewind_is_as_if_the_tokens_had_never_been(any_target: LlamaTarget) -> None:
    any_target.decode([Feed(0, 0, PROMPT, 1)])
    kept = list(PROMPT)
    for accepted in (3, 0, 4, 1, 0, 0, 5, 2, 0, 0, 0, 0, 0, 0, 0, 0):
        draft = [40 + len(kept) + i for i in range(6)]
        any_target.decode([Feed(0, len(kept), draft, 6)])
        kept += draft[: accepted + 1]
        any_target.rewind(0, len(kept))
        assert any_target.held(0) == kept
    any_target.decode([Feed(0, len(kept), [99], 1)])
    after = any_target.logits(0).copy()
    np.testing.assert_allclose(after, fresh(any_target, [*kept, 99]), atol=TOLERANCE)
    assert np.abs(after - fresh(any_target, [*PROMPT, 99])).max() > 20 * TOLERANCE


def test_rewind_to_before_any_checkpoint(any_target: LlamaTarget) -> None:
    any_target.decode([Feed(0, 0, PROMPT, 1)])
    any_target.rewind(0, 7)
    any_target.decode([Feed(0, 7, [99], 1)])
    np.testing.assert_allclose(any_target.logits(0).copy(), fresh(any_target, [*PROMPT[:7], 99]), atol=TOLERANCE)


def test_every_row_of_a_wide_pass(any_target: LlamaTarget) -> None:
    any_target.decode([Feed(0, 0, PROMPT, len(PROMPT))])
    rows = [any_target.logits(row).copy() for row in range(len(PROMPT))]
    for row in (0, 7, 19):
        np.testing.assert_allclose(rows[row], fresh(any_target, PROMPT[: row + 1]), atol=TOLERANCE)


def test_slots_do_not_see_each_other(any_target: LlamaTarget) -> None:
    other = list(range(100, 113))
    any_target.decode([Feed(0, 0, PROMPT, 1), Feed(1, 0, other, 2)])
    first, before_last, last = (any_target.logits(row).copy() for row in range(3))
    np.testing.assert_allclose(first, fresh(any_target, PROMPT), atol=TOLERANCE)
    np.testing.assert_allclose(before_last, fresh(any_target, other[:-1]), atol=TOLERANCE)
    np.testing.assert_allclose(last, fresh(any_target, other), atol=TOLERANCE)
    any_target.decode([Feed(1, 13, [50, 51], 2), Feed(0, 20, [60, 61, 62], 3)])
    any_target.rewind(0, 21)
    any_target.rewind(1, 14)
    any_target.decode([Feed(0, 21, [70], 1), Feed(1, 14, [80], 1)])
    rows = [any_target.logits(row).copy() for row in range(2)]
    np.testing.assert_allclose(rows[0], fresh(any_target, [*PROMPT, 60, 70]), atol=TOLERANCE)
    np.testing.assert_allclose(rows[1], fresh(any_target, [*other, 50, 80]), atol=TOLERANCE)


def test_reuse_keeps_a_prefix(any_target: LlamaTarget) -> None:
    any_target.decode([Feed(0, 0, PROMPT, 1)])
    wanted = [*PROMPT, 50, 51]
    assert any_target.reuse(0, wanted) == len(PROMPT)
    any_target.decode([Feed(0, len(PROMPT), wanted[len(PROMPT) :], 2)])
    branch = [*PROMPT, 50, 60, 61]
    kept = any_target.reuse(0, branch)
    assert kept == (20 if any_target.capabilities.rewind == "checkpoint" else 21)
    any_target.decode([Feed(0, kept, branch[kept:], 1)])
    np.testing.assert_allclose(any_target.logits(0).copy(), fresh(any_target, branch), atol=TOLERANCE)


def test_reuse_leaves_one_token_to_feed(dense: LlamaTarget) -> None:
    dense.decode([Feed(0, 0, PROMPT, 1)])
    assert dense.reuse(0, PROMPT) == len(PROMPT) - 1
    assert dense.held(0) == PROMPT[:-1]
    assert dense.reuse(0, [99]) == 0
    assert dense.held(0) == []


@pytest.mark.parametrize(
    ("feeds", "words"),
    [
        ([Feed(0, 3, [1], 1)], "holds 0 tokens but is fed from position 3"),
        ([Feed(2, 0, [1], 1)], "outside 0 to 1"),
        ([Feed(0, 0, [1], 1), Feed(0, 1, [1], 1)], "fed twice"),
        ([Feed(0, 0, [], 0)], "fed 0 tokens"),
        ([Feed(0, 0, [1], 2)], "asked for 2 rows"),
        ([], "a pass of 0 tokens"),
    ],
)
def test_bad_feeds_change_nothing(dense: LlamaTarget, feeds: list[Feed], words: str) -> None:
    with pytest.raises(EngineError, match=words):
        dense.decode(feeds)
    assert dense.held(0) == dense.held(1) == []


def test_limits_that_abort_llama_cpp_are_checked_first(tiny_folder: Path) -> None:
    options = ModelOptions(tiny_folder / "dense.gguf", threads=1, batch_size=16, output_rows=4)
    with LlamaTarget.open(options) as target:
        with pytest.raises(EngineError, match="17 tokens is outside 1 to 16"):
            target.decode([Feed(0, 0, [5] * 17, 1)])
        with pytest.raises(EngineError, match="5 rows of logits"):
            target.decode([Feed(0, 0, [5] * 16, 5)])
        target.decode([Feed(0, 0, [5] * 16, 4)])


def test_a_token_outside_the_vocabulary_leaves_kv_clean(any_target: LlamaTarget) -> None:
    any_target.decode([Feed(0, 0, PROMPT, 1)])
    with pytest.raises(EngineError, match="invalid token"):
        any_target.decode([Feed(0, 20, [5, 10**6], 2)])
    any_target.decode([Feed(0, 20, [99], 1)])
    np.testing.assert_allclose(any_target.logits(0).copy(), fresh(any_target, [*PROMPT, 99]), atol=TOLERANCE)


def test_overflow_of_one_slot(dense: LlamaTarget) -> None:
    dense.decode([Feed(0, 0, [5] * 64, 1)])
    with pytest.raises(ContextOverflow, match="slot 0 holds 64 of 64 tokens and 1 more do not fit"):
        dense.decode([Feed(0, 64, [5], 1)])
    # The other slot has its own 64, whatever the first one took of the shared buffer.
    dense.decode([Feed(1, 0, [5] * 64, 1)])


def test_rows_outside_the_latest_pass(dense: LlamaTarget) -> None:
    dense.decode([Feed(0, 0, PROMPT, 2)])
    for row in (-1, 2):
        with pytest.raises(EngineError, match="no output row"):
            dense.logits(row)
    dense.decode([Feed(0, 20, [5], 0)])
    with pytest.raises(EngineError, match="no output row 0"):
        dense.logits(0)


def test_rewind_bounds(dense: LlamaTarget) -> None:
    dense.decode([Feed(0, 0, PROMPT, 1)])
    with pytest.raises(EngineError, match="holds 20 tokens and can't be rewound to 21"):
        dense.rewind(0, 21)
    dense.rewind(0, 20)
    assert dense.held(0) == PROMPT


def test_no_rewind_is_said_so(dense: LlamaTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense, "_capabilities", type(dense.capabilities)("none", 0))
    dense.decode([Feed(0, 0, PROMPT, 1)])
    with pytest.raises(EngineError, match="can't go back"):
        dense.rewind(0, 5)
    assert dense.reuse(0, [*PROMPT[:10], 99, 98]) == 0
    assert dense.held(0) == []


def test_a_closed_target_says_so(tiny_folder: Path) -> None:
    target = LlamaTarget.open(ModelOptions(tiny_folder / "dense.gguf", threads=1))
    target.decode([Feed(0, 0, PROMPT, 1)])
    sampler = target.sampler(0, Sampling(temperature=1), PROMPT)
    target.close()
    target.close()
    with pytest.raises(EngineError):
        target.decode([Feed(0, 20, [5], 1)])
    with pytest.raises(EngineError):
        sampler.sample(0)
    sampler.close()


@pytest.mark.parametrize("cache", ["f32", "bf16", "q8_0", "q4_0"])
def test_cache_types(tiny_folder: Path, cache: str) -> None:
    options = ModelOptions(tiny_folder / "dense.gguf", threads=1, context_length=64, key_type=cache, value_type=cache)
    with LlamaTarget.open(options) as target:
        assert target.capabilities.rewind == "full"


def test_threads_can_change_between_passes(dense: LlamaTarget) -> None:
    before = fresh(dense, PROMPT, slot=0)
    dense.set_threads(2)
    np.testing.assert_allclose(fresh(dense, PROMPT, slot=0), before, atol=TOLERANCE)


def test_a_pass_that_fails_half_way_is_taken_back(any_target: LlamaTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    any_target.decode([Feed(0, 0, PROMPT, 1)])
    real = library.llama_decode

    def decode_then_fail(*arguments: Any) -> int:
        real(*arguments)
        return -3

    with monkeypatch.context() as patch:
        patch.setattr(library, "llama_decode", decode_then_fail)
        with pytest.raises(EngineError, match="failed with code -3"):
            any_target.decode([Feed(0, 20, [50, 51, 52], 1), Feed(1, 0, [53], 1)])
    assert any_target.held(0) == PROMPT and any_target.held(1) == []
    any_target.decode([Feed(0, 20, [99], 1), Feed(1, 0, [98], 1)])
    rows = [any_target.logits(row).copy() for row in range(2)]
    np.testing.assert_allclose(rows[0], fresh(any_target, [*PROMPT, 99]), atol=TOLERANCE)
    np.testing.assert_allclose(rows[1], fresh(any_target, [98]), atol=TOLERANCE)


def test_rewind_far_behind_the_window(tiny_folder: Path) -> None:
    options = ModelOptions(tiny_folder / "window.gguf", threads=1, slots=3, batch_size=64, micro_batch=8)
    tokens = [20 + 7 * index % 200 for index in range(500)]
    with LlamaTarget.open(options) as target:
        for start in range(0, 500, 50):
            target.decode([Feed(0, start, tokens[start : start + 50], 1)])
        target.rewind(0, 50)
        target.decode([Feed(0, 50, [99], 1)])
        np.testing.assert_allclose(target.logits(0).copy(), fresh(target, [*tokens[:50], 99]), atol=TOLERANCE)


@pytest.mark.parametrize("shared", [True, False])
def test_rewound_drafts_leave_no_trace_bit_for_bit(smollm2_path: Path, shared: bool) -> None:
    """Quantized weights turn a last bit into half a logit: the cells themselves have to be the same again.

    A busy neighbour moves a slot's cells in a shared cache, so with one only caches of their own are compared.
    """
    options = ModelOptions(smollm2_path, threads=1, context_length=256, slots=2, shared_cache=shared)
    tokens = [500 + 7 * index % 90 for index in range(70)]
    with LlamaTarget.open(options) as target:

        def decode(drafts: bool, neighbour: bool) -> list[Logits]:
            target.rewind(0, 0)
            target.rewind(1, 0)
            if neighbour:
                target.decode([Feed(1, 0, tokens[:33], 1)])
            target.decode([Feed(0, 0, tokens[:60], 1)])
            rows = []
            for at in range(60, 66):
                if drafts:
                    target.decode([Feed(0, at, [7] * (at - 57), 1)])
                    target.rewind(0, at)
                target.decode([Feed(0, at, tokens[at : at + 1], 1)])
                rows.append(target.logits(0).copy())
                if neighbour:
                    target.rewind(1, 20)
                    target.decode([Feed(1, 20, tokens[:9], 1)])
            return rows

        plain = decode(drafts=False, neighbour=False)
        assert np.array_equal(plain, decode(drafts=True, neighbour=not shared))


@pytest.mark.real
def test_gemma_rewinds_behind_its_window() -> None:
    from tests.conftest import find_model

    path = find_model("gemma-3-270m.Q4_K_M.gguf")
    with LlamaTarget.open(ModelOptions(path, threads=1, context_length=2048)) as target:
        assert target.capabilities.rewind == "full"
        assert target.capabilities.window == 512
        tokens = [500 + index % 90 for index in range(900)]
        target.decode([Feed(0, 0, tokens[:512], 1)])
        target.decode([Feed(0, 512, tokens[512:], 1)])
        target.rewind(0, 100)
        target.decode([Feed(0, 100, [99], 1)])
        after = target.logits(0).copy()
        target.rewind(0, 0)
        target.decode([Feed(0, 0, tokens[:100], 1)])
        target.decode([Feed(0, 100, [99], 1)])
        # Cached keys were computed in another width, which moves logits of a quantized model by up to about 1.5.
        assert np.abs(after - target.logits(0)).max() < 3
        assert after.argmax() == target.logits(0).argmax()
