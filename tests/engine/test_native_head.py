"""The next-token head of a tiny random qwen35: its drafts depend on nothing but the tokens, and harm nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slipstream.core.errors import EngineError
from slipstream.core.ports import Feed
from slipstream.engine import head_context
from slipstream.engine.head_context import why_not
from slipstream.engine.native_head import HeadDraft, NativeHead
from slipstream.engine.options import ModelOptions
from slipstream.engine.target import LlamaTarget
from tests.engine import tiny_states

PROMPT = list(range(10, 45))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_states.delta_net(tmp_path_factory.mktemp("head") / "head.gguf", head=True)


def open_target(path: Path, **changes: Any) -> LlamaTarget:
    usual: dict[str, Any] = {"threads": 1, "context_length": 128, "slots": 2, "batch_size": 32, "micro_batch": 32}
    usual |= {"key_type": "f32", "value_type": "f32", "flash_attention": "off", "native_head": True}
    return LlamaTarget.open(ModelOptions(path, **(usual | changes)))


@pytest.fixture
def target(path: Path) -> Iterator[LlamaTarget]:
    with open_target(path) as target:
        yield target


def feed(target: LlamaTarget, tokens: list[int], slot: int = 0, step: int = 32) -> None:
    for start in range(0, len(tokens), step):
        part = tokens[start : start + step]
        target.decode([Feed(slot, len(target.held(slot)), part, 1)])


def fresh(path: Path, tokens: list[int], token: int, count: int) -> HeadDraft:
    """What a head drafts that has just read `tokens`."""
    with open_target(path, slots=1) as target, NativeHead(target) as head:
        feed(target, tokens)
        return head.draft(0, token, count)


def same(one: HeadDraft, other: HeadDraft) -> bool:
    return one.tokens == other.tokens and np.allclose(one.probabilities, other.probabilities, atol=1e-3)


def test_drafts_do_not_depend_on_how_the_tokens_came(path: Path, target: LlamaTarget) -> None:
    with NativeHead(target) as head:
        feed(target, PROMPT, step=5)
        assert head.behind(0) == len(PROMPT)
        draft = head.draft(0, 50, 6)
        assert len(draft.tokens) == len(draft.probabilities) == 6
        assert all(0 < probability <= 1 for probability in draft.probabilities)
        assert same(draft, fresh(path, PROMPT, 50, 6))
        assert head.behind(0) == 0
        assert same(head.draft(0, 50, 6), draft)
        assert same(head.draft(0, 51, 6), fresh(path, PROMPT, 51, 6))
        assert len(head.draft(0, 50, 6, lambda token, probability: False).tokens) == 1
        other = [*PROMPT[:20], 99]
        feed(target, other, slot=1)
        assert same(head.draft(1, 50, 4), fresh(path, other, 50, 4))


def test_drafts_after_many_rewinds(path: Path, target: LlamaTarget) -> None:
    random = np.random.default_rng(4)
    with NativeHead(target) as head:
        held: list[int] = []
        feed(target, PROMPT[:8])
        held += PROMPT[:8]
        for round_number in range(60):
            token = int(random.integers(3, 269))
            draft = [token, *head.draft(0, token, int(random.integers(1, 6))).tokens]
            target.decode([Feed(0, len(held), draft, len(draft)), Feed(1, 0, [5, 6], 1)])
            held += draft[: int(random.integers(1, len(draft) + 1))]
            target.rewind(0, len(held))
            target.rewind(1, 0)
            if round_number % 15 == 14:
                assert same(head.draft(0, 77, 5), fresh(path, held, 77, 5))
            if len(held) > 90:
                target.rewind(0, 0)
                feed(target, held[:20])
                del held[20:]


def test_the_target_computes_the_same_with_and_without_a_head(path: Path) -> None:
    rows = []
    for drafting in (False, True):
        with open_target(path) as target:
            head = NativeHead(target) if drafting else None
            feed(target, PROMPT)
            for token in range(60, 70):
                if head:
                    head.draft(0, token, 4)
                target.decode([Feed(0, len(target.held(0)), [token, 5, 6], 3)])
                rows.append(np.array([target.logits(row).copy() for row in range(3)]))
                target.rewind(0, len(target.held(0)) - 2)
            if head:
                head.close()
    assert np.array_equal(rows[:10], rows[10:])


def test_a_head_that_missed_the_beginning_reads_on(target: LlamaTarget) -> None:
    feed(target, PROMPT)
    with NativeHead(target) as head:
        assert head.draft(0, 50, 4) == HeadDraft()
        target.decode([Feed(0, len(PROMPT), [60, 61, 62], 1)])
        assert len(head.draft(0, 50, 4).tokens) == 4
        # The same prompt again, from a prefix that the head has dropped.
        target.rewind(0, 10)
        assert head.draft(0, 50, 4) == HeadDraft()
        target.decode([Feed(0, 10, [60, 61], 1)])
        assert len(head.draft(0, 50, 4).tokens) == 4


def test_drafts_stop_where_the_slot_is_full(target: LlamaTarget) -> None:
    with NativeHead(target) as head:
        feed(target, [5 + index % 200 for index in range(124)])
        assert len(head.draft(0, 50, 9).tokens) == 3
        target.decode([Feed(0, 124, [6, 7, 8], 1)])
        assert head.draft(0, 50, 9) == HeadDraft()


def test_why_not(path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_target(tiny_folder / "delta_net.gguf") as target:
        assert "has no next-token head" in why_not(target.model)
        with pytest.raises(EngineError, match="has no next-token head"):
            NativeHead(target)
    with open_target(path, native_head=False) as target:
        assert "was not loaded" in why_not(target.model)
    with open_target(path) as target:
        assert why_not(target.model) == ""
        monkeypatch.setattr(head_context, "_functions", lambda: None)
        assert "doesn't export" in why_not(target.model)
        monkeypatch.setattr(head_context, "ARCHITECTURES", frozenset())
        assert "architecture qwen35" in why_not(target.model)
