"""Every way in which numbers once went wrong is seen."""

from typing import Any

import pytest

from slipstream.bench.cell import Cell
from slipstream.bench.doubts import Limits, doubts, judged
from tests.bench.paired import cell


def made(rate: float = 10.0, engine_rate: float | None = None, warm: bool = False, **figures: Any) -> Cell:
    return cell("stack", "x1", 0, rate, engine_rate=engine_rate, warm=warm, figures=figures)


def copied(name: str, accepted: int) -> dict[str, Any]:
    return {name: {"drafted": 100, "accepted": accepted}}


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (made(engine_rate=280.0), "the engine claims 280.0 tok/s, our clock says 10.0 (28.00 times)"),
        (made(engine_rate=9.0), "0.90 times"),
        (made(uncooled=True), "declared cold"),
        (made(warm=True, uncooled=True, sources=copied("prompt_lookup", 95)), "95 of 100 copied tokens stood"),
        (made(others_cpu=0.3, elapsed_seconds=10.0), "other processes took 30 % of the CPU time"),
        (made(wall_seconds=70.0, elapsed_seconds=10.0), "the wall clock went 70.00 s while 10.00 s passed"),
        (made(wall_seconds=9.9, elapsed_seconds=10.0), "while 10.00 s passed"),
    ],
)
def test_doubtful_cells_are_tainted(found: Cell, says: str) -> None:
    assert any(says in reason for reason in doubts(found))
    result = judged(found, Limits())
    assert result.status == "tainted" and says in result.reason
    assert result.rate == found.rate, "it is marked, not changed"


@pytest.mark.parametrize(
    "found",
    [
        made(),
        made(engine_rate=10.4),
        made(warm=True, uncooled=True),
        made(sources=copied("suffix", 100), uncooled=False),
        made(warm=True, uncooled=True, sources=copied("suffix", 94)),
        made(warm=True, uncooled=True, sources=copied("draft_model", 99)),
        made(others_cpu=0.1, elapsed_seconds=5.0),
        made(others_cpu=0.2, elapsed_seconds=0.1),  # two ticks of the kernel's clock
        made(wall_seconds=10.05, elapsed_seconds=10.0),
        cell("stack", "x1", tokens=0, engine_rate=99.0),
    ],
)
def test_others_are_left_alone(found: Cell) -> None:
    assert doubts(found) == []
    assert judged(found, Limits()) is found


def test_the_load_that_counts_can_be_chosen() -> None:
    assert doubts(made(others_cpu=0.3), 0.5) == []
    assert doubts(made(others_cpu=0.01), 0.0)


def test_several_reasons_are_all_given() -> None:
    reason = judged(made(engine_rate=280.0, others_cpu=1.0), Limits()).reason
    assert "engine claims" in reason and "; other processes" in reason


def test_garbage_outweighs_taint_and_failure_stays() -> None:
    asked = []

    def garbage(text: str, tokens: Any, limit: int, finish: str) -> str:
        asked.append((text, tokens, limit, finish))
        return "repeats itself"

    limits = Limits(garbage=garbage)
    found = cell(
        "stack",
        "x1",
        engine_rate=280.0,
        answer="aaa",
        token_ids=(1, 1, 1),
        figures={"max_tokens": 3, "finish": "length"},
    )
    assert (judged(found, limits).status, judged(found, limits).reason) == ("garbage", "repeats itself")
    assert asked[0] == ("aaa", (1, 1, 1), 3, "length")
    failed = cell("stack", "x1", status="failed", reason="no model")
    assert judged(failed, limits) is failed
