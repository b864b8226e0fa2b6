"""Replays of known answers: exact on the machine they were recorded on, faster where drafts are cheaper."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from slipstream.bench import stack
from slipstream.bench.ablation import Single
from slipstream.bench.arms import STACK
from slipstream.bench.compare import BASELINE
from slipstream.bench.first_light import Suite
from slipstream.bench.known import Known
from slipstream.bench.machine import described, this_machine
from slipstream.bench.projection import LABEL, Costed, Subject, assumptions, checks, projections, replay
from slipstream.bench.recordings import Recording, of_store
from slipstream.bench.roofline import Work
from slipstream.bench.workload import Prompt
from slipstream.control.curve import VerifyCost
from slipstream.control.price import Price
from slipstream.engine.fake import random_table
from tests.bench.made import CURVE, DRAFT_MS, VOCABULARY, fake_session, stored_run
from tests.support import LetterTokenizer

TEXTS = ("abcabc", "hgfe", "aabb", "ddeeff")
PROMPTS = tuple(Prompt(f"p{number}", "chat" if number % 2 else "edit", text) for number, text in enumerate(TEXTS))
SUITE = Suite("mix", PROMPTS, 48)
WORK = Work("BF16", 28, 3_090_000_000, 0, 0, 0, 1_540_000_000, 0)
HERE = this_machine("here", 2, 2.6, 36e9, ("AVX512", "AMX_INT8"))
COSTED = Costed("m.gguf", WORK, VerifyCost({64: dict(CURVE)}))
DRAFT = Costed("d.gguf", Work("Q4_0", 24, 300_000_000, 0, 0, 0, 500_000_000, 0), VerifyCost({64: {1: 4.0, 64: 256.0}}))
NOTHING = {BASELINE: 0.0, STACK: 0.0}


def recorded(folder: Path, *, draft_model: bool = False) -> Recording:
    """A run of `bench stack` on the fake model."""
    session = fake_session(folder, draft_model=draft_model)
    arms = stack.arms(SUITE, {"model": "m.gguf"}, Single("suffix", 4, 1.0, 1.0), order=False)
    (found,) = of_store("run", [replace(stored_run(session, arms, PROMPTS, 1), curves=())])
    return found


def known(recording: Recording, *, agrees: bool = False) -> tuple[Known, ...]:
    texts = {prompt.id: prompt.text for prompt in PROMPTS}
    return tuple(
        Known(
            one.prompt.id,
            one.prompt.task,
            prompt,
            one.tokens,
            (True,) * len(one.tokens) if agrees else (),
            said(prompt, one.tokens) if agrees else (),
        )
        for one in recording.answers
        for prompt in [tuple(LetterTokenizer().encode(texts[one.prompt.id]))]
    )


def said(prompt: tuple[int, ...], answer: tuple[int, ...]) -> tuple[float, ...]:
    """The probability of each token of an answer, by the table of the fake model."""
    table, context = random_table(1, VOCABULARY), prompt + answer
    rows = [table(context[:place]) for place in range(len(prompt), len(context))]
    return tuple(1 / float(np.exp(row - row.max()).sum()) for row in rows)


def test_a_replay_predicts_what_was_measured_on_the_same_curve(tmp_path: Path) -> None:
    recording = recorded(tmp_path)
    subject = Subject(COSTED, known(recording), "m.gguf", NOTHING)
    found = checks(subject, recording)
    assert {check.task for check in found} == {"edit", "chat", "all"}
    whole = next(check for check in found if check.task == "all")
    assert whole.prompts == 4
    assert whole.measured > 1.1, "or nothing is tested"
    assert abs(whole.error) < 0.05


def test_so_it_does_with_a_draft_model_s_record(tmp_path: Path) -> None:
    recording = recorded(tmp_path, draft_model=True)
    assert "draft_model" in "".join(recording.sources)
    subject = Subject(COSTED, known(recording, agrees=True), "m.gguf", NOTHING, DRAFT)
    whole = next(check for check in checks(subject, recording) if check.task == "all")
    assert whole.measured > 2
    assert abs(whole.error) < 0.1
    # Without the record the measured stack can't be replayed, so nothing is claimed.
    assert checks(Subject(COSTED, known(recording), "m.gguf", NOTHING), recording) == []


def test_the_price_of_the_fake_draft_model_is_the_curve_above() -> None:
    assert DRAFT.curve.costs(0)[1] == DRAFT_MS
    assert Price(DRAFT.curve).step(64, 98.0) == pytest.approx(4 / 98)


def test_a_replay_changes_neither_the_curve_nor_itself(tmp_path: Path) -> None:
    answers = known(recorded(tmp_path))
    curve = VerifyCost({64: dict(CURVE)})
    first, second = (replay(answers, curve, NOTHING) for _ in range(2))
    assert [sample.stats for sample in first.samples] == [sample.stats for sample in second.samples]
    assert (curve.wide, curve.corrections) == (1.0, {})


def test_what_a_round_takes_besides_is_paid_by_every_arm(tmp_path: Path) -> None:
    answers = known(recorded(tmp_path))
    found = replay(answers, COSTED.curve, {BASELINE: 2.0, STACK: 2.0})
    assert found.stats(BASELINE).tokens_per_second == pytest.approx(10.0)


def test_on_many_cores_drafts_bring_more(tmp_path: Path) -> None:
    answers = known(recorded(tmp_path))
    subject = Subject(COSTED, answers, "m.gguf", NOTHING)
    here, there = (projections(subject, HERE, machine) for machine in (HERE, described("epyc-9655")))
    assert [line.task for line in there] == ["edit", "chat", "all"]
    assert {line.kind for line in [*here, *there]} == {LABEL}
    assert there[-1].plain > 3 * here[-1].plain
    assert there[-1].speed_up > here[-1].speed_up
    assert here[-1].plain == pytest.approx(1000 / 98)


def test_every_assumption_is_named() -> None:
    subject = Subject(COSTED, (Known("k", "chat", (1, 2), (3, 4, 5)),), "other.gguf", NOTHING)
    lines = assumptions(subject, HERE, [described("epyc-9655")])
    text = "\n".join(lines)
    for part in (
        "answers of other.gguf to 1 prompts (3 tokens)", "waits for memory", "free sources only", "96 cores at 2.5 GHz",
        "213 GB/s of 460", "0.39 ms", "lacks AMX_INT8", "decode_bandwidth fit to decode rates",
    ):  # fmt: skip
        assert part in text, part
    with_draft = "\n".join(assumptions(replace(subject, draft=DRAFT), HERE, []))
    assert "drafts of d.gguf by its record" in with_draft
