"""What is kept between runs: whole, or set aside and said so."""

import json
from pathlib import Path
from typing import Any

import pytest

from slipstream.control.curve import VerifyCost
from slipstream.control.parity import ParityMap
from slipstream.core.draft import Draft
from slipstream.core.errors import StateFileError
from slipstream.keep import Keep

MODEL = "0123456789abcdef" * 2


def opened(folder: Path, *settings: object) -> Keep:
    return Keep.open(folder, MODEL, settings or ("build", 8))


@pytest.fixture
def kept(tmp_path: Path) -> Keep:
    """A saved one with everything in it."""
    keep = opened(tmp_path)
    keep.curve = VerifyCost({64: {1: 10.0, 2: 14.0, 4: 18.0}})
    keep.curve.refine(1, 64, 10.0)
    keep.curve.refine(2, 64, 20.0)
    keep.parity = ParityMap({40: ((1, 2), (4,))}, {40: {1: 0.0, 2: 0.0, 4: 0.5}})
    keep.calibration.begin(0, "code")
    keep.calibration.observe(0, [Draft("suffix", (1, 2), (1.0, 0.5), 4, 1)], (1, 3))
    keep.save()
    return keep


def test_what_is_saved_is_found_again(kept: Keep) -> None:
    again = opened(kept.folder)
    assert again.curve and kept.curve
    assert again.curve.table == kept.curve.table
    assert again.curve.corrections == kept.curve.corrections != {}
    assert again.curve.wide == kept.curve.wide != 1
    assert again.parity == kept.parity
    assert again.calibration.workloads == kept.calibration.workloads
    assert again.notes == []


def test_a_first_run_finds_nothing_and_says_nothing(tmp_path: Path) -> None:
    keep = opened(tmp_path)
    assert (keep.curve, keep.parity, keep.notes) == (None, None, [])
    keep.save()
    assert list(tmp_path.iterdir()) == [], "nothing measured, nothing written"


def test_other_settings_have_their_own_curve_but_share_the_acceptance(kept: Keep) -> None:
    other = opened(kept.folder, "build", 9)
    assert other.curve is None
    assert other.calibration.workloads == kept.calibration.workloads
    assert Keep.open(kept.folder, "f" * 32, ("build", 8)).calibration.workloads == {}


def test_a_curve_without_parity_is_kept_too(kept: Keep) -> None:
    kept.parity = None
    kept.save()
    again = opened(kept.folder)
    assert again.curve
    assert (again.parity, again.notes) == (None, [])


CURVE: dict[str, Any] = {"table": {"64": {"1": 10.0}}, "wide": 1.0, "corrections": {}}


BAD_CURVES: list[Any] = [
    [],
    {"table": {}},
    {"table": {"64": {"1": 10.0}}},
    CURVE | {"wide": None},
    CURVE | {"table": {"64": {"2": 1.0}}},
    CURVE | {"table": {"64": {"1": "x"}}},
    CURVE | {"table": {"64": {"1": 0.0}}},
    CURVE | {"table": {"64": {"1": float("nan")}}},
]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"3",
        b"{}",
        b'{"version": 2}',
        *(json.dumps({"version": 2, "curve": curve, "parity": None}).encode() for curve in BAD_CURVES),
        json.dumps({"version": 2, "curve": CURVE, "parity": {"classes": 3}}).encode(),
    ],
)
def test_a_damaged_curve_is_set_aside_and_said_so(kept: Keep, content: bytes) -> None:
    kept.curve_path.write_bytes(content)
    again = opened(kept.folder)
    assert again.parity is None
    assert len(again.notes) == 1
    assert str(kept.curve_path) in again.notes[0]
    assert "measured again" in again.notes[0]
    aside = kept.curve_path.with_name(kept.curve_path.name + ".damaged-1")
    assert aside.name in again.notes[0]
    assert aside.read_bytes() == content
    assert again.calibration.workloads == kept.calibration.workloads, "the other file is whole"
    assert opened(kept.folder).notes == [], "said once"


@pytest.mark.parametrize(
    "value",
    [[], {}, {"version": 2}, {"version": 2, "acceptance": {"code": {"gain": 0.0, "buckets": [["suffix", 4, 2]]}}}],
)
def test_a_damaged_acceptance_history_is_set_aside_and_said_so(kept: Keep, value: Any) -> None:
    kept.acceptance_path.write_text(json.dumps(value), "utf-8")
    again = opened(kept.folder)
    assert again.calibration.workloads == {}
    assert len(again.notes) == 1
    assert "damaged-1" in again.notes[0]
    assert again.curve


def test_another_version_is_ignored_and_overwritten(kept: Keep) -> None:
    for path in (kept.curve_path, kept.acceptance_path):
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"version": 99}), "utf-8")
    again = opened(kept.folder)
    assert (again.curve, again.parity, again.notes) == (None, None, [])
    assert again.calibration.workloads == {}
    kept.save()
    assert opened(kept.folder).curve


def test_a_folder_that_cannot_be_written_is_a_typed_failure(kept: Keep, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    kept.folder = tmp_path / "file"
    with pytest.raises(StateFileError):
        kept.save()
