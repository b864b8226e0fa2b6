"""Every source alone, at every fixed length: replayed on answers that are known, priced by the measured curve.

Greedy verification accepts exactly the drafted tokens that agree with the answer, so rounds and widths are exact; only
their milliseconds come from the curve. It finds the best single source, which is then measured like everything else.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from slipstream.bench.statistics import geometric_mean
from slipstream.core.ports import Drafter
from slipstream.core.request import Request

LENGTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)


@dataclass(frozen=True, slots=True)
class Answer:
    """A prompt and what the model said, in tokens. `agree` tells for each answer token whether the draft model's
    likeliest token was it; empty if there is no draft model."""

    prompt: tuple[int, ...]
    tokens: tuple[int, ...]
    agree: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class Single:
    """One source with one fixed length: predicted speed-up (geometric mean over the answers) and tokens per round."""

    source: str
    length: int
    speed_up: float
    tokens_per_round: float


Round = tuple[int, int]
"""Drafted tokens, and how many of them stood."""


def free_source(
    name: str, make: Callable[[], Drafter], answers: Sequence[Answer], costs: Sequence[float]
) -> list[Single]:
    """A free source. `costs[n]` is milliseconds of a target pass over n tokens."""
    return [_single(name, length, [_free(make(), one, length) for one in answers], costs, 0.0) for length in LENGTHS]


def draft_source(name: str, answers: Sequence[Answer], costs: Sequence[float], step_ms: float) -> list[Single]:
    """A draft model whose tokens cost `step_ms` each; taking in prompts is left out, which favours it."""
    return [_single(name, length, [_drafted(one, length) for one in answers], costs, step_ms) for length in LENGTHS]


def _single(
    name: str, length: int, replays: Iterable[Iterator[Round]], costs: Sequence[float], step_ms: float
) -> Single:
    speed_ups, tokens, rounds = [], 0, 0
    for replay in replays:
        emitted, milliseconds = 0, 0.0
        for drafted, stood in replay:
            emitted += stood + 1
            rounds += 1
            milliseconds += costs[min(1 + drafted, len(costs) - 1)] + drafted * step_ms
        speed_ups.append(emitted * costs[1] / milliseconds)
        tokens += emitted
    return Single(name, length, geometric_mean(speed_ups), tokens / rounds)


def _free(drafter: Drafter, answer: Answer, length: int) -> Iterator[Round]:
    drafter.begin(0, Request(answer.prompt, remember=False))
    at, total = 0, len(answer.tokens)
    while at < total:
        draft = drafter.propose(0, min(length, total - at - 1)).tokens
        expected = answer.tokens[at : at + len(draft)]
        stood = next((i for i, pair in enumerate(zip(draft, expected, strict=False)) if pair[0] != pair[1]), len(draft))
        yield len(draft), stood
        drafter.commit(0, answer.tokens[at : at + stood + 1])
        at += stood + 1
    drafter.end(0)


def _drafted(answer: Answer, length: int) -> Iterator[Round]:
    at, total = 0, len(answer.tokens)
    while at < total:
        drafted = min(length, total - at - 1)
        agree = answer.agree[at : at + drafted]
        stood = agree.index(False) if False in agree else drafted
        yield drafted, stood
        at += stood + 1
