"""The probe on the fake target: what is counted, what is timed, through maps and through text."""

from collections.abc import Sequence

import numpy as np
import pytest

from slipstream.bench.predict import Aligned, Translated
from slipstream.bench.probe import Predicted, Probe, Question, Reading, likeliest, plain_answer, probe, prospect, wilson
from slipstream.control.curve import VerifyCost
from slipstream.core.errors import RequestError
from slipstream.engine.fake import FakeClock, FakeTarget, Logits, LogitTable, random_table

VOCABULARY = 50
PROMPTS = tuple(Question(task, tuple(range(start, start + 9))) for start, task in enumerate(("edit", "chat", "math")))
NEVER: frozenset[int] = frozenset()


def model(table: LogitTable, milliseconds: float, clock: FakeClock, size: int = VOCABULARY) -> FakeTarget:
    return FakeTarget(table, size, cost=lambda width, depth: milliseconds * (0.9 + 0.1 * width), clock=clock)


def often_like(table: LogitTable, misses: int) -> LogitTable:
    """The same likeliest token, but another one at every context whose length is a multiple of `misses`."""

    def changed(context: Sequence[int]) -> Logits:
        logits = table(context).copy()
        if len(context) % misses == 0:
            logits[(int(logits.argmax()) + 1) % len(logits)] = logits.max() + 1
        return logits

    return changed


def test_a_perfect_draft_model() -> None:
    clock, table = FakeClock(), random_table(1, VOCABULARY)
    target, draft = model(table, 10.0, clock), model(table, 2.0, clock)
    found = probe(target, [*PROMPTS, *PROMPTS], Aligned(draft, clock), NEVER, 64, clock)
    assert (found.tokens, found.acceptance) == (64, 1.0)
    assert [len(reading.answer) for reading in found.readings] == [16, 16, 16, 16]
    assert found.by_task == {"edit": (32, 32), "chat": (16, 16), "math": (16, 16)}
    assert found.plain_ms == pytest.approx(10.0)
    assert found.draft_ms == pytest.approx(2.0)
    assert found.run_length == 16
    assert found.depth == 17
    assert target.kv[0] == []
    row = VerifyCost({64: {1: 20.0, 8: 22.0}}).costs(found.depth)
    assert found.costs(row)[1] == pytest.approx(10.0)
    assert found.costs(row)[8] == pytest.approx(11.0)
    forecast, (low, high) = prospect(found, row)
    assert forecast.best_length == 7
    assert forecast.speed_up == pytest.approx(8 * 10 / (7 * 2 + 11))
    assert low == pytest.approx(high) == pytest.approx(forecast.speed_up)


def test_every_position_is_judged_given_all_right_tokens_before_it() -> None:
    clock, table = FakeClock(), random_table(2, VOCABULARY)
    target, draft = model(table, 10.0, clock), model(often_like(table, 5), 2.0, clock)
    found = probe(target, PROMPTS[:1], Aligned(draft, clock), NEVER, 64, clock)
    # A context of 9 tokens precedes the first answer token: misses follow 10, 15, 20, 25 tokens.
    assert [index for index, right in enumerate(found.agree) if not right] == [1, 6, 11]
    assert found.acceptance == 13 / 16
    assert found.run_length == 13 / 4
    assert all(0 < value <= 1 for value in found.probabilities)
    low, high = found.interval
    assert low < 13 / 16 < high


def test_answers_end_with_the_end_token_and_others_make_up_for_it() -> None:
    clock, table = FakeClock(), random_table(3, VOCABULARY)
    target = model(table, 10.0, clock)
    whole, _ = plain_answer(target, PROMPTS[0].tokens, 16, NEVER, clock)
    ends = frozenset({whole[5]})
    cut, times = plain_answer(target, PROMPTS[0].tokens, 16, ends, clock)
    assert cut == whole[: whole.index(whole[5]) + 1]
    assert len(times) == len(cut)
    found = probe(target, PROMPTS * 20, Aligned(model(table, 2.0, clock), clock), ends, 64, clock)
    assert found.tokens == 64
    assert len(found.readings) > 4


def test_questions_that_do_not_fit_are_passed_over() -> None:
    clock, table = FakeClock(), random_table(4, VOCABULARY)
    target = model(table, 1.0, clock)
    target.context_length = 26
    long = Question("long", tuple(range(11)))
    found = probe(target, [long, *PROMPTS], Aligned(model(table, 1.0, clock), clock), NEVER, 64, clock)
    assert found.by_task.keys() == {"edit", "chat", "math"}
    with pytest.raises(RequestError, match="fit a context of 26 tokens"):
        probe(target, [long], Aligned(target, clock), NEVER, 64, clock)


def shifted(table: LogitTable) -> LogitTable:
    """The same model with a token inserted in front of its vocabulary."""

    def moved(context: Sequence[int]) -> Logits:
        return np.concatenate([np.full(1, -9, np.float32), table([token - 1 for token in context if token])])

    return moved


def test_through_a_map() -> None:
    clock, table = FakeClock(), random_table(5, VOCABULARY)
    target, draft = model(table, 10.0, clock), model(shifted(table), 2.0, clock, VOCABULARY + 1)
    there, back = (lambda token: [token + 1]), (lambda token: token - 1)
    found = probe(target, PROMPTS, Aligned(draft, clock, there, back), NEVER, 64, clock)
    assert found.acceptance == 1.0
    blind = probe(target, PROMPTS, Aligned(draft, clock), NEVER, 64, clock)
    assert blind.acceptance < 0.5


def test_tokens_that_the_draft_lacks_are_spelt_out() -> None:
    clock, table = FakeClock(), random_table(6, VOCABULARY, order=1)
    target, draft = model(table, 10.0, clock), model(table, 2.0, clock)
    answer, _ = plain_answer(target, PROMPTS[0].tokens, 12, NEVER, clock)
    lacking = answer[3]

    def feed(token: int) -> list[int]:
        return [7, 8] if token == lacking else [token]

    predicted = Aligned(draft, clock, feed, lambda token: -1 if token == lacking else token)(PROMPTS[0].tokens, answer)
    wrong = {index for index, right in enumerate(predicted.agree) if not right}
    # It can't be predicted, and what follows it is predicted from the second of its two tokens.
    assert wrong >= {index for index, token in enumerate(answer) if token == lacking}
    assert wrong <= {index for index in range(12) if lacking in answer[max(0, index - 1) : index + 1]}


def test_a_draft_that_was_fed_nothing_predicts_nothing() -> None:
    clock, table = FakeClock(), random_table(6, VOCABULARY)
    draft = model(table, 2.0, clock)
    predicted = Aligned(draft, clock, lambda token: [token] if token > 20 else [])([1, 2], [30, 31])
    assert (predicted.agree[0], predicted.probabilities[0]) == (False, 0.0)
    assert predicted.probabilities[1] > 0


class Halves:
    """A bridge to a vocabulary in which every token of the target is two: its tens and its units."""

    def __init__(self) -> None:
        self.context: list[int] = []

    def begin(self, prompt: Sequence[int]) -> None:
        self.context = []
        self.commit(prompt)

    def commit(self, tokens: Sequence[int]) -> None:
        self.context += [half for token in tokens for half in divmod(token, 10)]

    def translate(self, tokens: Sequence[int], probabilities: Sequence[float]) -> tuple[Sequence[int], Sequence[float]]:
        pairs = range(0, len(tokens) - 1, 2)
        said = [10 * tokens[at] + tokens[at + 1] for at in pairs]
        return said, [probabilities[at] * probabilities[at + 1] for at in pairs]


def in_halves(table: LogitTable) -> LogitTable:
    def told(context: Sequence[int]) -> Logits:
        whole = [10 * context[at] + context[at + 1] for at in range(0, len(context) - 1, 2)]
        tens, units = divmod(int(table(whole).argmax()), 10)
        logits = np.zeros(10, np.float32)
        logits[units if len(context) % 2 else tens] = 9
        return logits

    return told


def test_through_text() -> None:
    clock, table = FakeClock(), random_table(7, VOCABULARY)
    target, draft = model(table, 10.0, clock), model(in_halves(table), 2.0, clock, 10)
    found = probe(target, PROMPTS, Translated(draft, Halves(), clock), NEVER, 64, clock)
    # The second half is guessed from the context without the first: right in the tens, and the units by luck of none.
    assert found.tokens == 48
    assert found.draft_ms == pytest.approx(4.0)
    assert all(0 < value <= 1 for value in found.probabilities)
    assert found.acceptance == 1.0


def test_likeliest() -> None:
    token, chance = likeliest(np.log(np.array([1, 2, 5], np.float32)) + 300)
    assert token == 2
    assert chance == pytest.approx(5 / 8, rel=1e-4)


@pytest.mark.parametrize(
    ("right", "trials", "low", "high"), [(0, 10, 0, 0.278), (10, 10, 0.722, 1), (5, 10, 0.237, 0.763)]
)
def test_wilson(right: int, trials: int, low: float, high: float) -> None:
    assert list(wilson(right, trials)) == pytest.approx([low, high], abs=1e-3)


def test_more_tokens_narrow_the_interval() -> None:
    def record(count: int) -> Probe:
        flags = tuple(index % 4 != 3 for index in range(count))
        predicted = Predicted(flags, (0.75,) * count, (1.0,))
        return Probe((Reading(PROMPTS[0], tuple(range(count)), (10.0,), predicted),))

    (low, high), (lower, higher) = record(256).interval, record(64).interval
    assert lower < low < 0.75 < high < higher
