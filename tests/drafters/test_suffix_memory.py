"""The global memory: eviction, and what it does with its log."""

from collections.abc import Collection, Sequence

from slipstream.core.errors import StateFileError
from slipstream.drafters.suffix_index import SuffixIndex
from slipstream.drafters.suffix_memory import SuffixMemory


class ListLog:
    """An OutputLog in a list; `broken` makes writing fail."""

    def __init__(self, outputs: Sequence[Sequence[int]] = ()) -> None:
        self.outputs = [list(output) for output in outputs]
        self.broken = False
        self.replaced = 0

    def read(self) -> Sequence[Sequence[int]]:
        return self.outputs

    def append(self, tokens: Sequence[int]) -> None:
        if self.broken:
            raise StateFileError("the disk is full", hint="free space")
        self.outputs.append(list(tokens))

    def replace(self, outputs: Collection[Sequence[int]]) -> None:
        self.outputs = [list(output) for output in outputs]
        self.replaced += 1


def memory(max_tokens: int = 100, max_outputs: int = 100, log: ListLog | None = None) -> SuffixMemory:
    return SuffixMemory(SuffixIndex(), max_tokens, max_outputs, log)


def test_the_oldest_outputs_are_evicted_first() -> None:
    by_tokens, by_number = memory(max_tokens=10), memory(max_outputs=2)
    for output in ([1, 2, 3, 4], [5, 6, 7, 8], [9, 10]):
        by_tokens.add(output)
        by_number.add(output)
    assert list(by_tokens.outputs()) == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10]]
    assert list(by_number.outputs()) == [[5, 6, 7, 8], [9, 10]]
    by_tokens.add([11])
    assert list(by_tokens.outputs()) == [[5, 6, 7, 8], [9, 10], [11]]
    assert (by_tokens.tokens, len(by_tokens)) == (7, 3)


def test_of_an_output_longer_than_the_memory_the_end_stays() -> None:
    small = memory(max_tokens=4)
    small.add([1, 2])
    small.add(list(range(10)))
    assert list(small.outputs()) == [[6, 7, 8, 9]]


def test_stays_within_bounds_over_many_outputs() -> None:
    small = memory(max_tokens=2000)
    for number in range(500):
        small.add([number % 7] * (number % 40 + 1))
    assert small.tokens <= 2000
    assert small.index.nbytes < 600_000
    assert sum(map(len, small.outputs())) == small.tokens


def test_the_log_is_read_at_the_start_newest_outputs_first() -> None:
    log = ListLog([[1] * 60, [2] * 60, [3] * 30])
    assert list(memory(log=log).outputs()) == [[2] * 60, [3] * 30]
    assert list(memory(max_outputs=1, log=log).outputs()) == [[3] * 30]
    assert list(memory(max_outputs=0, log=log).outputs()) == []
    assert list(memory(max_tokens=10, log=log).outputs()) == []


def test_the_log_is_appended_to_and_rewritten_when_mostly_stale() -> None:
    log = ListLog()
    small = memory(max_outputs=3, log=log)
    for number in range(200):
        small.add([number])
    assert log.replaced >= 1
    assert len(log.outputs) < 100
    assert log.outputs[-3:] == list(small.outputs()) == [[197], [198], [199]]
    small.wipe()
    assert log.outputs == [] == list(small.outputs())


def test_a_log_that_fails_is_let_go_with_a_warning() -> None:
    log = ListLog()
    log.broken = True
    small = memory(log=log)
    small.add([1, 2])
    small.add([3])
    assert list(small.outputs()) == [[1, 2], [3]]
    assert len(small.warnings) == 1
    assert "disk is full" in small.warnings[0]
