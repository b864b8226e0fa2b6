"""Memory bandwidth as a program can get it: the triad a = b + s * c of STREAM (McCalpin 1995) on arrays that no cache
holds. A token's speed on a CPU is mostly this number divided by the bytes of weights that it reads."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slipstream.core.errors import MemoryShortage, RequestError

ITEM = 8
ARRAYS = 3
LARGE = 256 << 20
"""Bytes of one array, at least."""
CORE_CACHE = 4 << 20
"""Bytes of last-level cache that a core has, at most, on all but a few server CPUs."""
CACHE_TIMES = 4
"""STREAM's rule: an array is at least four times the last-level cache."""
SMALLEST = 16 << 20
SHARE = 4
"""At most a quarter of the memory that is free."""
CHUNK = 1 << 17
"""Numbers that one call of numpy handles (1 MB), so that the product stays in a core's own cache and only the three
arrays are moved through memory."""
PASSES = 6
PATIENCE = 120.0

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """The best pass. `bytes_per_second` counts what the loop names, as STREAM does: two arrays read, one written."""

    threads: int
    array_bytes: int
    bytes_per_second: float

    @property
    def moved(self) -> float:
        """Bytes a second that went through memory: before a CPU writes to a line it reads it (write-allocate), so the
        written array counts twice. This is what reading weights is to be held against."""
        return self.bytes_per_second * (ARRAYS + 1) / ARRAYS


def array_bytes(available: int, cores: int) -> int:
    """Bytes of one array, given the bytes of memory that are free and the cores, which share a last-level cache.

    Raises MemoryShortage if what is free doesn't allow arrays that say anything about memory.
    """
    room, cache = available // SHARE // ARRAYS, cores * CORE_CACHE
    if room < max(SMALLEST, cache):
        raise MemoryShortage(
            f"{available >> 20} MB of free memory are too few to measure its bandwidth",
            hint="free some memory, or measure without it",
        )
    return min(max(LARGE, CACHE_TIMES * cache), room)


def measure_bandwidth(
    threads: int, size: int = LARGE, *, passes: int = PASSES, clock: Callable[[], float] = time.perf_counter
) -> Bandwidth:
    """The best of `passes` triads on arrays of `size` bytes, shared out to `threads` threads; numpy lets other threads
    run while it computes. Each thread touches its part first, so that its pages lie near it. Raises RequestError for
    less than one thread.
    """
    if threads < 1:
        raise RequestError(f"the bandwidth of {threads} threads", hint="at least 1")
    share = max(1, size // ITEM // threads)
    arrays = tuple(np.empty(share * threads) for _ in range(ARRAYS))
    start = Barrier(threads)

    def work(part: slice) -> list[tuple[float, float]]:
        a, b, c = (array[part] for array in arrays)
        a[:], b[:], c[:] = 0.0, 1.0, 2.0
        product = np.empty(min(CHUNK, share))
        times = []
        for _ in range(passes + 1):
            start.wait(PATIENCE)
            begin = clock()
            _triad(a, b, c, product)
            times.append((begin, clock()))
        return times

    with ThreadPoolExecutor(threads) as pool:
        parts = [slice(index * share, (index + 1) * share) for index in range(threads)]
        spans = list(zip(*pool.map(work, parts), strict=True))
    # The first pass warms up.
    best = min(max(end for _, end in span) - min(begin for begin, _ in span) for span in spans[1:])
    return Bandwidth(threads, share * threads * ITEM, ARRAYS * share * threads * ITEM / best)


def _triad(a: Array, b: Array, c: Array, product: Any) -> None:
    for begin in range(0, len(a), CHUNK):
        part = slice(begin, begin + CHUNK)
        scaled = product[: len(c[part])]
        np.multiply(c[part], 3.0, out=scaled)
        np.add(b[part], scaled, out=a[part])
