"""`slipstream bench baseline` as a user runs it; the measurements themselves have their own tests."""

import json
from pathlib import Path

import pytest

from slipstream.bench import baseline, triad
from slipstream.bench.store import FILE, ResultStore
from slipstream.bench.triad import Bandwidth
from slipstream.cli import bench_baseline
from slipstream.cli import main as cli
from slipstream.core.errors import MemoryShortage
from tests.cli.conftest import Refuses


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few tokens, and a triad that was measured before."""
    monkeypatch.setattr(baseline.Sizes.__init__, "__defaults__", (80, 4))
    monkeypatch.setattr(triad, "measure_bandwidth", lambda threads, size: Bandwidth(threads, size, 3e9))


@pytest.mark.usefixtures("quick")
def test_a_grid_is_measured_stored_and_shown(tiny: Path, own_world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["bench", "baseline", "--threads", "1", "--batch", "64", "--pairs", "1", "--no-canary", "--others", "1"]
    assert cli.main([*line, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (row,) = found["rows"]
    assert (row["threads"], row["numa"], row["batch"], row["mmap"]) == (1, "off", 64, True)
    assert set(row["tokens_per_second"]) == {"pp80", "tg4", *(f"verify {width}" for width in baseline.WIDTHS)}
    assert all(row["tokens_per_second"].values()) and row["triad"] == 4e9 and row["best"] == []
    assert found["best"] == {}
    with ResultStore.open(own_world / "root" / "results" / FILE) as store:
        run = store.run(found["run"])
        assert (run.kind, run.state) == ("baseline", "complete")
        assert run.attestation["models"].keys() == {tiny.name}
        assert {cell.status for cell in store.cells(run.id)} == {"ok"}


def test_arguments_that_can_not_be_measured(refuses: Refuses, tiny: Path) -> None:
    line = ("bench", "baseline")
    refuses(2, "--threads 'two' is no list", *line, "--threads", "two")
    refuses(2, "threads of 0", *line, "--threads", "0")
    refuses(2, r"batch of 8\s+hint: at least 64", *line, "--batch", "8")
    refuses(2, "unknown NUMA policy 'of'", *line, "--numa", "of")
    refuses(2, "--pairs is 0", *line, "--pairs", "0")
    refuses(3, "no model file", *line, "-m", tiny.with_name("nowhere.gguf"))
    refuses(2, "unknown run", *line, "--resume", "nothing")


def test_threads_by_default_are_shares_of_the_cores() -> None:
    found = bench_baseline.default_threads()
    assert found == sorted(set(found)) and found[0] >= 1


def test_without_memory_there_is_no_triad(monkeypatch: pytest.MonkeyPatch) -> None:
    def short(available: int, cores: int) -> int:
        raise MemoryShortage("too little", hint="free some")

    monkeypatch.setattr(triad, "array_bytes", short)
    said: list[str] = []
    assert bench_baseline.bandwidths({1, 2}, said.append) == {}
    assert said == ["note: too little. free some"]
