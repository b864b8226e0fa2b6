"""The roofline: it gives the measured curve back, and more bandwidth or cores never cost time."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.bench.machine import Machine, this_machine
from slipstream.bench.roofline import Work, calibrate, project, work_of
from slipstream.control.curve import VerifyCost
from slipstream.models.gguf import read_header
from tests.engine import tiny_gguf

WORK = Work("BF16", 28, 3_090_000_000, 0, 0, 0, 1_540_000_000, 28_672)
CURVE = VerifyCost({64: {1: 68.0, 2: 80.0, 5: 99.0, 6: 97.0, 16: 143.0, 64: 404.0}, 384: {1: 72.0, 16: 162.0}})
HERE = this_machine("here", 2, 2.6, 48e9, ())

tables = st.dictionaries(st.integers(2, 64), st.floats(1.0, 2000.0), min_size=1, max_size=6).flatmap(
    lambda row: st.floats(1.0, 200.0).map(lambda plain: {64: {1: plain, **row}})
)


def machine(cores: int, bandwidth: float, **changes: Any) -> Machine:
    values: dict[str, Any] = {"clock_ghz": 2.6, "layer_ms": HERE.layer_ms, "peak_bandwidth": bandwidth, **changes}
    return Machine(name="m", title="m", cores=cores, **values)


@given(tables)
def test_on_the_machine_it_was_read_off_the_curve_comes_back(table: dict[int, dict[int, float]]) -> None:
    roof = calibrate(WORK, VerifyCost(table), HERE)
    reading = 1000 * WORK.bytes(64, 64) / HERE.bandwidth(roof.attained) + WORK.layers * HERE.layer_ms
    again = project(WORK, roof, HERE)
    for width, milliseconds in table[64].items():
        expected = max(milliseconds, reading)
        assert again.table[64][width] == pytest.approx(expected, rel=0.02)


def test_the_measured_curve_of_a_memory_bound_model_comes_back() -> None:
    roof = calibrate(WORK, CURVE, HERE)
    assert roof.bound == "memory"
    for depth, row in project(WORK, roof, HERE).table.items():
        assert row == pytest.approx(CURVE.table[depth], rel=0.01)


@given(tables, st.integers(2, 128), st.floats(10e9, 800e9))
def test_more_cores_and_more_bandwidth_never_cost_time(
    table: dict[int, dict[int, float]], cores: int, bandwidth: float
) -> None:
    roof = calibrate(WORK, VerifyCost(table), HERE)
    base = project(WORK, roof, machine(cores, bandwidth)).table[64]
    for better in (machine(2 * cores, bandwidth), machine(cores, 2 * bandwidth), machine(2 * cores, 2 * bandwidth)):
        row = project(WORK, roof, better).table[64]
        assert all(row[width] <= base[width] * (1 + 1e-9) for width in base)


def test_many_cores_and_little_bandwidth_make_wide_passes_cheap() -> None:
    roof = calibrate(WORK, CURVE, HERE)
    projected = project(WORK, roof, machine(96, 213e9, layer_ms=0.39, scaling=0.8))
    assert projected.ratio(16) < 1.05 < CURVE.ratio(16)
    # 3.09 GB at nine tenths of 213 GB/s, and 28 layers of 0.39 ms.
    assert projected.table[64][1] == pytest.approx(1000 * 3.09 / (213 * roof.attained) + 10.9, rel=0.02)


def test_a_machine_with_its_own_decode_bandwidth_takes_that() -> None:
    roof = calibrate(WORK, CURVE, HERE)
    one = Machine(
        name="m", title="m", cores=96, clock_ghz=2.6, layer_ms=0.0, peak_bandwidth=460e9, decode_bandwidth=103e9
    )
    assert project(WORK, roof, one).table[64][1] == pytest.approx(30.0, rel=0.01)


def test_wide_passes_read_more_experts() -> None:
    work = Work("Q4_K", 48, 1_000, 128_000, 128, 8, 1_000, 0)
    assert work.bytes(1, 0) == pytest.approx(1_000 + 8_000)
    assert work.bytes(2, 0) == pytest.approx(1_000 + 15_500)
    assert work.bytes(10_000, 0) == pytest.approx(129_000)


def test_a_slow_synchronization_leaves_something_to_compute() -> None:
    slow = this_machine("here", 2_000, 2.6, 48e9, ())
    roof = calibrate(WORK, CURVE, slow)
    assert all(rate > 0 for row in roof.rates.values() for rate in row.values())


def test_the_work_of_a_file(tmp_path: Path) -> None:
    header = read_header(tiny_gguf.dense(tmp_path / "tiny.gguf"))
    work = work_of(header)
    assert 0 < work.dense_bytes <= header.weights_bytes
    assert (work.layers, work.experts) == (header.block_count, 0)
    assert 0 < work.weights <= header.weights
