"""The whole stack on a real model: opened, measured, and its output that of plain decoding."""

import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import slipstream
from slipstream import assembly
from slipstream.assembly import Options, open_session
from slipstream.bench.arms import logit_gap
from slipstream.bench.compare import first_difference
from slipstream.bench.workload import built_in
from slipstream.control import parity
from slipstream.control.measure import Progress
from slipstream.control.policy import AdaptivePolicy
from slipstream.core.errors import ContextOverflow, MemoryShortage, ParityError, RequestError, UnknownName
from slipstream.core.request import Request
from slipstream.core.stats import RoundRecord
from slipstream.engine.requantize import requantize
from slipstream.engine.tokenizer import LlamaTokenizer
from slipstream.host import memory
from slipstream.host.memory import Memory
from slipstream.session import Completion, Session
from slipstream.storage.token_log import TokenLog
from tests.engine import tiny_gguf
from tests.isolation import eager_curve, isolate

# One thread: threads that wait for each other crawl when other work has the processors.
SETTINGS: dict[str, Any] = {"threads": 1, "context_length": 1024}
NEAR_TIE = 0.5
FEW_WIDTHS = (1, 2, 4, 8)

LIST = "apples, pears, plums, cherries, apricots, peaches, quinces, medlars, mulberries, gooseberries"
EDIT: dict[str, Any] = {"prompt": next(prompt.text for prompt in built_in() if prompt.id == "edit/1")}
CODE: dict[str, Any] = {
    "prompt": """Output this function again, unchanged, in one Python code block:
```python
def total(prices: list[float], tax: float) -> float:
    \"\"\"Sum of prices with tax.\"\"\"
    result = 0.0
    for price in prices:
        result += price * (1 + tax)
    return result
```"""
}
COPY: dict[str, Any] = {"prompt": f"{LIST}\n{LIST}\n{LIST}\napples", "raw": True}
CHAT: dict[str, Any] = {"prompt": "Why do bicycles stay upright more easily when they move?"}


@pytest.fixture(autouse=True)
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passes take what the curve says, so that what is drafted doesn't depend on how busy this machine is."""
    observe = AdaptivePolicy.observe

    def told(self: AdaptivePolicy, record: RoundRecord) -> None:
        costs = self.curve.costs(record.depth)
        observe(self, replace(record, target_ms=costs[min(record.width, len(costs) - 1)]))

    monkeypatch.setattr(AdaptivePolicy, "observe", told)


@dataclass
class First:
    """The first opening of a model on this machine."""

    session: Session
    root: Path
    seconds: float
    progress: list[Progress]


@pytest.fixture(scope="module")
def first(smollm2_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[First]:
    progress: list[Progress] = []
    with pytest.MonkeyPatch.context() as patch:
        root = isolate(patch, tmp_path_factory.mktemp("world"))
        start = time.perf_counter()
        session = open_session(Options(model=smollm2_path, **SETTINGS), report=progress.append)
        seconds = time.perf_counter() - start
    with session:
        yield First(session, root, seconds, progress)


@pytest.fixture
def same_root(first: First, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This test's data root is the one in which the model was measured."""
    monkeypatch.setenv("SLIPSTREAM_ROOT", str(first.root))
    return first.root


@pytest.fixture
def session(first: First, monkeypatch: pytest.MonkeyPatch) -> Session:
    """The same session, on a machine that drafts cost nothing."""
    policy: Any = first.session.loop.policy
    monkeypatch.setattr(policy, "curve", eager_curve())
    return first.session


@dataclass
class Exact:
    """A session in exact mode, and the width of every round it made."""

    session: Session
    widths: list[int] = field(default_factory=list)


@pytest.fixture(scope="module")
def exact(smollm2_path: Path, tmp_path_factory: pytest.TempPathFactory, first: First) -> Iterator[Exact]:
    """With few widths compared, over few tokens, on the model or, where that has no parity, on a Q8_0 copy of it."""
    widths: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parity, "FORCED", 16)
        patch.setattr(assembly, "measure_parity", partial(parity.measure_parity, widths=FEW_WIDTHS))
        patch.setattr(assembly, "measure_cost", lambda *arguments, **options: eager_curve())
        isolate(patch, tmp_path_factory.mktemp("exact"))

        def opened(path: Path) -> Session:
            options = Options(model=path, exact=True, memory=False, **SETTINGS)
            return open_session(options, trace=lambda record, learn_ms, total_ms: widths.append(record.width))

        try:
            session = opened(smollm2_path)
        except ParityError:
            copy = tmp_path_factory.mktemp("models") / "SmolLM2-135M-Instruct.Q8_0.gguf"
            session = opened(requantize(smollm2_path, copy, "Q8_0"))
    with session:
        yield Exact(session, widths)


@pytest.fixture(scope="module")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf.dense(tmp_path_factory.mktemp("tiny") / "tiny.gguf", context=2048)


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Curves are made up instead of measured; holds the context lengths for which one was asked."""
    asked: list[int] = []

    def made_up(target: Any, *arguments: Any, **options: Any) -> Any:
        asked.append(target.context_length)
        return eager_curve()

    monkeypatch.setattr(assembly, "measure_cost", made_up)
    return asked


def require_same(session: Session, request: Request, plain: Sequence[int], ours: Sequence[int]) -> None:
    """Equal tokens, or different ones only from a near-tie on: llama.cpp rounds differently by batch width."""
    at = first_difference(plain, ours)
    if at is None:
        return
    assert at < min(len(plain), len(ours)), "one output is the beginning of the other"
    gap = logit_gap(session.target, [*request.prompt, *plain[:at]], plain[at], ours[at])
    assert gap < NEAR_TIE, f"token {at} differs at a logit gap of {gap:.3f}"


def decode(session: Session, tokens: Sequence[int]) -> str:
    tokenizer = session.tokenizer
    assert isinstance(tokenizer, LlamaTokenizer)
    return tokenizer.decode(tokens)


def plain_and_stack(session: Session, **options: Any) -> tuple[Completion, Completion]:
    options |= {"remember": False}
    return session.generate(**options, draft="off"), session.generate(**options)


# Opening


def test_the_first_opening_measures(first: First) -> None:
    print(f"opened and measured in {first.seconds:.2f} s")
    assert first.seconds < 60  # 3 s on an idle machine; other load makes it sweep again
    done = [p.done for p in first.progress]
    assert done == sorted(done) and done[0] == 0 and done[-1] in (first.progress[0].total, first.progress[0].total - 1)
    assert len(list((first.root / "state" / "curves").iterdir())) == 1
    assert first.session.keep.curve and first.session.keep.curve.max_width == 64
    assert first.session.keep.notes == first.session.warnings == []


def test_the_second_opening_uses_what_was_measured(first: First, smollm2_path: Path, same_root: Path) -> None:
    progress: list[Progress] = []
    with open_session(Options(model=smollm2_path, memory=False, **SETTINGS), report=progress.append) as second:
        assert progress == []
        assert first.session.keep.curve and second.keep.curve
        assert second.keep.curve.table == first.session.keep.curve.table


def test_the_docstring_of_the_package_runs_in_under_ten_lines(
    smollm2_path: Path,
    same_root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    first: First,
) -> None:
    monkeypatch.setenv("SLIPSTREAM_THREADS", "1")
    monkeypatch.setenv("SLIPSTREAM_CONTEXT_LENGTH", "1024")
    monkeypatch.setenv("SLIPSTREAM_MEMORY", "false")  # the module's session holds it
    assert slipstream.__doc__
    code = slipstream.__doc__.partition("\n\n")[2]
    assert len(code.strip().splitlines()) < 10
    code = code.replace('"model.gguf"', repr(str(smollm2_path)))
    code, found = re.subn(r"\.stream\((.*)\):", r".stream(\1, max_tokens=12):", code)
    assert found == 1
    exec(compile(code, "docstring", "exec"), {})
    printed = capsys.readouterr().out
    figures = re.search(r"(\d+\.\d+) (\d+\.\d+)\n$", printed)
    assert figures and printed[: figures.start()].strip()
    assert float(figures[1]) > 0 and float(figures[2]) >= 1


def test_unknown_options_are_type_errors(tiny_path: Path, session: Session) -> None:
    with pytest.raises(TypeError, match="contxt"):
        slipstream.open(tiny_path, contxt=64)
    with pytest.raises(TypeError, match="temprature"):
        session.generate(**CHAT, temprature=1.0)


@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        ({"drafters": ["sufix"]}, UnknownName, "did you mean 'suffix'"),
        ({"drafter_settings": {"sufix": {}}}, UnknownName, "did you mean 'suffix'"),
        ({"drafter_settings": {"suffix": {"dept": 8}}}, UnknownName, "did you mean 'depth'"),
        ({"context_length": 4096}, ContextOverflow, "trained for 2048"),
        ({"exact": True, "slots": 2}, RequestError, "one slot"),
        ({"key_type": "q9"}, UnknownName, "q8_0"),
    ],
)
def test_what_can_not_be_is_refused_before_loading(
    tiny_path: Path, options: dict[str, Any], kind: type[Exception], says: str, unmeasured: list[int], own_world: Path
) -> None:
    with pytest.raises(kind, match=says):
        slipstream.open(tiny_path, **{"context_length": 64, "threads": 1} | options)
    assert unmeasured == []
    assert not (own_world / "root" / "state" / "curves").exists()


def test_too_large_a_model_is_refused_with_the_numbers(tiny_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "read", lambda: Memory(total=1 << 30, available=100_000_000, reason="made up"))
    with pytest.raises(MemoryShortage, match=r"tiny.gguf needs about 0\.\d GB \(weights .*\), but 0\.1 GB are free"):
        slipstream.open(tiny_path, context_length=64)


def test_a_curve_from_a_short_context_is_not_used_in_a_longer_one(tiny_path: Path, unmeasured: list[int]) -> None:
    for context in (128, 1700, 2048, 128):
        slipstream.open(tiny_path, context_length=context, threads=1, memory=False).close()
    assert unmeasured == [128, 1700]


# Same output


@pytest.mark.parametrize("prompt", (EDIT, COPY), ids=("edit", "copy"))
def test_drafted_output_is_plain_output(session: Session, prompt: dict[str, Any]) -> None:
    plain, stack = plain_and_stack(session, **prompt, max_tokens=64)
    assert stack.stats.accepted > 15, "nothing was drafted: the test shows nothing"
    assert plain.stats.drafted == 0
    require_same(session, session.request(**prompt), plain.tokens, stack.tokens)


@pytest.mark.parametrize("prompt", (CODE, COPY, CHAT), ids=("code", "copy", "chat"))
@pytest.mark.parametrize("sampling", ({}, {"temperature": 0.8, "seed": 5}), ids=("greedy", "sampled"))
def test_exact_mode_is_exact(exact: Exact, prompt: dict[str, Any], sampling: dict[str, Any]) -> None:
    plain, stack = plain_and_stack(exact.session, **prompt, max_tokens=32, **sampling)
    assert stack.tokens == plain.tokens
    assert stack.text == plain.text
    assert stack.stats.accepted > 0 or prompt == CHAT, "nothing was drafted: the test shows nothing"


def test_exact_mode_keeps_to_its_widths(exact: Exact, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = exact.session.generate(**COPY, max_tokens=24, draft="off")
    policy: Any = exact.session.loop.policy
    # As on a build where width 1 stands alone: plain rounds have to be filled up too.
    monkeypatch.setattr(policy, "allowed", lambda depth: parity.Allowed(frozenset({4, 8}), 8))
    exact.widths.clear()
    filled = exact.session.generate(**COPY, max_tokens=24, draft="off")
    assert set(exact.widths) == {4} and filled.stats.rounds == 24
    stack = exact.session.generate(**COPY, max_tokens=24)
    assert set(exact.widths) == {4, 8} and stack.stats.rounds < 24
    assert plain.tokens == filled.tokens == stack.tokens


def test_a_seed_draws_the_same_and_another_one_something_else(exact: Exact) -> None:
    drawn = [exact.session.generate(**CHAT, max_tokens=12, temperature=1.0, seed=seed).tokens for seed in (5, 5, 6)]
    assert drawn[0] == drawn[1] != drawn[2]


# Streaming


def test_chunks_add_up(session: Session) -> None:
    done = session.generate(**EDIT, max_tokens=48, remember=False)
    assert done.tokens == tuple(token for chunk in done.chunks for token in chunk.tokens)
    assert done.text == "".join(chunk.text for chunk in done.chunks)
    assert [chunk.finish for chunk in done.chunks[:-1]] == [None] * (len(done.chunks) - 1)
    assert done.chunks[-1].finish == done.finish
    for chunk in done.chunks:
        assert 0 <= chunk.drafted < len(chunk.tokens)
        assert (chunk.source in session.loop.drafters) if chunk.drafted else chunk.source == ""
    stats = done.stats
    assert stats.tokens == len(done.tokens) and stats.rounds == len(done.chunks)
    assert stats.accepted == sum(chunk.drafted for chunk in done.chunks) > 0
    assert stats.prompt_tokens == len(session.request(**EDIT).prompt)
    assert 0 < stats.target_ms <= stats.decode_ms


def test_length_is_kept_to_the_token(session: Session) -> None:
    for most in (1, 2, 17):
        done = session.generate(**EDIT, max_tokens=most)
        assert (len(done.tokens), done.finish) == (most, "length")


def test_a_reader_that_leaves_leaves_nothing_behind(session: Session, smollm2_path: Path, same_root: Path) -> None:
    for prompt in (EDIT, COPY):
        stream = session.stream(**prompt, max_tokens=400, remember=False)
        text = next(stream) + next(stream)
        stream.close()  # type: ignore[attr-defined]
        assert text and session.loop.active == {}
    assert session.stats.tokens > 1
    request = session.request(**CHAT, max_tokens=24, remember=False)
    after = session.generate(request)
    with open_session(Options(model=smollm2_path, memory=False, **SETTINGS)) as fresh:
        expected = fresh.generate(request)
        require_same(fresh, request, expected.tokens, after.tokens)


def test_a_reader_that_leaves_changes_not_a_bit_in_exact_mode(exact: Exact) -> None:
    before = exact.session.generate(**CHAT, max_tokens=16)
    stream = exact.session.stream(**COPY, max_tokens=200)
    assert next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert exact.session.generate(**CHAT, max_tokens=16).tokens == before.tokens


def test_stop_strings_across_tokens(session: Session) -> None:
    plain = session.generate(**EDIT, max_tokens=40, draft="off", remember=False)
    pieces = [decode(session, [token]) for token in plain.tokens]
    # The end of one token with the beginning of the next.
    stop = pieces[14][-2:] + pieces[15][:2]
    assert len(stop) >= 3 and stop not in pieces
    expected = plain.text[: plain.text.index(stop)]
    for draft in ("off", "auto"):
        texts = list(session.stream(**EDIT, max_tokens=40, stop=[stop, "never there"], draft=draft, remember=False))
        assert "".join(texts) == expected
        assert session.generate(**EDIT, max_tokens=40, stop=[stop], draft=draft, remember=False).finish == "stop"


def test_characters_stream_whole(session: Session) -> None:
    prompt = "🦜🎉🥳 🦜🎉🥳 🦜🎉🥳 🦜🎉🥳 🦜🎉"
    for draft in ("off", "auto"):
        done = session.generate(prompt, raw=True, max_tokens=33, draft=draft, remember=False)
        assert done.text == decode(session, done.tokens)
        assert "🎉" in done.text
        assert not any("\ufffd" in chunk.text for chunk in done.chunks[:-1])
        if draft == "off":
            assert any("\ufffd" in decode(session, chunk.tokens) for chunk in done.chunks), "no character was split"


def test_the_context_may_run_full(tiny_path: Path, unmeasured: list[int]) -> None:
    with slipstream.open(tiny_path, context_length=64, threads=1, memory=False) as session:
        for draft in ("off", "auto"):
            done = session.generate("abcabcabc", raw=True, max_tokens=500, ignore_end=True, draft=draft)
            assert done.finish == "context"
            assert done.stats.prompt_tokens + len(done.tokens) == 65  # the last one needs no room
        with pytest.raises(ContextOverflow, match="the context holds 64"):
            session.generate("a" * 65, raw=True)
        assert session.generate("abc", raw=True, max_tokens=4, ignore_end=True).finish == "length"


# Who drafts


def test_a_name_alone_is_that_drafter(session: Session) -> None:
    for name in ("suffix", "prompt_lookup"):
        done = session.generate(**EDIT, max_tokens=24, draft=name, remember=False)
        assert set(done.stats.sources) == {name}
    off = session.generate(**EDIT, max_tokens=24, draft="off", remember=False)
    assert off.stats.sources == {} and off.stats.rounds == len(off.tokens)
    with pytest.raises(UnknownName, match="did you mean 'suffix'"):
        session.generate(**EDIT, draft="sufix")
    assert session.loop.active == {}


def test_a_reference_is_drafted_from(session: Session) -> None:
    plain = session.generate(**CHAT, max_tokens=24, draft="off", remember=False)
    told = session.generate(**CHAT, max_tokens=24, draft="reference", reference=plain.text, remember=False)
    require_same(session, session.request(**CHAT), plain.tokens, told.tokens)
    assert told.stats.rounds < plain.stats.rounds / 2


# Several slots


def test_slots_share_passes(session: Session, smollm2_path: Path, same_root: Path) -> None:
    options = Options(model=smollm2_path, slots=2, memory=False, **SETTINGS)
    with open_session(options) as several:
        policy: Any = several.loop.policy
        policy.curve = eager_curve()
        requests = [several.request(**prompt, max_tokens=32) for prompt in (CHAT, EDIT)]
        slots = [several.loop.submit(requests[0])]
        for _ in range(4):
            several.loop.step()
        slots.append(several.loop.submit(requests[1]))
        with pytest.raises(RequestError, match="slots are busy"):
            several.loop.submit(requests[0])
        while several.loop.active:
            several.loop.step()
    for slot, request in zip(slots, requests, strict=True):
        alone = session.generate(request)
        output = slot.tokens[len(request.prompt) :]
        assert slot.finish == alone.finish
        require_same(session, request, alone.tokens, output)
        assert slot.stats.tokens == len(output) and slot.stats.accepted <= slot.stats.drafted
        assert 0 < slot.stats.rounds <= slot.stats.tokens
    assert slots[1].stats.accepted > 0


# What is kept


def test_outputs_are_remembered_in_the_file_that_was_named(
    smollm2_path: Path, same_root: Path, tmp_path: Path, first: First
) -> None:
    file = tmp_path / "memory.tokens"
    options = Options(model=smollm2_path, memory=file, **SETTINGS)

    def ask(**more: Any) -> Completion:
        with open_session(options) as session:
            policy: Any = session.loop.policy
            policy.curve = eager_curve()
            fingerprint.append(session.tokenizer.fingerprint)  # type: ignore[attr-defined]
            return session.generate(**CHAT, max_tokens=24, **more)

    fingerprint: list[str] = []
    unknown = ask(remember=False)
    with TokenLog(file, fingerprint[0]) as log:
        assert len(log.read()) == 0
    before = ask()
    with TokenLog(file, fingerprint[0]) as log:
        assert [tuple(output) for output in log.read()] == [before.tokens]
    again = ask()
    assert unknown.stats.rounds == before.stats.rounds > 2 * again.stats.rounds
    require_same(first.session, first.session.request(**CHAT), before.tokens, again.tokens)
    assert not list((same_root / "state").rglob(file.name))


def test_closing_keeps_what_was_learnt(tiny_path: Path, unmeasured: list[int], own_world: Path) -> None:
    folder = own_world / "root" / "state" / "acceptance"
    options: dict[str, Any] = {"context_length": 256, "threads": 1, "memory": False}
    with slipstream.open(tiny_path, learn=False, **options) as session:
        session.generate("abcabcabcabc", raw=True, max_tokens=24, ignore_end=True)
    assert not folder.exists()
    with slipstream.open(tiny_path, **options) as session:
        session.generate("abcabcabcabc", raw=True, max_tokens=24, ignore_end=True, workload="letters")
        learnt = session.keep.calibration.to_json()
    assert learnt["letters"]
    with slipstream.open(tiny_path, **options) as session:
        assert session.keep.calibration.to_json() == learnt
        session.forget()
        assert session.keep.calibration.to_json() == {}
    assert len(unmeasured) == 1


@pytest.mark.parametrize(
    "damage",
    ["{", "", "[]", '{"version": 2}', '{"version": 2, "curve": {"table": {"64": {"1": 0}}, "corrections": {}}}'],
)
def test_a_damaged_curve_is_set_aside_and_measured_again(
    tiny_path: Path, unmeasured: list[int], own_world: Path, damage: str
) -> None:
    options: dict[str, Any] = {"context_length": 256, "threads": 1, "memory": False}
    slipstream.open(tiny_path, **options).close()
    (file,) = (own_world / "root" / "state" / "curves").iterdir()
    whole = json.loads(file.read_text())
    file.write_text(damage)
    with slipstream.open(tiny_path, **options) as session:
        (note,) = session.keep.notes
        assert file.name in note and "damaged-1" in note and "measured again" in note
        assert session.generate("abc", raw=True, max_tokens=4, ignore_end=True).finish == "length"
    assert file.with_name(f"{file.name}.damaged-1").read_text() == damage
    assert json.loads(file.read_text())["curve"]["table"] == whole["curve"]["table"]
    assert len(unmeasured) == 2
