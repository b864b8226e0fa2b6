"""What the probe finds out about a model, also when llama.cpp is wrong about it; the fake target owes as much."""

from pathlib import Path

import numpy as np
import pytest

from slipstream.core.ports import Feed
from slipstream.core.request import Request
from slipstream.decode.loop import Loop
from slipstream.engine.context import LlamaContext
from slipstream.engine.fake import FakeClock, FakeTarget
from tests.engine.tiny_targets import BOUNDED, SLOTS, VOCABULARY, open_target
from tests.support import EagerPolicy, GuessingDrafter, LetterTokenizer


@pytest.mark.parametrize(
    ("broken", "words"),
    [("save", "state can't be saved"), ("restore", "a saved state can't be restored"), ("logits", "other logits")],
)
def test_without_a_way_back_the_reason_is_said(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, broken: str, words: str
) -> None:
    if broken == "save":
        monkeypatch.setattr(LlamaContext, "save", lambda *_: None)
    elif broken == "restore":
        monkeypatch.setattr(LlamaContext, "restore", lambda *_: False)
    else:
        monkeypatch.setattr(LlamaContext, "restore", lambda *_: True)
    with open_target(tiny_folder, "recurrent") as target:
        assert target.capabilities.rewind == "none"
        assert words in target.capabilities.reason
        assert "\n" not in target.capabilities.reason
        loop = Loop(target, LetterTokenizer(), {"guess": GuessingDrafter(VOCABULARY, 1)}, EagerPolicy(), FakeClock())
        slot = loop.submit(Request((5, 6, 7), max_tokens=4))
        assert len([token for chunk in loop.drive(slot) for token in chunk.tokens]) == 4


@pytest.mark.parametrize("kind", BOUNDED)
@pytest.mark.parametrize("error", [1, 2])
def test_a_rollback_to_the_wrong_place_is_found_out(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str, error: int
) -> None:
    """llama.cpp says that it went back, but the state is that of other tokens: then checkpoints are used."""
    real = LlamaContext.remove

    def remove(context: LlamaContext, slot: int, start: int) -> bool:
        if context.length(slot) - start < 1 or start < 4:
            return real(context, slot, start)
        held = real(context, slot, start)
        if held:
            # One token too many is dropped and replaced by another.
            context.clear(slot)
            context.run([Feed(slot, 0, [20 + error + at for at in range(start)], 0)])
        return held

    monkeypatch.setattr(LlamaContext, "remove", remove)
    with open_target(tiny_folder, kind) as target:
        assert target.capabilities.rewind != "bounded"


@pytest.mark.parametrize("kind", ["recurrent", "hybrid", "mamba2"])
def test_the_fake_target_owes_what_the_real_one_does(tiny_folder: Path, kind: str) -> None:
    random = np.random.default_rng(2)
    with open_target(tiny_folder, kind) as target:
        fake = FakeTarget(lambda _: np.zeros(4, np.float32), 4, slots=SLOTS, capabilities=target.capabilities)
        lengths = [0] * SLOTS
        owing = 0
        for _ in range(300):
            slots = [slot for slot in range(SLOTS) if random.random() < 0.5] or [0]
            slots = [slot for slot in slots if lengths[slot] < 100] or [0]
            same = int(random.integers(1, 5)) if random.random() < 0.5 else 0
            feeds = []
            for slot in slots:
                if lengths[slot] >= 100:
                    assert target.reuse(slot, [9, 9]) == fake.reuse(slot, [9, 9])
                    lengths[slot] = len(target.held(slot))
                count = same or int(random.integers(1, 12))
                feeds.append(Feed(slot, lengths[slot], [3 + count] * count, int(random.choice([count, 0, 1]))))
            target.decode(feeds)
            fake.decode(feeds)
            for feed in feeds:
                lengths[feed.slot] += int(random.integers(0, len(feed.tokens) + 1))
                target.rewind(feed.slot, lengths[feed.slot])
                fake.rewind(feed.slot, lengths[feed.slot])
            owed = [target.owed(slot) for slot in range(SLOTS)]
            assert owed == [fake.owed(slot) for slot in range(SLOTS)]
            owing += any(owed)
        assert owing > 30
