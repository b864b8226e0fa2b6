"""Sub-layers by number, as they run: 2n is the attention of block n, 2n + 1 its feed-forward."""

from collections.abc import Iterable

from slipstream.core.skip import SkipSet


def from_sublayers(sublayers: Iterable[int]) -> SkipSet:
    """The set that leaves out these sub-layers."""
    numbers = sorted(sublayers)
    return SkipSet(
        tuple(number // 2 for number in numbers if number % 2 == 0),
        tuple(number // 2 for number in numbers if number % 2),
    )


def to_sublayers(skip: SkipSet) -> list[int]:
    """The inverse of `from_sublayers`, ascending."""
    return sorted([2 * block for block in skip.attention] + [2 * block + 1 for block in skip.feed_forward])


def left_out(block_count: int, ratio: float) -> int:
    """Sub-layers that a ratio leaves out: floor(2 (L - 2) ratio), as first and last block always stay (SWIFT)."""
    # A hair more than the product, so that 0.3 of 10 is 3 whatever the last bit of 0.3 is.
    return int(2 * (block_count - 2) * ratio + 1e-9)
