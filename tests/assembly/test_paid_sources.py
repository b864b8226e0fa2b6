"""Second models, self-drafts, cascades and native heads opened from files: the output is that of plain decoding, and
what can't serve is refused before anything is loaded."""

from pathlib import Path
from typing import Any

import pytest

from slipstream import assembly
from slipstream.assembly import Options, open_session
from slipstream.control.curve import VerifyCost
from slipstream.control.fixed import FixedPolicy
from slipstream.core.errors import ContextOverflow, EngineError, MemoryShortage, ModelFileError, RequestError
from slipstream.core.skip import SkipSet
from slipstream.host import memory
from slipstream.host.memory import Memory
from slipstream.models.gguf import identity
from slipstream.models.pruned import write_pruned
from slipstream.selfdraft.found import Found, Shelf
from tests.engine import tiny_gguf, tiny_states
from tests.isolation import eager_curve

RAW = "abcabcabcabcabcabc"
SETTINGS: dict[str, Any] = {"context_length": 256, "threads": 1, "memory": False, "learn": False}


@pytest.fixture(autouse=True)
def cheap_drafts(own_world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured: passes of any width cost the same, and those of second models next to nothing."""

    def made_up(*arguments: Any, coarse: bool = False, **options: Any) -> VerifyCost:
        return VerifyCost({64: {1: 0.01, 64: 0.02}}) if coarse else eager_curve()

    monkeypatch.setattr(assembly, "measure_cost", made_up)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tiny_gguf.dense(tmp_path / "target.gguf")


@pytest.fixture
def twin(tmp_path: Path) -> Path:
    """The same weights in another file: it foresees all that the target says."""
    return tiny_gguf.dense(tmp_path / "twin.gguf", context=1024)


def outputs(model: Path, draft: Any, **options: Any) -> tuple[Any, Any]:
    """Plain and drafted output of one session, with the latter's figures; drafted whether or not it pays."""
    with open_session(Options(model=model, **SETTINGS | options)) as session:
        session.loop.policy = FixedPolicy(draft, 6)
        plain = session.generate(RAW, raw=True, max_tokens=48, ignore_end=True, draft="off")
        drafted = session.generate(RAW, raw=True, max_tokens=48, ignore_end=True, draft=draft)
        return plain, drafted


def test_a_second_model_drafts_and_changes_nothing(target: Path, twin: Path) -> None:
    plain, drafted = outputs(target, ("draft_model",), draft_model=twin, drafters=("draft_model",))
    assert drafted.tokens == plain.tokens
    assert drafted.stats.sources["draft_model"].accepted > 20
    assert drafted.stats.rounds < plain.stats.rounds
    assert drafted.stats.paid_ms > 0


def test_auto_takes_a_second_model_in(target: Path, twin: Path) -> None:
    with open_session(Options(model=target, draft_model=twin, **SETTINGS)) as session:
        assert "draft_model" in session.loop.automatic
        ((source, note),) = session.second_notes
        assert source == "draft_model" and "same" in note
    with open_session(Options(model=target, **SETTINGS)) as session:
        assert "draft_model" not in session.loop.sources


def test_the_configuration_names_a_second_model(target: Path, twin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPSTREAM_DRAFT_MODEL", str(twin))
    monkeypatch.setenv("SLIPSTREAM_DRAFTERS", '{"draft_model": {"window": 32}}')
    with open_session(Options(model=target, **SETTINGS)) as session:
        drafter: Any = session.loop.paid["draft_model"]
        assert drafter.window == 32


def test_a_foreign_second_model_drafts_and_changes_nothing(smollm2_path: Path, twin: Path) -> None:
    options = {"draft_model": twin, "drafters": ("draft_model",)}
    with open_session(Options(model=smollm2_path, **SETTINGS | options)) as session:
        drafter: Any = session.loop.paid["draft_model"]
        prompt = "Name three colours."
        plain = session.generate(prompt, max_tokens=24, draft="off")
        session.loop.policy = FixedPolicy(("draft_model",), 6)
        drafted = session.generate(prompt, max_tokens=24, draft=("draft_model",))
        assert drafted.stats.sources["draft_model"].drafted > 0
        assert type(drafter._bridge()).__name__ == "Translation"
    assert drafted.tokens == plain.tokens


def test_a_requantized_copy_is_made_once(smollm2_path: Path, own_world: Path) -> None:
    settings = {"draft_model": {"quantization": "Q8_0"}}
    options = Options(model=smollm2_path, draft_model=smollm2_path, drafter_settings=settings, **SETTINGS)
    with pytest.raises(RequestError, match="same model"):
        open_session(options)
    assert not (own_world / "root" / "models").exists()


def pruned(target: Path, blocks: tuple[int, ...]) -> Path:
    path = target.with_name(f"without-{'-'.join(map(str, blocks)) or 'nothing'}.gguf")
    return write_pruned(target, path, SkipSet.of_blocks(blocks), method="test")


def test_a_self_draft_without_skips_foresees_everything(target: Path) -> None:
    options = {"self_draft": pruned(target, ()), "drafters": ("self_draft",)}
    plain, drafted = outputs(target, ("self_draft",), **options)
    found = drafted.stats.sources["self_draft"]
    assert drafted.tokens == plain.tokens
    assert found.accepted == pytest.approx(found.drafted, abs=2)


def test_a_cascade_routes_between_self_drafts(target: Path) -> None:
    levels = (str(pruned(target, (1,))), str(pruned(target, (1, 2))))
    options = {"drafters": ("cascade",), "drafter_settings": {"cascade": {"levels": levels}}}
    plain, drafted = outputs(target, ("cascade",), **options)
    assert drafted.tokens == plain.tokens
    assert drafted.stats.sources["cascade"].drafted > 0


def test_the_best_self_draft_is_found_if_it_promises_to_pay(target: Path, own_world: Path) -> None:
    path = pruned(target, (1,))

    def keep(speedup: float) -> None:
        found = Found(SkipSet.of_blocks((1,)), "clasp", 0.25, 0.9, 0.9, 1.1, 0.7, 2, speedup, 1, 1.0, "any", str(path))
        Shelf.open(own_world / "root" / "state", identity(target)).add(found)

    keep(0.9)
    with open_session(Options(model=target, **SETTINGS)) as session:
        assert "self_draft" not in session.loop.sources
    keep(1.3)
    with open_session(Options(model=target, **SETTINGS)) as session:
        assert "self_draft" in session.loop.automatic


def test_a_native_head_drafts_and_changes_nothing(tmp_path: Path) -> None:
    model = tiny_states.delta_net(tmp_path / "head.gguf", head=True)
    with open_session(Options(model=model, **SETTINGS)) as session:
        assert "native_head" in session.loop.automatic
    plain, drafted = outputs(model, ("native_head",), drafters=("native_head",))
    assert drafted.tokens == plain.tokens
    assert drafted.stats.sources["native_head"].drafted > 0


def test_recurrent_models_draft_and_change_nothing(tmp_path: Path) -> None:
    for model in (tiny_gguf.recurrent(tmp_path / "mamba.gguf"), tiny_gguf.hybrid(tmp_path / "hybrid.gguf")):
        plain, drafted = outputs(model, ("suffix",))
        assert drafted.tokens == plain.tokens


# What is refused.


def refused(error: type[Exception], says: str, model: Path, **options: Any) -> None:
    with pytest.raises(error, match=says):
        open_session(Options(model=model, **SETTINGS | options))


def test_a_draft_larger_than_its_target(target: Path, smollm2_path: Path) -> None:
    refused(RequestError, "larger than its target", target, draft_model=smollm2_path)


def test_the_same_file_as_both(target: Path) -> None:
    refused(RequestError, "the same model", target, draft_model=target)


def test_a_pruned_file_whose_source_changed(target: Path) -> None:
    draft = pruned(target, (1,))
    other = tiny_gguf.dense(target.with_name("other.gguf"), template="{{ messages[-1].content }}")
    refused(ModelFileError, "another version|made from", other, self_draft=draft)


def test_a_draft_whose_context_is_shorter(twin: Path, target: Path) -> None:
    refused(ContextOverflow, "trained for 512", twin, draft_model=target, context_length=1024)


@pytest.mark.parametrize("source", ["draft_model", "self_draft", "cascade"])
def test_a_source_without_a_model(target: Path, source: str) -> None:
    refused(RequestError, f"{source} has no", target, drafters=(source,))


def test_a_head_that_is_not_there(target: Path) -> None:
    refused(EngineError, "no next-token head", target, drafters=("native_head",))


def test_memory_for_one_model_but_not_for_both(target: Path, twin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = memory.read()
    few = Memory(**{field: getattr(now, field) for field in now.__dataclass_fields__} | {"available": 400_000_000})
    monkeypatch.setattr(memory, "read", lambda: few)
    open_session(Options(model=target, **SETTINGS)).close()
    refused(MemoryShortage, "twin.gguf needs", target, draft_model=twin)
