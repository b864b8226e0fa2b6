"""Time and memory of the suffix drafter. Times get ample slack for noisy machines; the real figure is printed."""

import random
import statistics
import time
import tracemalloc
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import pytest

from slipstream.core.request import Request
from slipstream.drafters.suffix import Suffix

CONTEXT = 32_000
SLACK = 3
Text = Callable[[int, int], list[int]]


def phrases(length: int, seed: int) -> list[int]:
    """Tokens with repetition like an agent's: phrases of a common stock, some of them changed in a place."""
    chooser, stock = random.Random(seed), random.Random(0)
    store = [[stock.randrange(32_000) for _ in range(stock.randrange(3, 40))] for _ in range(400)]
    text: list[int] = []
    while len(text) < length:
        phrase = list(chooser.choice(store))
        if chooser.random() < 0.5:
            phrase[chooser.randrange(len(phrase))] = chooser.randrange(32_000)
        text += phrase
    return text[:length]


def noise(length: int, seed: int) -> list[int]:
    chooser = random.Random(seed)
    return [chooser.randrange(32_000) for _ in range(length)]


def few_symbols(length: int, seed: int) -> list[int]:
    chooser = random.Random(seed)
    return [chooser.randrange(8) for _ in range(length)]


def per_token(drafter: Suffix, prompt: list[int], answer: list[int]) -> float:
    """Median over rounds of the microseconds that propose and commit take, per emitted token."""
    drafter.begin(0, Request(tuple(prompt)))
    times, done = [], 0
    while done < len(answer):
        start = time.perf_counter()
        draft = drafter.propose(0, 16).tokens
        proposed = time.perf_counter()
        accepted = 0
        while accepted < len(draft) and answer[done + accepted : done + accepted + 1] == [draft[accepted]]:
            accepted += 1
        emitted = answer[done : done + accepted + 1]
        resumed = time.perf_counter()
        drafter.commit(0, emitted)
        times.append((proposed - start + time.perf_counter() - resumed) / len(emitted))
        done += len(emitted)
    drafter.end(0)
    return 1e6 * statistics.median(times)


@pytest.mark.parametrize("text", [phrases, noise, few_symbols])
def test_update_and_propose_take_less_than_50_microseconds(text: Text) -> None:
    drafter = Suffix()
    for seed in range(40):
        drafter.begin(0, Request((1,)))
        drafter.commit(0, text(1000, seed))
        drafter.end(0)
    spent = per_token(drafter, text(CONTEXT, 100), text(1500, 101))
    print(f"\n{text.__name__}: {spent:.1f} us a token")
    assert spent < 50 * SLACK


def test_long_drafts_are_slices() -> None:
    drafter = Suffix()
    prompt = noise(CONTEXT, 1)
    drafter.begin(0, Request((*prompt, *prompt[:40])))
    times = []
    for _ in range(100):
        start = time.perf_counter()
        assert len(drafter.propose(0, 128)) == 128
        times.append(time.perf_counter() - start)
    print(f"\n128 tokens: {1e6 * statistics.median(times):.1f} us")
    assert statistics.median(times) < 50e-6 * SLACK


def test_a_live_index_takes_at_most_250_bytes_a_token() -> None:
    prompt = tuple(noise(CONTEXT, 1))
    for tokens in (CONTEXT, 3000):
        drafter = Suffix()
        request = Request(prompt[:tokens])
        tracemalloc.start()
        drafter.begin(0, request)
        taken = tracemalloc.get_traced_memory()[0] / tokens
        tracemalloc.stop()
        print(f"\n{tokens} tokens: {taken:.0f} bytes a token")
        assert taken <= 250


class Outputs:
    """A log with a million tokens."""

    def __init__(self) -> None:
        text = np.array(phrases(100_000, 7) * 10, np.int32)
        self.outputs = np.split(text, 5000)

    def read(self) -> Sequence[Any]:
        return self.outputs

    def append(self, tokens: Sequence[int]) -> None: ...

    def replace(self, outputs: Collection[Sequence[int]]) -> None: ...


def test_a_million_remembered_tokens_open_fast_and_stay_small() -> None:
    log, times = Outputs(), []
    for _ in range(3):
        start = time.perf_counter()
        drafter = Suffix(log=log)
        times.append(time.perf_counter() - start)
    tracemalloc.start()
    drafter = Suffix(log=log)
    taken, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(f"\nopened in {1e3 * min(times):.0f} ms, {taken / 1e6:.0f} MB, {peak / 1e6:.0f} MB while building")
    assert drafter.memory.tokens == 1_000_000
    assert min(times) < 0.2 * SLACK
    assert peak < 100e6
