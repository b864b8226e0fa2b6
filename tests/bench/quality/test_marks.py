"""What marks add up to, and that garbage never reaches a scorer."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.bench.quality.marks import Mark, Quality, fold, mark, wilson
from slipstream.bench.workload import Prompt

PROMPT = Prompt("a", "math", "?", "1")


def right(prompt: Prompt, answer: str, scratch: Path) -> Mark:
    return Mark("passed")


@pytest.mark.parametrize(
    ("text", "finish", "outcome"),
    [("1", "stop", "passed"), ("1", "length", "truncated"), (" ", "stop", "garbage"), (" ", "length", "garbage")],
)
def test_what_a_scorer_sees(text: str, finish: str, outcome: str, tmp_path: Path) -> None:
    assert mark(right, PROMPT, text, (1, 2), 100, finish, tmp_path).outcome == outcome


def test_fold_counts_apart() -> None:
    outcomes = ["passed"] * 6 + ["failed", "timeout", "truncated", "garbage"] + ["refused"] * 5
    quality = fold(Mark(outcome) for outcome in outcomes)  # type: ignore[arg-type]
    assert (quality.share, quality.n, quality.passed) == (0.6, 10, 6)
    assert (quality.truncated, quality.garbage, quality.refused) == (1, 1, 5)
    assert quality.low == pytest.approx(0.313, abs=1e-3) and quality.high == pytest.approx(0.832, abs=1e-3)


def test_nothing_marked_says_nothing() -> None:
    assert fold([]) == Quality(None, 0.0, 1.0, 0)
    assert fold([Mark("refused")]).share is None


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_and_narrows(case: tuple[int, int]) -> None:
    passed, n = case
    low, high = wilson(passed, n)
    assert 0 <= low <= passed / n <= high <= 1
    assert high - low > 0
    more = wilson(4 * passed, 4 * n)
    assert more[1] - more[0] < high - low
