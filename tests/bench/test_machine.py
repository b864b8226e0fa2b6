"""Described machines: those that ship, a user's own, and mistakes in them."""

import re
from pathlib import Path

import pytest

from slipstream.bench.machine import Machine, described, this_machine
from slipstream.core.errors import RequestError, UnknownName

OWN = """
[mine]
cores = 16
clock_ghz = 3.0
peak_bandwidth = 200e9
layer_ms = 0.1
"""


@pytest.mark.parametrize("name", ["epyc-9655", "epyc-9655-tuned"])
def test_what_ships_says_where_its_numbers_come_from(name: str) -> None:
    machine = described(name)
    assert machine.cores == 96 and machine.peak_bandwidth == 460e9
    assert "AVX512_BF16" in machine.instruction_sets
    assert {"cores", "clock_ghz", "peak_bandwidth", "scaling", "layer_ms"} <= machine.sources.keys()
    assert machine.bandwidth(0.9) < machine.peak_bandwidth


def test_the_published_decode_rates_are_what_the_description_gives_back() -> None:
    """Bytes and layers of the models whose rates the description was fitted to."""
    machine = described("epyc-9655")
    for size, layers, rate in ((0.53e9, 24, 85.0), (1.65e9, 28, 55.0), (19.85e9, 64, 8.44)):
        ms = 1000 * size / machine.bandwidth(1.0) + layers * machine.layer_ms
        assert 1000 / ms == pytest.approx(rate, rel=0.05)


def test_a_user_s_own_machine(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(OWN)
    machine = described("mine", file)
    assert (machine.title, machine.arithmetic, machine.bandwidth(0.5)) == ("mine", 48.0, 100e9)
    with pytest.raises(UnknownName, match="epyc"):
        described("epyc-9655", file)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("cores = 16", "cores = 0", r"\[mine\] cores is 0"),
        ("cores = 16", "cores = true", "cores is True"),
        ("clock_ghz = 3.0", "clock_ghz = nan", "clock_ghz is nan"),
        ("layer_ms = 0.1", "", "layer_ms is None"),
        ("layer_ms = 0.1", "layer_ms = 0.1\nbandwith = 1", "decode_bandwidth"),
        ("[mine]", "mine = 3\n[other]", "mine is no table"),
        ("[mine]", "[mine", "not TOML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, old: str, new: str, says: str) -> None:
    file = tmp_path / "own.toml"
    file.write_text(OWN.replace(old, new))
    with pytest.raises(RequestError) as caught:
        described("mine", file)
    assert re.search(says, str(caught.value)), str(caught.value)


def test_a_file_that_isn_t_there(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="can't read"):
        described("mine", tmp_path / "none.toml")


def test_this_machine_reads_at_its_triad() -> None:
    here = this_machine("x", 2, 2.6, 50e9, ())
    assert isinstance(here, Machine)
    assert here.bandwidth(1.0) == 50e9
