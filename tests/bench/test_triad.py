"""Memory bandwidth by a triad."""

import math
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.bench import triad
from slipstream.bench.triad import Bandwidth, array_bytes, measure_bandwidth
from slipstream.core.errors import MemoryShortage, RequestError

MB = 1 << 20


@given(st.integers(1, 3 * triad.CHUNK))
def test_it_is_a_triad(length: int) -> None:
    a, b, c = np.zeros(length), np.arange(length, dtype=float), np.full(length, 2.0)
    triad._triad(a, b, c, np.empty(min(triad.CHUNK, length)))
    assert np.array_equal(a, b + 3 * c)


def test_bytes_are_those_of_three_arrays_in_the_best_pass() -> None:
    # Begin and end of each pass; the first one warms up and doesn't count, however fast.
    times = iter([0.0, 0.1, 1.0, 3.0, 4.0, 4.5, 5.0, 6.0])
    found = measure_bandwidth(1, 8000, passes=3, clock=lambda: next(times))
    assert found == Bandwidth(1, 8000, 3 * 8000 / 0.5)
    assert math.isclose(found.moved, 4 * 8000 / 0.5)


def test_threads_share_the_arrays() -> None:
    used = set()

    def clock() -> float:
        used.add(threading.get_ident())
        return float(len(used)) + 1e-3 * threading.get_ident() % 1

    real = measure_bandwidth(3, 8 * 10_000, passes=1)
    assert real.array_bytes == 8 * 9999 and real.bytes_per_second > 1e6
    measure_bandwidth(3, 8 * 9999, passes=1, clock=clock)
    assert len(used) == 3


@pytest.mark.parametrize(
    ("available", "cores", "size"),
    [(64 << 30, 2, 256 * MB), (1 << 40, 96, 1536 * MB), (1200 * MB, 2, 100 * MB)],
)
def test_arrays_outgrow_the_caches_as_far_as_memory_allows(available: int, cores: int, size: int) -> None:
    assert array_bytes(available, cores) == size


@pytest.mark.parametrize(("available", "cores"), [(100 * MB, 1), (2 << 30, 96)])
def test_too_little_memory(available: int, cores: int) -> None:
    with pytest.raises(MemoryShortage, match="too few to measure"):
        array_bytes(available, cores)


def test_no_threads() -> None:
    with pytest.raises(RequestError, match="0 threads"):
        measure_bandwidth(0)
