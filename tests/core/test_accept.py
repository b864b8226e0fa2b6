from hypothesis import given
from hypothesis import strategies as st

from slipstream.core.accept import accept


@given(st.lists(st.integers(0, 3), max_size=6), st.lists(st.integers(0, 3), min_size=7, max_size=7))
def test_emits_the_targets_tokens_and_samples_no_further(draft: list[int], truth: list[int]) -> None:
    asked: list[int] = []

    def sample(position: int) -> int:
        asked.append(position)
        return truth[position]

    emitted = accept(draft, sample)
    right = next((i for i, token in enumerate(draft) if token != truth[i]), len(draft))
    assert emitted == truth[: right + 1]
    assert asked == list(range(right + 1))


def test_stops_after_an_end_token_inside_the_draft() -> None:
    assert accept([5, 9, 7], lambda position: [5, 9, 7, 1][position], ends={9}.__contains__) == [5, 9]
