import pytest

from slipstream.control.curve import VerifyCost

ROW = {1: 10.0, 2: 14.0, 4: 18.0, 8: 40.0}


def test_measured_widths_stand_and_others_lie_between() -> None:
    curve = VerifyCost({64: dict(ROW)})
    costs = curve.costs(64)
    assert [costs[n] for n in (1, 2, 4, 8)] == [10, 14, 18, 40]
    assert costs[3] == pytest.approx(16)
    assert costs[6] == pytest.approx(29)
    assert curve.ratio(8, 64) == pytest.approx(4)


def test_depth_raises_the_cost_and_noise_never_lowers_it() -> None:
    curve = VerifyCost({64: dict(ROW), 704: {1: 12.0, 2: 13.0, 4: 22.0, 8: 44.0}})
    assert curve.costs(704)[1] == pytest.approx(12)
    assert curve.costs(384)[1] == pytest.approx(11)
    assert curve.costs(704)[2] == pytest.approx(14)


def rounds(curve: VerifyCost, times: dict[int, float], count: int) -> None:
    for _ in range(count):
        for width, cost in times.items():
            curve.refine(width, 64, cost)


def test_real_rounds_correct_a_width() -> None:
    curve = VerifyCost({64: dict(ROW)})
    rounds(curve, {1: 10.0, 4: 18.0, 8: 60.0}, 300)
    assert curve.ratio(8) == pytest.approx(6, rel=0.15)
    assert curve.ratio(4) == pytest.approx(1.8, rel=0.15)


def test_a_plain_cell_that_was_disturbed_is_found_out_within_a_few_drafted_rounds() -> None:
    curve = VerifyCost({64: {**ROW, 1: 20.0}})
    assert curve.ratio(4) == pytest.approx(0.9)
    rounds(curve, {1: 10.0, 4: 18.0}, 12)
    assert curve.ratio(4) > 1.5
    assert curve.ratio(8) > 3.0


def test_a_machine_that_slows_down_as_a_whole_changes_no_ratio() -> None:
    curve = VerifyCost({64: dict(ROW)})
    rounds(curve, ROW, 50)
    rounds(curve, {width: 2 * cost for width, cost in ROW.items()}, 300)
    assert curve.ratio(8) == pytest.approx(4, rel=0.05)
    assert curve.plain_ms(64) == pytest.approx(20, rel=0.02)


def test_plain_rounds_alone_change_no_ratio() -> None:
    curve = VerifyCost({64: dict(ROW)})
    rounds(curve, {1: 13.0}, 200)
    assert curve.ratio(8) == pytest.approx(4)


def test_one_hiccup_hardly_counts() -> None:
    curve = VerifyCost({64: dict(ROW)})
    curve.refine(1, 64, 10.0)
    curve.refine(4, 64, 18_000.0)
    assert curve.ratio(4) < 1.8 * 1.1


def test_survives_json() -> None:
    curve = VerifyCost({64: dict(ROW)})
    rounds(curve, {1: 10.0, 2: 20.0}, 9)
    again = VerifyCost.from_json(curve.to_json())
    assert again.costs(64) == pytest.approx(curve.costs(64))


@pytest.mark.parametrize("table", [{}, {64: {2: 14.0}}, {64: {1: 0.0}}, {64: {1: float("inf")}}])
def test_a_useless_table_is_refused(table: dict[int, dict[int, float]]) -> None:
    with pytest.raises(ValueError, match="verify-cost table"):
        VerifyCost(table)
