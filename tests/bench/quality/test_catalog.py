"""The table of scorers: everything in it loads, and prompts are matched to what a scorer needs."""

import pytest

from slipstream.bench.quality import catalog
from slipstream.bench.workload import Prompt, built_in
from slipstream.core.errors import RequestError, UnknownName


@pytest.mark.parametrize("name", catalog.CATALOG)
def test_every_scorer_loads(name: str) -> None:
    entry = catalog.entry(name)
    assert callable(entry.load()) and entry.purpose
    assert bool(entry.needs) == (entry.reads == "answers")


def test_an_unknown_one_is_refused() -> None:
    with pytest.raises(UnknownName, match=r"unknown scorer 'exat'.*'exact'"):
        catalog.entry("exat")


def test_suited_takes_what_can_be_marked() -> None:
    edit = Prompt("a", "edit", "?", reference="def f(): return 1")
    math = Prompt("b", "gsm8k", "?", reference="1")
    code = Prompt("c", "code", "?", test="assert f()", entry_point="f")
    assert catalog.suited("exact", [edit, math, code]) == [math]
    assert catalog.suited("unit_tests", [edit, math, code]) == [code]
    with pytest.raises(RequestError, match=r"no prompt is one that exact can mark.*reference.*class math"):
        catalog.suited("exact", [edit, code])


def test_the_built_in_prompts_can_be_marked() -> None:
    assert {prompt.task for prompt in catalog.suited("exact", built_in())} == {"math"}
    assert {prompt.task for prompt in catalog.suited("unit_tests", built_in())} == {"edit", "code"}
