"""Which sub-layers of a model a self-draft leaves out (SWIFT, arXiv 2410.06916: attention and feed-forward apart)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SkipSet:
    """Indexes of blocks, ascending, whose attention or feed-forward adds nothing. A block in both is left out whole."""

    attention: tuple[int, ...] = ()
    feed_forward: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name, indexes in (("attention", self.attention), ("feed_forward", self.feed_forward)):
            if list(indexes) != sorted(set(indexes)) or any(index < 0 for index in indexes):
                raise ValueError(f"{name} {indexes} is not a list of ascending block indexes")

    def __len__(self) -> int:
        """Sub-layers left out."""
        return len(self.attention) + len(self.feed_forward)

    @property
    def blocks(self) -> tuple[int, ...]:
        """Blocks left out whole."""
        return tuple(sorted(set(self.attention) & set(self.feed_forward)))

    def ratio(self, block_count: int) -> float:
        """Share of all sub-layers left out."""
        return len(self) / (2 * block_count)

    @classmethod
    def of_blocks(cls, blocks: tuple[int, ...]) -> "SkipSet":
        """Leaves out whole blocks."""
        return cls(blocks, blocks)
