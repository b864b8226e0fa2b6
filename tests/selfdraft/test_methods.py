"""Every method on the toy model: finds something, keeps it, and goes on after Ctrl-C."""

import time
from pathlib import Path

import pytest

from slipstream.control.measure import Progress
from slipstream.core.errors import RequestError, UnknownName
from slipstream.selfdraft.found import Shelf
from slipstream.selfdraft.methods import METHODS, Bench, Budget
from slipstream.selfdraft.texts import Text
from tests.selfdraft.toy import ToyModel


@pytest.fixture
def bench(toy: ToyModel, texts: list[Text], tmp_path: Path) -> Bench:
    return Bench(toy, texts, Shelf.open(tmp_path, "a" * 32), "chat", time.perf_counter, window=12)


@pytest.mark.parametrize("method", METHODS)
def test_every_method(bench: Bench, method: str) -> None:
    found = bench.run(method, 0.3, Budget(candidates=30))
    assert bench.shelf.found("chat") == [found] and bench.shelf.notes == []
    assert found.method == method and found.candidates > 0
    assert len(found.skip) > 0 and (method == "knapsack" or len(found.skip) in (2, 3))
    assert 0 <= found.held_out <= 1 and 0 < found.cost < 1 and 1 <= found.length <= 10
    if method in ("blocks", "clasp"):
        assert found.skip.blocks == (3,)


@pytest.mark.parametrize("method", METHODS)
def test_ctrl_c_keeps_what_was_done(bench: Bench, toy: ToyModel, method: str) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.done == 3:
            raise KeyboardInterrupt

    bench.report = interrupt
    with pytest.raises(KeyboardInterrupt):
        bench.run(method, 0.3, Budget(candidates=20))
    assert list(bench.shelf.folder.glob("*.search.json"))
    told: list[int] = []
    bench.report = lambda progress: told.append(progress.done)
    found = bench.run(method, 0.3, Budget(candidates=20))
    if method != "knapsack":  # it counts what is known already
        assert told[0] == 3
    bench.again, bench.report = True, lambda progress: None
    assert bench.run(method, 0.3, Budget(candidates=20)).skip == found.skip


def test_an_unreadable_search_starts_again(bench: Bench) -> None:
    bench.run("clasp", 0.3, Budget())
    (path,) = bench.shelf.folder.glob("*.search.json")
    path.write_text('{"version": 1, "state": {"paths": 3}}')
    assert bench.run("clasp", 0.3, Budget()).skip.blocks == (3,)
    assert len(bench.shelf.notes) == 1 and "starts again" in bench.shelf.notes[0]


def test_refuses(bench: Bench) -> None:
    with pytest.raises(UnknownName, match="swif"):
        bench.run("swif", 0.3, Budget())
    for ratio in (0.0, 1.0, 0.01):
        with pytest.raises(RequestError):
            bench.run("clasp", ratio, Budget())
