"""The filled store, and the reports made of it."""

from collections.abc import Iterator

import pytest

from slipstream.bench.report.evidence import Evidence, evidence
from slipstream.bench.report.facts import Facts, gather
from slipstream.bench.report.html import page
from slipstream.bench.report.markdown import document
from slipstream.bench.store import ResultStore
from tests.bench.report.made import NOW, filled


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ResultStore]:
    with filled(tmp_path_factory.mktemp("store") / "results.sqlite3") as opened:
        yield opened


@pytest.fixture(scope="module")
def facts(store: ResultStore) -> Facts:
    return gather(store, NOW)


@pytest.fixture(scope="module")
def known(store: ResultStore) -> Evidence:
    return evidence(store)


@pytest.fixture(scope="module")
def html(facts: Facts) -> str:
    return page(facts, "A machine", "0.1")


@pytest.fixture(scope="module")
def text(facts: Facts) -> str:
    return document(facts, "A machine", "0.1")
