"""Interleaved comparisons: the order of runs, and figures from pairs."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.bench.compare import Comparison, Run, Sample, first_difference, interleave
from slipstream.bench.table import cells, rows
from slipstream.bench.workload import Prompt
from slipstream.core.stats import SourceStats, Stats

A, B = Prompt("a", "edit", "x"), Prompt("b", "chat", "y")


def sample(prompt: Prompt, arm: str, repetition: int, rate: float, tokens: tuple[int, ...] = (1, 2)) -> Sample:
    """A hundred tokens at `rate` tokens a second."""
    sources = {"suffix": SourceStats(5, 60, 40)} if arm == "stack" else {}
    stats = Stats(tokens=100, rounds=60, draft_rounds=5, draft_round_tokens=45, decode_ms=1e5 / rate, sources=sources)
    return Sample(prompt, arm, repetition, tokens, "", stats)


def arms(*names: str, order: list[tuple[str, str, int]]) -> Mapping[str, Run]:
    def arm(name: str) -> Run:
        def run(prompt: Prompt, repetition: int) -> Sample:
            order.append((prompt.id, name, repetition))
            return sample(prompt, name, repetition, 10)

        return run

    return {name: arm(name) for name in names}


MADE = Comparison(
    [
        *(sample(A, "plain", n, rate) for n, rate in enumerate((10, 20, 10))),
        *(sample(A, "stack", n, rate) for n, rate in enumerate((20, 40, 90))),
        *(sample(B, "plain", n, 10) for n in range(3)),
        *(sample(B, "stack", n, rate) for n, rate in enumerate((9, 8, 8))),
    ]
)


def test_the_first_two_arms_alternate_over_prompts_and_repetitions() -> None:
    order: list[tuple[str, str, int]] = []
    list(interleave([A, B], arms("plain", "stack", "oracle", order=order), 2))
    firsts = [order[index][1] for index in range(0, len(order), 3)]
    assert firsts == ["plain", "stack", "stack", "plain"]
    assert {order[index][1] for index in range(2, len(order), 3)} == {"oracle"}
    assert sorted(order) == sorted((p, a, r) for p in "ab" for a in ("plain", "stack", "oracle") for r in (0, 1))


def test_every_pair_is_done_before_the_next_starts_and_samples_come_as_they_are_done() -> None:
    order: list[tuple[str, str, int]] = []
    runs = interleave([A, B], arms("plain", "stack", order=order), 1)
    assert (next(runs).arm, order) == ("plain", [("a", "plain", 0)])
    assert next(runs).arm == "stack"
    assert next(runs).prompt == B


def test_one_arm_alone_can_run() -> None:
    order: list[tuple[str, str, int]] = []
    assert len(list(interleave([A, B], arms("plain", order=order), 2))) == 4


def test_every_repetition_begins_anew() -> None:
    order: list[tuple[str, str, int]] = []
    list(interleave([A], arms("plain", order=order), 2, begin=lambda: order.append(("begin", "", 0))))
    assert [entry[0] for entry in order] == ["begin", "a", "begin", "a"]


def test_pairs_are_of_one_repetition_and_incomplete_ones_are_left_out() -> None:
    assert MADE.pairs("stack", "a") == pytest.approx([2, 2, 9])
    torn = Comparison([*MADE.samples[:5], sample(A, "stack", 7, 10)])
    assert torn.pairs("stack", "a") == pytest.approx([2, 2])


def test_ratio_is_the_mean_of_median_pairs_not_of_averages() -> None:
    ratio = MADE.ratio("stack", ["a", "b"])
    assert ratio.value == pytest.approx((2 * 0.8) ** 0.5)
    assert (ratio.prompts, ratio.pairs) == (2, 6)
    assert MADE.ratio("plain", ["a"], baseline="stack").value == pytest.approx(0.5)


def test_samples_are_found_by_arm_prompt_and_task() -> None:
    assert MADE.prompts() == ["a", "b"]
    assert MADE.prompts("chat") == ["b"]
    assert MADE.tasks() == ["edit", "chat"]
    assert [s.repetition for s in MADE.of("stack", ["b"])] == [0, 1, 2]
    assert MADE.answers("stack") == {"a": (1, 2), "b": (1, 2)}
    assert len(MADE.of("plain")) == 6
    assert MADE.stats("stack", "edit").tokens == 300
    assert MADE.stats("stack").sources["suffix"].accepted == 240


def test_rows_are_per_task_and_in_all() -> None:
    edit, chat, everything = rows(MADE)
    assert (edit["task"], chat["task"], everything["task"]) == ("edit", "chat", "all")
    assert (edit["speed_up"], chat["speed_up"]) == pytest.approx((2, 0.8))
    assert everything["speed_up"] == pytest.approx((2 * 0.8) ** 0.5)
    assert everything["prompts"] == 2
    assert edit["tokens_per_second"] == pytest.approx(300_000 / (5000 + 2500 + 1e5 / 90))
    assert cells(edit)[0] == "edit"
    assert cells(edit)[5] == "2.00x"
    assert cells(edit)[-1] == "suffix 120/180"


@given(st.lists(st.integers(0, 2), max_size=6), st.lists(st.integers(0, 2), max_size=6))
def test_first_difference(ours: list[int], theirs: list[int]) -> None:
    at = first_difference(ours, theirs)
    if at is None:
        assert ours == theirs
    else:
        assert ours[:at] == theirs[:at]
        assert ours[at : at + 1] != theirs[at : at + 1]
