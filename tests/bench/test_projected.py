"""What a projection leaves in the result store."""

import math
from dataclasses import replace
from pathlib import Path

from slipstream.bench.cell import Run
from slipstream.bench.projected import projected_run, worst
from slipstream.bench.projection import LABEL, Check, Projected
from slipstream.bench.report.facts import gather
from slipstream.bench.store import ResultStore
from slipstream.bench.untested import matrix

ROW = Projected("epyc", "m.gguf", "BF16", "code", 6, 20.0, 60.0, 3.0, 2.5, 3.4, 4.0)
CHECK = Check("m.gguf", "other.gguf", "all", 8, 2.0, 1.84, -0.08, -0.12, -0.02)
RUN = Run(id="20260101-000000-aaaa", kind=LABEL, started=9.0, attestation={"cpu": "A CPU", "models": {"m.gguf": "f"}})


def test_claims_are_observations_and_there_is_no_cell(tmp_path: Path) -> None:
    rows = [ROW, replace(ROW, task="all", speed_up=1.05, low=1.01, high=1.1)]
    with ResultStore.open(tmp_path / "results.sqlite") as store:
        store.add(projected_run(RUN, rows, [CHECK], ["it is so"], ["r1"]))
        code, whole = store.claims()
        (stored,) = store.runs()
        facts = gather(store, 10.0)
        entries = matrix([], store.runs(), store.coverage(), others=True)
    assert (code.value, code.low, code.high, code.verdict, code.standing) == (3.0, 2.5, 3.4, "faster", "observation")
    assert "off by 8 % at most" in code.reason and code.floor == 0.08 and math.isnan(code.detectable)
    # What the method's own error may explain is no finding.
    assert whole.verdict == "no difference seen"
    assert [(arm.role, arm.configuration["projected_tokens_per_second"]) for arm in stored.arms] == [
        ("baseline", {"code": 20.0, "all": 20.0}), ("candidate", {"code": 60.0, "all": 60.0})
    ]  # fmt: skip
    assert (stored.cells, stored.plan["assumptions"], stored.plan["sources"]) == (0, ["it is so"], ["r1"])
    assert len(facts.projections) == 2 and not facts.tasks and not facts.summary
    assert not any(entry.visit for entry in entries)


def test_without_a_check_the_error_wanted_is_what_counts() -> None:
    (claim,) = projected_run(RUN, [replace(ROW, speed_up=1.1, low=1.05, high=1.14)], [], [], []).claims
    assert claim.verdict == "no difference seen" and "unchecked" in claim.reason


def test_the_worst_error_is_that_over_all_tasks() -> None:
    assert worst([]) is None
    assert worst([CHECK, replace(CHECK, task="code", error=0.5)]) == 0.08
    assert worst([replace(CHECK, task="code", error=0.5)]) == 0.5
