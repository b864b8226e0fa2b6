"""A growing token sequence with hash chains over a few n-gram orders: where did the current suffix stand before?

The match finder of LZ77 compressors (Ziv and Lempel 1977, with zlib's head and chain tables) instead of the suffix
tree of SuffixDecoding (arXiv 2411.04975): appending a token costs a few array writes, memory is a few int32 a token,
and a bulk build is one sort per order.
"""

from collections.abc import Sequence
from itertools import pairwise
from operator import mul
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int32]

BREAK = -1
"""Stands between two sequences; never drafted, never part of a match unless the query holds it too."""
NOTHING = -1000
"""Stands for what lies before a query's first token: unlike anything an index holds."""

_WORD = (1 << 64) - 1
_BULK = 128
_CHUNK = 1 << 17


Match = tuple[int, int, int]
"""An earlier occurrence of a suffix (position, length, bridged): it ends at `position` and agrees with the suffix on
`length` tokens, and on `bridged` more if the one differing token before them is skipped. A plain tuple for speed."""


def _constants(count: int) -> list[int]:
    """Odd 64-bit constants from splitmix64 (Steele et al. 2014), fixed so that every run hashes alike."""
    values = []
    for step in range(1, count + 1):
        word = step * 0x9E3779B97F4A7C15 & _WORD
        word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 & _WORD
        word = (word ^ word >> 27) * 0x94D049BB133111EB & _WORD
        values.append((word ^ word >> 31) | 1)
    return values


def _memory(array: NDArray[Any]) -> Any:
    """Scalar access through a memoryview is twice as fast as through the array."""
    return memoryview(array)  # type: ignore[arg-type]


class SuffixIndex:
    """Tokens at positions `origin` to `size` - 1, findable by any suffix at least as long as the shortest order.

    `orders` are the n-gram lengths with a chain each. Matches are measured up to `depth` tokens. `extend` may move all
    positions down after a `drop`; `moved` is by how much in total. Memory: the arrays' `nbytes`, at most 4 + 8 * orders
    bytes per token of capacity, and capacity is at most twice the tokens.
    """

    def __init__(self, orders: Sequence[int] = (1, 2, 4, 8), depth: int = 32, capacity: int = 1024) -> None:
        self.orders = tuple(sorted(orders))
        self.depth = depth
        if not 1 <= self.orders[0] <= self.orders[-1] <= depth < -NOTHING - 2:
            raise ValueError(f"orders {self.orders} must lie between 1 and the depth {depth}, and that below 998")
        constants = _constants(self.orders[-1])
        self._multipliers = [constants[low:high] for low, high in pairwise((0, *self.orders))]
        self._segments = [(low, high) for low, high in pairwise((0, *self.orders))]
        self._masks = [(1 << 32 * max(0, above - 1)) - 1 for above in range(depth + 1)]
        # Before the first token: each value once, so that it differs from itself shifted.
        self._padding = np.arange(-depth - 2, -2, dtype=np.int32)
        self.origin = depth
        self.size = depth
        self.moved = 0
        self._allocate(max(capacity, 64))

    def _allocate(self, capacity: int) -> None:
        """Make room for `capacity` tokens, keep those that are there, and index them anew."""
        old = self.tokens[: self.size] if self.size > self.depth else self._padding
        self.capacity = capacity + self.depth
        bits = max(8, (self.capacity - 1).bit_length() - 1)  # half as many buckets as tokens, or more
        self._shift = 64 - bits
        self.tokens: Tokens = np.full(self.capacity, NOTHING, np.int32)
        self.tokens[: len(old)] = old
        self.view: Any = _memory(self.tokens)
        self.raw: Any = _memory(self.tokens).cast("B")
        self._heads = [np.full(1 << bits, -1, np.int32) for _ in self.orders]
        self._chains = [np.full(self.capacity, -1, np.int32) for _ in self.orders]
        self._head_views: Any = [_memory(heads) for heads in self._heads]
        self._chain_views: Any = [_memory(chain) for chain in self._chains]
        self._falling = self.orders[::-1]
        self._falling_heads = self._head_views[::-1]
        self._falling_chains = self._chain_views[::-1]
        self._link(self.origin, self.size)

    @property
    def nbytes(self) -> int:
        """Bytes held by the arrays."""
        return self.tokens.nbytes + sum(array.nbytes for array in (*self._heads, *self._chains))

    def keys(self, tail: Sequence[int]) -> list[int]:
        """Hash of the last n tokens of `tail`, for each order; `tail` holds at least the longest order."""
        latest = tail[: -self.orders[-1] - 1 : -1]
        key, keys = 0, []
        for (low, high), multipliers in zip(self._segments, self._multipliers, strict=True):
            key += sum(map(mul, latest[low:high], multipliers))
            keys.append(key & _WORD)
        return keys

    def extend(self, tokens: Sequence[int] | Tokens) -> None:
        """Append tokens: one by one, or in bulk when there are many."""
        if self.size + len(tokens) > self.capacity:
            self._make_room(len(tokens))
        end = self.size + len(tokens)
        if len(tokens) >= _BULK:
            start, self.size = self.size, end
            self.tokens[start:end] = tokens
            self._link(start, end)
            return
        view, shift, longest = self.view, self._shift, self.orders[-1]
        tables = list(zip(self._head_views, self._chain_views, strict=True))
        for position, token in enumerate(tokens, self.size):
            view[position] = token
            keys = self.keys(view[position - longest + 1 : position + 1].tolist())
            for key, (heads, chain) in zip(keys, tables, strict=True):
                bucket = key >> shift
                chain[position] = heads[bucket]
                heads[bucket] = position
        self.size = end

    def _link(self, start: int, end: int) -> None:
        """Index positions `start` to `end` - 1, in chunks that keep temporary arrays small."""
        for first in range(start, end, _CHUNK):
            self._link_chunk(first, min(first + _CHUNK, end))

    def _link_chunk(self, start: int, end: int) -> None:
        """Sorting by (bucket, position) puts the members of a chain side by side."""
        key = np.zeros(end - start, np.uint64)
        words = self.tokens[start - self.orders[-1] + 1 : end].astype(np.int64).view(np.uint64)
        positions = np.arange(start, end, dtype=np.uint64)
        back = self.orders[-1] - 1
        for order, (segment, multipliers) in enumerate(zip(self._segments, self._multipliers, strict=True)):
            for distance, multiplier in zip(range(*segment), multipliers, strict=True):
                key += words[back - distance : len(words) - distance] * np.uint64(multiplier)
            entries = key >> np.uint64(self._shift) << np.uint64(32) | positions
            entries.sort()
            buckets = (entries >> np.uint64(32)).astype(np.int64)
            places = entries.astype(np.uint32).view(np.int32)
            same = buckets[1:] == buckets[:-1]
            heads, chain = self._heads[order], self._chains[order]
            chain[places[1:]] = np.where(same, places[:-1], -1)
            first = np.flatnonzero(np.concatenate(([True], ~same)))
            last = np.concatenate((first[1:] - 1, [len(places) - 1]))
            chain[places[first]] = heads[buckets[first]]
            heads[buckets[last]] = places[last]

    def drop(self, count: int) -> None:
        """Forget the oldest `count` tokens. Their room is reused when the array is full."""
        self.origin = min(self.origin + count, self.size)
        self.tokens[self.origin - self.depth : self.origin] = self._padding

    def clear(self) -> None:
        """Forget everything, in RAM too."""
        self.moved += self.size
        self.origin = self.size = self.depth
        self._allocate(64)

    def _make_room(self, count: int) -> None:
        """Move live tokens to the front if that frees an eighth of the array, else enlarge it."""
        dead = self.origin - self.depth
        if dead >= max(count, self.capacity // 8):
            self._compact()
        else:
            needed = self.size + count - self.depth
            self._allocate(max(2 * (self.capacity - self.depth), needed + needed // 8 + 1024))

    def _compact(self) -> None:
        moved = self.origin - self.depth
        live = self.size - self.origin
        self.tokens[: self.depth] = self._padding
        self.tokens[self.depth : self.depth + live] = self.tokens[self.origin : self.size]
        for heads, chain in zip(self._heads, self._chains, strict=True):
            chain[: live + self.depth] = chain[moved : moved + live + self.depth]
            for array in (heads, chain):
                array -= moved
                np.maximum(array, -1, out=array)
        self.origin, self.size = self.depth, self.depth + live
        self.moved += moved

    def tail(self) -> Tokens:
        """The last `depth` tokens, padded in front: a view."""
        return self.tokens[self.size - self.depth : self.size]

    def find(self, tail: Tokens, before: int, limit: int, enough: int = 1) -> list[Match]:
        """Occurrences of the end of `tail` (int32, `depth` long) that end before position `before`; each once.

        For each order from the longest down: the `limit` most recent occurrences of the last `order` tokens, most
        recent first. Shorter orders are asked only while fewer than `enough` (at most `limit`) were found.
        """
        found: list[Match] = []
        depth, raw, origin, shift, masks = self.depth, self.raw, self.origin, self._shift, self._masks
        read, back = int.from_bytes, 4 * depth - 4
        # As one integer, the latest token is the most significant: the bit length of a difference tells its place.
        query = read(tail.tobytes(), "little")
        ceiling = depth + 1
        keys = self.keys(tail[-self.orders[-1] :].tolist())
        for order, key, heads, chain in zip(
            self._falling, keys[::-1], self._falling_heads, self._falling_chains, strict=True
        ):
            position = heads[key >> shift]
            left = limit
            while position >= before:
                position = chain[position]
            while position >= origin and left:
                differing = read(raw[4 * position - back : 4 * position + 4], "little") ^ query
                above = (differing.bit_length() + 31) >> 5
                length = depth - above
                if length >= order:
                    left -= 1
                    if length < ceiling:
                        bridged = above - 1 - (((differing & masks[above]).bit_length() + 31) >> 5) if above else 0
                        found.append((position, length, bridged))
                position = chain[position]
            if len(found) >= enough:
                break
            ceiling = order
        return found

    def copy(self, position: int, wanted: int, periodic: bool) -> bytes:
        """At most `wanted` tokens that follow `position`, as int32 bytes. A `periodic` copy that reaches the end goes
        on through itself."""
        data: bytes = self.raw[4 * position + 4 : 4 * min(position + 1 + wanted, self.size)].tobytes()
        if periodic and len(data) < 4 * wanted:
            data = (data * (4 * wanted // len(data) + 1))[: 4 * wanted]
        return data


def extended(tail: Tokens, after: Sequence[int]) -> Tokens:
    """The tail as it would be after these tokens, of the same length."""
    if not after:
        return tail
    return np.concatenate((tail, np.asarray(after, np.int32)))[-len(tail) :]
