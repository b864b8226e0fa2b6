"""The objective weighs task classes, and refuses what no engine gives."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.bench.cell import Cell
from slipstream.core.errors import RequestError
from slipstream.tune.objective import DegenerateObjective, Objective, require_real, weights_of

TASKS = {"e1": "edit", "e2": "edit", "c1": "chat"}
positive = st.floats(0.2, 5)
ratios = st.dictionaries(st.sampled_from(sorted(TASKS)), st.lists(positive, min_size=1, max_size=5), min_size=1)


def objective(edit: float = 1.0, chat: float = 1.0) -> Objective:
    return Objective({"edit": edit, "chat": chat}, TASKS, "decode")


def cell(prompt: str = "e1", tokens: int = 100, seconds: float = 2.0, prefill: float = 3.0, **more: object) -> Cell:
    return Cell(
        arm="default", prompt=prompt, task="edit", repetition=0, tokens=tokens, seconds=seconds,
        prefill_seconds=prefill, **more,  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_class_counts_by_its_weight_and_not_by_its_prompts() -> None:
    found = {"e1": [2.0], "e2": [2.0], "c1": [0.5]}
    assert objective().score(found) == pytest.approx(1)
    assert objective(edit=3).score(found) == pytest.approx(2**0.5)


def test_the_median_of_a_prompt_s_pairs_counts() -> None:
    assert objective().score({"e1": [1.1, 9.0, 1.0]}) == pytest.approx(1.1)


def test_a_class_that_was_not_measured_has_no_say() -> None:
    assert objective(edit=3).score({"c1": [1.5], "e1": []}) == pytest.approx(1.5)
    with pytest.raises(ValueError, match="at least one pair"):
        objective().score({"c1": []})


@given(ratios)
def test_the_interval_holds_the_score(found: dict[str, list[float]]) -> None:
    ratio = objective(edit=2).ratio(found)
    assert ratio.value == pytest.approx(objective(edit=2).score(found))
    assert ratio.low <= ratio.value * (1 + 1e-9) and ratio.value <= ratio.high * (1 + 1e-9)
    assert ratio.pairs == sum(map(len, found.values())) and ratio.prompts == len(found)


@given(ratios)
def test_faster_and_slower_are_treated_alike(found: dict[str, list[float]]) -> None:
    odd = {prompt: values[: len(values) - (len(values) + 1) % 2] for prompt, values in found.items()}
    inverse = {prompt: [1 / value for value in values] for prompt, values in odd.items()}
    assert objective().score(odd) * objective().score(inverse) == pytest.approx(1)


def test_a_request_s_time_holds_its_prompt() -> None:
    request = Objective({"edit": 1}, TASKS, "request")
    assert request.rate(cell()) == pytest.approx(20)
    assert request.rate(cell(), "decode") == pytest.approx(50)
    assert request.rate(cell(seconds=0.0)) == 0


def test_weights() -> None:
    assert weights_of(["edit", "chat=3"]) == {"edit": 1, "chat": 3}


@pytest.mark.parametrize("text", ["=2", "edit=0", "edit=-1", "edit=x", "edit=inf", "edit=nan"])
def test_weights_that_can_not_be_read(text: str) -> None:
    with pytest.raises(RequestError, match="can't be read"):
        weights_of([text])


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ([cell(tokens=0)], "without tokens"),
        ([cell(seconds=0.0)], "in no time"),
        ([cell(seconds=math.inf)], "in no time"),
        ([], "no answer of the default settings counts: there are none"),
        ([cell(status="garbage", reason="empty")], "counts: empty"),
        ([cell("e1"), cell("e2"), cell("c1")], "exactly 50.000 tokens a second"),
    ],
)
def test_degenerate_objectives_are_refused(cells: list[Cell], says: str) -> None:
    with pytest.raises(DegenerateObjective, match=says):
        require_real(cells)


def test_real_ones_and_those_of_a_busy_machine_are_not() -> None:
    require_real([cell("e1"), cell("e2"), cell("c1", seconds=2.1)])
    require_real([cell(status="tainted", reason="other processes took 40 % of the CPU time")])
