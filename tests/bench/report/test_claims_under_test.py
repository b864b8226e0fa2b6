"""What counts as a test of a promise, and when it is kept."""

import pytest

from slipstream.bench.report.claims_under_test import PROMISES, judge
from slipstream.bench.report.facts import Facts
from slipstream.bench.report.naming import Method
from tests.bench.report.made import claim

PROMISE = {promise.text: promise for promise in PROMISES}


@pytest.mark.parametrize(
    "text, method, task, covered",
    [
        ("5.9x", Method(("draft_model",)), "math", True),
        ("5.9x", Method(("draft_model", "suffix")), "math", False),
        ("21-48 %", Method(experts=4), "all", True),
        ("21-48 %", Method(("suffix",), experts=4), "all", False),
        ("21-48 %", Method(experts=4, peer="another engine"), "all", False),
        ("+50-100 %", Method(("prompt_lookup",)), "copy", True),  # an edit, by its class
        ("+50-100 %", Method(("prompt_lookup",)), "chat", False),
        ("+100-200 %", Method(("suffix",)), "tau", True),
        ("+100-200 %", Method(("suffix",)), "edit", False),
        ("8-15x", Method(("auto",)), "agent", True),
        ("8-15x", Method(("suffix", "draft_model")), "rag", True),
        ("8-15x", Method(("suffix",)), "rag", False),
        ("6-7x", Method(("auto",)), "all", True),
        ("6-7x", Method(("auto",)), "edit", False),
        ("6-7x", Method(("auto",), peer="another engine"), "chat", False),
    ],
)
def test_what_puts_it_to_the_test(text: str, method: Method, task: str, covered: bool) -> None:
    assert PROMISE[text].covers(method, task) == covered


@pytest.mark.parametrize(
    "low, high, outcome", [(5.9, 7.0, "reached"), (5.0, 7.0, "undecided"), (2.0, 5.8, "not reached")]
)
def test_only_a_whole_interval_decides(low: float, high: float, outcome: str) -> None:
    assert judge(PROMISE["5.9x"], claim("r", "a", "code", 5.9, low, high))[0] == outcome


def test_a_tainted_claim_decides_nothing() -> None:
    assert judge(PROMISE["5.9x"], claim("r", "a", "code", 9.0, 8.0, 10.0, verdict="tainted"))[0] == "undecided"


def test_each_promise_stands_beside_what_is_stored(facts: Facts) -> None:
    found = {
        one.promise.text: [(f.claim.arm, f.claim.task, outcome) for f, outcome, _ in one.findings]
        for one in facts.tested
    }
    assert found["5.9x"] == [("draft model", "code", "undecided")]  # suspect; the one measured elsewhere is left out
    assert found["21-48 %"] == [("4 experts", "all", "reached"), ("6 experts", "all", "undecided")]
    assert ("lookup", "edit", "reached") in found["+50-100 %"]
    assert ("lookup", "summary", "undecided") in found["+50-100 %"]
    assert found["+100-200 %"] == []  # its only test was retracted
    assert {outcome for _, _, outcome in found["8-15x"]} == {"not reached"}
    assert found["6-7x"] == [("stack", "all", "not reached"), ("stack", "chat", "not reached")]
