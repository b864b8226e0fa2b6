"""The machine grid: places, cells measured on a fake target, and what the pairs say is best."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slipstream.bench import baseline, baseline_child
from slipstream.bench.baseline import Apart, GridArm, Place, Sizes, child_arm, grid, leaders, rows, texts, titles
from slipstream.bench.cell import Cell
from slipstream.bench.claim import Claim
from slipstream.bench.doubts import Limits
from slipstream.bench.roofline import work_of
from slipstream.bench.runner import Plan, measure
from slipstream.bench.schedule import Block
from slipstream.core.errors import RequestError, UnknownName
from slipstream.engine.fake import FakeTarget, random_table
from slipstream.models.gguf import read_header
from tests.bench.paired import MemoryStore, run_of
from tests.engine import tiny_gguf

SIZES = Sizes(prompt=100, answer=20)
ONE, TWO = Place(1, "off", 512, True), Place(2, "off", 512, True)
ARMS = (ONE.arm("baseline"), ONE.arm("repeat"), TWO.arm("candidate"))


def test_every_combination_once() -> None:
    places = grid([1, 2, 2], ["off", "distribute"], [64, 512])
    assert len(places) == len({place.name for place in places}) == 8
    assert places[0] == Place(1, "off", 64, False)
    # Pages that lie somewhere already would make all policies alike.
    assert grid([1])[0].mmap and grid([1], mmap=False)[0].mmap is False
    assert grid([1], ["off", "isolate"], mmap=True)[0].mmap


def test_what_can_not_be_measured() -> None:
    with pytest.raises(UnknownName, match="did you mean 'distribute'"):
        grid([1], ["distrbute"])
    for threads, numa, batch in (([0], ["off"], [512]), ([1], ["off"], [32]), ([], ["off"], [512]), ([1], [], [512])):
        with pytest.raises(RequestError):
            grid(threads, numa, batch)


def test_cells_of_a_child_cost_what_its_passes_cost() -> None:
    target = FakeTarget(
        random_table(1, 8), 8, context_length=512, batch_size=64, cost=lambda width, depth: 10.0 + width + depth
    )
    job = {"cells": [prompt.id for prompt in SIZES.cells], "prompt": 100, "answer": 20, "repetition": 3}
    cells = {cell.prompt: cell for cell in baseline_child.cells(target, [1, 2, 3] * 200, job, target.clock)}
    assert list(cells) == [prompt.id for prompt in SIZES.cells]
    assert (cells["pp100"].tokens, cells["tg20"].tokens) == (100, 20)
    # Two passes of 64 and 36 tokens, at depths 0 and 64; twenty of one token, at depths 0 to 19.
    assert cells["pp100"].seconds == pytest.approx((74 + 46 + 64) / 1000)
    assert cells["tg20"].seconds == pytest.approx((20 * 11 + sum(range(20))) / 1000)
    assert cells["verify 8"].figures["ratio"] == pytest.approx((18 + 64) / (11 + 64))
    assert cells["verify 8"].rate == pytest.approx(8000 / (18 + 64))
    assert {cell.repetition for cell in cells.values()} == {3}


def test_the_text_is_long_enough() -> None:
    assert len(baseline_child.sample(lambda text: [1] * 10, 704)) >= 704


def cells(one: float, two: float, again: float = 0.0, repetitions: int = 6) -> list[Cell]:
    """Tokens a second of both places, on every cell."""
    found = []
    for repetition in range(repetitions):
        # Machines aren't exact: half a per cent up and down.
        wobble = 1 + 0.005 * (-1) ** repetition
        for arm, rate in ((ONE.name, one), (f"{ONE.name}, again", again or one), (TWO.name, two)):
            for prompt in SIZES.cells:
                figures: dict[str, Any] = {"ratio": 2.0} if prompt.id.startswith("verify") else {}
                if prompt.id == "tg20":
                    figures = {"bytes_per_token": 1_000_000_000, "triad": 20e9}
                found.append(
                    Cell(
                        arm=arm,
                        prompt=prompt.id,
                        task=prompt.task,
                        repetition=repetition,
                        tokens=100,
                        seconds=100 / (rate * (wobble if arm == TWO.name else 1)),
                        figures=figures,
                    )
                )
    return found


@pytest.mark.parametrize(
    ("two", "again", "repetitions", "winner"),
    [
        (15.0, 10.0, 6, TWO.name),
        (5.0, 10.0, 6, ONE.name),
        (10.0, 10.0, 6, ""),
        (15.0, 10.0, 3, ""),  # too few pairs
        (11.0, 12.0, 6, ""),  # identical arms differ by more
    ],
)
def test_the_best_is_marked_only_where_the_pairs_say_so(
    two: float, again: float, repetitions: int, winner: str
) -> None:
    one = leaders(cells(10.0, two, again, repetitions), ARMS, SIZES)["pp100"]
    assert (one.arm if one.sure else "") == winner and one.sure is (one.why == "")


def test_what_leads_is_told_with_its_interval() -> None:
    found = leaders(cells(10.0, 15.0), ARMS, SIZES)
    assert list(found) == [prompt.id for prompt in SIZES.cells]
    one = found["tg20"]
    assert (one.arm, one.rival, one.ratio.pairs) == (TWO.name, ONE.name, 6)
    assert one.ratio.low < 1.5 < one.ratio.high < 1.52


def test_nothing_leads_alone() -> None:
    assert leaders(cells(10.0, 15.0), ARMS[:2], SIZES) == {}


def test_a_leader_without_pairs_with_everybody_is_not_sure() -> None:
    four = Place(4, "off", 512, True)
    apart = [replace(cell, arm=four.name, repetition=9) for cell in cells(5.0, 5.0, repetitions=1)[:8]]
    one = leaders([*cells(10.0, 15.0), *apart], (*ARMS, four.arm("candidate")), SIZES)["pp100"]
    assert (one.arm, one.sure, one.why) == (TWO.name, False, "no pair with another arm counts")


def test_rows() -> None:
    found = cells(10.0, 15.0)
    lost = replace(found[0], arm=TWO.name, prompt="verify 2", status="failed", reason="it died")
    first, second = rows([*found, lost], ARMS, SIZES)
    assert (first["threads"], second["threads"], second["repetitions"]) == (1, 2, 6)
    assert second["best"] == [prompt.id for prompt in SIZES.cells] and first["best"] == []
    assert first["bytes_per_second"] == pytest.approx(10e9) and first["share_of_triad"] == pytest.approx(0.5)
    assert second["lost"] == [{"cell": "verify 2", "status": "failed", "reason": "it died"}]
    written = dict(zip(titles(SIZES), texts(second, SIZES), strict=True))
    assert written["pp100"] == "15.0 *" and written["r[64]"] == "2.00 *" and written["of the triad"] == "75 %"
    assert json.loads(json.dumps(first)) == first


def test_a_row_of_a_place_that_failed_throughout() -> None:
    failed = [replace(cell, status="failed", reason="no memory") if cell.arm == TWO.name else cell
              for cell in cells(10.0, 15.0)]  # fmt: skip
    row = rows(failed, ARMS, SIZES)[1]
    assert row["tokens_per_second"]["pp100"] is None and row["share_of_triad"] is None
    assert dict(zip(titles(SIZES), texts(row, SIZES), strict=True))["pp100"] == "failed"
    assert rows(failed, ARMS, SIZES)[0]["best"] == []


def test_a_real_grid_of_one_place(tmp_path: Path) -> None:
    model = tiny_gguf.dense(tmp_path / "tiny.gguf")
    sizes = Sizes(prompt=80, answer=4)
    arm = GridArm(child_arm(ONE, model, sizes, tmp_path, 30.0), work_of(read_header(model)), 5e9)
    run, store = run_of(ONE.arm("baseline"), TWO.arm("candidate")), MemoryStore()
    plan = Plan(prompts=sizes.cells, pairs=1, size=len(sizes.cells))
    outcome = measure(run, plan, {ONE.name: arm, TWO.name: arm}, Apart(store), Limits(others=1.0))
    assert [cell.status for cell in outcome.cells] == ["ok"] * 2 * len(sizes.cells)
    assert {cell.prompt for cell in store.held} == {prompt.id for prompt in sizes.cells}
    decoding = next(cell for cell in store.held if cell.prompt == "tg4")
    header = read_header(model)
    # The embeddings are the output's weights too; two tokens of KV lie behind a middle one.
    assert decoding.figures["bytes_per_token"] == header.weights_bytes + 3 * header.kv_bytes_per_token
    assert decoding.figures["triad"] == 5e9
    assert all(claim.task != "all" for claim in store.claimed) and store.claimed


def test_a_place_that_can_not_be_loaded_fails_with_its_reason(tmp_path: Path) -> None:
    arm = child_arm(ONE, tmp_path / "nowhere.gguf", SIZES, tmp_path, 30.0)
    with pytest.raises(Exception, match="no ready") as caught:
        arm.start(Block(0, ONE.name, 0, ("pp100",)))
    arm.stop()
    assert "nowhere.gguf" in str(caught.value)


def test_claims_over_all_cells_are_dropped() -> None:
    store = MemoryStore()
    claim = Claim(
        id="a", run="r", arm="x", baseline="y", task="all", value=1, low=1, high=1, prompts=1, pairs=1, detectable=0,
        floor=0, verdict="faster", standing="candidate",
    )  # fmt: skip
    Apart(store).claim(claim)
    Apart(store).claim(replace(claim, task="pp512"))
    assert [one.task for one in store.claimed] == ["pp512"]


def test_the_widths_are_measured_ones() -> None:
    from slipstream.control.measure import COARSE

    assert {1, *baseline.WIDTHS} == set(COARSE)
