"""A short measured probe of a draft model: how often it says what the target says, and what its tokens cost.

The target answers a few prompts greedily. At every token of its answers the draft model is asked for the next one,
given all the right ones before it: that is what decides whether a drafted token stands, so any draft length can be
replayed afterwards (control.forecast) without another pass of the target.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol

import numpy as np

from slipstream.control.forecast import Forecast, forecast
from slipstream.control.measure import Progress, fill
from slipstream.core.errors import RequestError
from slipstream.core.ports import Clock, Feed, Target

LEAST_TOKENS = 64
PROMPTS = 4
"""Prompts over which the tokens are spread; more are used if answers end early."""
Z = 1.96
RESAMPLES = 80
STRETCH = 8
"""Neighbouring tokens that are drawn together: easy and hard passages are no independent tokens."""


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt in the target's tokens, with its task class."""

    task: str
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Predicted:
    """What a draft model says to each token of an answer: whether its likeliest token is that one, with which
    probability, and milliseconds that it takes per token of the target, one value per timed pass."""

    agree: tuple[bool, ...]
    probabilities: tuple[float, ...]
    milliseconds: tuple[float, ...]


class Predict(Protocol):
    """A draft model, asked about one answer. Both arguments are tokens of the target."""

    def __call__(self, prompt: Sequence[int], answer: Sequence[int]) -> Predicted: ...


@dataclass(frozen=True, slots=True)
class Reading:
    """One prompt's answer, what its plain passes took in milliseconds, and what the draft model said to it."""

    question: Question
    answer: tuple[int, ...]
    plain: tuple[float, ...]
    predicted: Predicted


@dataclass(frozen=True, slots=True)
class Probe:
    """All readings, never without one."""

    readings: tuple[Reading, ...]

    @property
    def agree(self) -> list[bool]:
        """Whether each token was predicted, over all answers."""
        return [right for reading in self.readings for right in reading.predicted.agree]

    @property
    def probabilities(self) -> list[float]:
        """The draft model's probability of its own choice, over all answers."""
        return [value for reading in self.readings for value in reading.predicted.probabilities]

    @property
    def tokens(self) -> int:
        """Tokens probed."""
        return len(self.agree)

    @property
    def acceptance(self) -> float:
        """Share of tokens predicted: what greedy verification accepts of a draft's first token."""
        return sum(self.agree) / self.tokens

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the acceptance, as if tokens were independent."""
        return wilson(sum(self.agree), self.tokens)

    @property
    def run_length(self) -> float:
        """Tokens predicted in a row, on average, before a miss or the end of an answer."""
        misses = sum(not right for right in self.agree)
        open_ends = sum(reading.predicted.agree[-1] for reading in self.readings)
        return sum(self.agree) / (misses + open_ends)

    @property
    def by_task(self) -> dict[str, tuple[int, int]]:
        """Tokens predicted and tokens probed, by task class."""
        right: Counter[str] = Counter()
        total: Counter[str] = Counter()
        for reading in self.readings:
            right[reading.question.task] += sum(reading.predicted.agree)
            total[reading.question.task] += len(reading.answer)
        return {task: (right[task], count) for task, count in total.items()}

    @property
    def plain_ms(self) -> float:
        """Median milliseconds of a plain pass of the target."""
        return median(value for reading in self.readings for value in reading.plain)

    @property
    def draft_ms(self) -> float:
        """Median milliseconds of the draft model per token of the target."""
        times = [value for reading in self.readings for value in reading.predicted.milliseconds]
        if not times:
            raise RequestError("none of the prompts fits the draft model's context", hint="use a longer context")
        return median(times)

    @property
    def depth(self) -> int:
        """Median tokens in KV."""
        return int(median(len(reading.question.tokens) + len(reading.answer) // 2 for reading in self.readings))

    def costs(self, row: Sequence[float]) -> list[float]:
        """A row of the verify-cost curve in the milliseconds of this probe: the machine may be busier or calmer now
        than when the curve was measured, and the draft model is timed now."""
        return [cost * self.plain_ms / row[1] for cost in row]


def probe(
    target: Target,
    questions: Iterable[Question],
    predict: Predict,
    end_tokens: frozenset[int],
    tokens: int,
    clock: Clock,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Probe:
    """Ask until `tokens` (at least 64) are probed or the questions run out. The target's slot 0 is left empty.

    Questions that leave no room for an answer are passed over; RequestError if none is left.
    """
    tokens = max(tokens, LEAST_TOKENS)
    share = math.ceil(tokens / PROMPTS)
    readings: list[Reading] = []
    done = 0
    for question in questions:
        if done >= tokens:
            break
        if len(question.tokens) + share > target.context_length:
            continue
        report(Progress(done, tokens, question.task))
        answer, plain = plain_answer(target, question.tokens, min(share, tokens - done), end_tokens, clock)
        readings.append(Reading(question, answer, plain, predict(question.tokens, answer)))
        done += len(answer)
    if not readings:
        raise RequestError(
            f"no prompt and {share} tokens of answer fit a context of {target.context_length} tokens",
            hint="use a longer context",
        )
    target.rewind(0, 0)
    return Probe(tuple(readings))


def prospect(found: Probe, row: Sequence[float], seed: int = 0) -> tuple[Forecast, tuple[float, float]]:
    """The forecast from a probe and a row of the verify-cost curve, and the 90 % interval of its speed-up: a bootstrap
    over stretches of the record, so it holds for text like the probe's and knows nothing of other text."""
    costs = found.costs(row)
    agree, chances = found.agree, found.probabilities
    stretches = [slice(start, start + STRETCH) for start in range(0, found.tokens, STRETCH)]
    random = np.random.default_rng(seed)
    gains = []
    for _ in range(RESAMPLES):
        drawn = [stretches[index] for index in random.integers(0, len(stretches), len(stretches))]
        flags = [flag for part in drawn for flag in agree[part]]
        levels = [level for part in drawn for level in chances[part]]
        gains.append(forecast(flags, levels, costs, found.draft_ms).speed_up)
    low, high = np.percentile(gains, (5, 95))
    return forecast(agree, chances, costs, found.draft_ms), (float(low), float(high))


def plain_answer(
    target: Target, prompt: Sequence[int], count: int, end_tokens: frozenset[int], clock: Clock
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The target's likeliest tokens after `prompt`, `count` of them or up to an end token, and milliseconds of each."""
    fill(target, prompt, len(prompt) - 1)
    token = prompt[-1]
    answer: list[int] = []
    times: list[float] = []
    while len(answer) < count and not (answer and token in end_tokens):
        begin = clock()
        target.decode([Feed(0, len(prompt) - 1 + len(answer), [token], 1)])
        token = int(target.logits(0).argmax())
        times.append(1000 * (clock() - begin))
        answer.append(token)
    return tuple(answer), tuple(times)


def likeliest(logits: Any) -> tuple[int, float]:
    """The token with the largest logit and its probability at temperature 1."""
    token = int(logits.argmax())
    # Summed in double: a vocabulary has some 100,000 terms.
    return token, 1.0 / float(np.exp(logits - logits[token]).sum(dtype=np.float64))


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """95 % score interval of a share (Wilson 1927): sound for few trials and shares near 0 or 1."""
    if trials < 1:
        raise ValueError("an interval needs at least one trial")
    share = successes / trials
    scale = 1 + Z * Z / trials
    middle = (share + Z * Z / (2 * trials)) / scale
    half = Z * math.sqrt(share * (1 - share) / trials + Z * Z / (4 * trials * trials)) / scale
    return max(0.0, middle - half), min(1.0, middle + half)
