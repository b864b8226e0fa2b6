"""What gets into a report, and what doesn't."""

from pathlib import Path

from slipstream.bench.cell import Arm, Cell
from slipstream.bench.report.facts import Facts, gather
from slipstream.bench.report.html import page
from slipstream.bench.report.markdown import document
from slipstream.bench.report.summary import sentences
from slipstream.bench.store import ResultStore
from tests.bench.report.made import NOW, arm, cells, claim, filled, run


def test_the_summary_holds_the_surest_result_of_every_task(facts: Facts) -> None:
    chosen = {one.claim.task: (one.claim.arm, one.claim.standing) for one in facts.summary}
    assert chosen["edit"] == ("stack", "optimum")  # held out, although the candidate's value is higher
    assert chosen["agent"] == ("stack", "candidate") and chosen["chat"] == ("stack", "candidate")
    assert chosen["summary"] == ("stack", "candidate")  # an observation of 1.9 stands beside it
    assert "code" not in chosen  # suspect, or measured elsewhere
    assert (
        chosen["all"] == ("stack", "candidate") and facts.summary[-1].claim.task == "all"
    )  # fewer experts change the output


def test_the_lower_end_decides_and_not_the_luckiest_value(tmp_path: Path) -> None:
    with ResultStore.open(tmp_path / "s") as store:
        store.begin(run("one", 1))
        store.claim(claim("one", "lucky", "edit", 3.0, 1.1, 8.0))
        store.claim(claim("one", "sure", "edit", 2.0, 1.9, 2.1))
        store.finish("one", "complete")
        assert [one.claim.arm for one in gather(store, NOW).summary] == ["sure"]


def test_results_by_task_carry_their_doubts(facts: Facts) -> None:
    marks = {(one.claim.arm, task): one.marks for task, found in facts.tasks.items() for one in found}
    assert marks["stack", "edit"] == ()
    assert marks["lookup", "summary"] == ("too few pairs",)
    assert marks["draft model", "code"] == ("suspect run",)
    assert marks["draft_model", "code"] == ("measured elsewhere",)
    assert {one.arm.role for one in facts.checks} == {"repeat", "control"}


def test_what_knows_the_answer_is_a_check_and_never_a_result(tmp_path: Path) -> None:
    arms = (arm("stack", "auto"), arm("oracle", ["reference"], role="bound"))
    with ResultStore.open(tmp_path / "s") as store:
        store.begin(run("one", 1, arms=arms))
        store.claim(claim("one", "stack", "edit", 2.0, 1.9, 2.1))
        store.claim(claim("one", "oracle", "edit", 6.0, 5.9, 6.1, standing="baseline"))
        store.finish("one", "complete")
        facts = gather(store, NOW)
        assert [one.claim.arm for one in facts.summary] == [one.claim.arm for one in facts.tasks["edit"]] == ["stack"]
        assert [one.claim.arm for one in facts.checks] == ["oracle"]
        for written in (document(facts, "title", "0"), page(facts, "title", "0")):
            assert "bound: it knows the answer" in written


def test_projections_stand_alone(facts: Facts) -> None:
    (projected,) = facts.projections
    assert projected.claim.value == 9.9
    results = [one.claim.id for found in facts.tasks.values() for one in found]
    assert projected.claim.id not in results and not any(one.claim.value == 9.9 for one in facts.summary)
    assert all(one.claim.value != 9.9 for tested in facts.tested for one, _, _ in tested.findings)


def test_a_retracted_run_is_read_for_nothing(facts: Facts) -> None:
    gone = {(one.what, one.id): one.reason for one in facts.withdrawn}
    assert gone["run", "20260820-080000-9999"] == "the server's timer was wrong"
    assert gone["claim", "20260901-101500-aaaa/suffix/agent"] == "the prompt was repeated"
    assert len(gone) == 2  # the run stands for its claim
    assert "20260820-080000-9999" not in {one.run.id for one in facts.runs}
    assert "Withdrawn.Q4_0" not in {curve.model for curve in facts.curves}
    assert "reference" not in {one.source for one in facts.acceptance}
    assert not set(facts.claims) & {"20260901-101500-aaaa/suffix/agent", "20260820-080000-9999/stack/edit"}


def test_a_retraction_reaches_the_next_report(tmp_path: Path) -> None:
    with filled(tmp_path / "s") as store:
        before = gather(store, NOW)
        store.retract("20260901-101500-aaaa", "a warm cache")
        after = gather(store, NOW)
    assert any(one.claim.run == "20260901-101500-aaaa" for one in before.findings)
    assert not any(one.claim.run == "20260901-101500-aaaa" for one in after.findings)
    assert not after.curves and not after.acceptance


def test_the_newest_curve_and_acceptance_count(facts: Facts) -> None:
    curve = next(curve for curve in facts.curves if curve.model.endswith("Q8_0"))
    steps = {step.width: (step.milliseconds.value, step.ratio.text) for step in curve.steps}
    assert steps[6] == (332.0, "4.96") and steps[1] == (67.0, "1.00")
    found = {one.source: (one.share.value, one.drafted.value) for one in facts.acceptance if one.arm == "stack"}
    assert found == {"suffix": (27 / 40, 480), "draft_model": (9 / 20, 240)}


def test_speed_against_quality_marks_what_nothing_beats(facts: Facts) -> None:
    (plot,) = facts.quality
    assert plot.name == "perplexity" and not plot.more_is_better
    assert {one.label: one.best for one in plot.trades} == {"8": True, "6": True, "4": True, "2": False}


def test_what_is_untested_is_told_by_task(facts: Facts) -> None:
    grid = next(grid for grid in facts.coverage if grid.model == "Coder-1.5B.BF16")
    stack = next(line for line in grid.lines if line.method == "auto")
    ages = dict(zip(grid.tasks, stack.ages, strict=True))
    assert ages["edit"] == "20 d" and ages["math"] == "" and stack.engine == "0.3.36-b1-abcd"
    assert "native head" in grid.untested and "auto" not in grid.untested


def test_a_host_is_what_all_its_runs_agree_on(facts: Facts) -> None:
    host = next(host for host in facts.hosts if host.name == "Example CPU 96-Core, 96 cores")
    assert host.facts["power.driver"] == "amd-pstate-epp" and host.facts["power.temperature"] == "not known"
    assert host.facts["memory_total"] == "1024 GiB"
    assert "engine" not in host.facts and "argv" not in host.facts
    assert facts.runs[0].changing["engine"] == "0.3.36-b1-abcd"


def test_failed_cells_are_rows(facts: Facts) -> None:
    found = {one.status: (one.arms, one.count, one.reason) for one in facts.failures}
    assert found["failed"] == (("lookup",), 1, "ended after 600 s: no answer")
    assert found["tainted"][:2] == (("lookup",), 2)
    assert {one.condition for one in facts.runs} == {"complete", "suspect", "interrupted"}


def test_an_empty_store_says_so(tmp_path: Path) -> None:
    with ResultStore.open(tmp_path / "s") as store:
        facts = gather(store, NOW)
    assert not facts.findings and not facts.runs
    assert sentences(facts) == [("No comparison is stored yet. To make one: slipstream bench compare -m MODEL",)]


def test_a_run_that_measured_nothing_is_not_counted(tmp_path: Path) -> None:
    with ResultStore.open(tmp_path / "s") as store:
        store.begin(run("one", 1))
        store.finish("one", "interrupted")
        facts = gather(store, NOW)
    assert facts.runs and not any("Measured on" in str(part) for sentence in sentences(facts) for part in sentence)


def test_a_newer_measurement_replaces_an_older_one_whatever_it_says(tmp_path: Path) -> None:
    values = {"a": (9, 2.6), "b": (8, 2.5), "c": (7, 2.4), "d": (6, 2.3), "e": (5, 2.2), "doubted": (1, 2.9)}
    with ResultStore.open(tmp_path / "s") as store:
        for name, (days, value) in values.items():
            store.begin(run(name, days, arms=(arm("plain", "off", role="baseline"), arm("stack", "auto"))))
            store.claim(claim(name, "stack", "edit", value, value - 0.1, value + 0.1))
            store.finish(name, "complete", "the canary was slow" if name == "doubted" else "")
        facts = gather(store, NOW)
    (one,) = facts.tasks["edit"]
    assert (one.claim.run, one.replaced) == ("e", 5) and one.claim.value == 2.2 and facts.summary == (one,)
    assert [figure.id for figure in one.before] == ["d/stack/edit", "c/stack/edit", "b/stack/edit"]
    assert set(facts.claims) == {f"{name}/stack/edit" for name in "bcde"}
    for made in (page(facts, "T", "0.1"), document(facts, "T", "0.1")):
        assert "and 2 more" in made and "5 older measurements of the same" in made


def test_what_a_machine_gives_stands_apart(tmp_path: Path) -> None:
    places = (Arm(name="1 thread", role="baseline"), Arm(name="2 threads"))
    passes = [
        Cell(arm="1 thread", prompt=f"verify {width}", task=f"verify {width}", repetition=number, tokens=width,
             seconds=ms / 1000, figures={"ratio": ms / 50})
        for number in range(3) for width, ms in ((2, 60.0 + number), (8, 120.0))
    ]  # fmt: skip
    with ResultStore.open(tmp_path / "s") as store:
        store.begin(run("grid", 1, "baseline", places))
        for cell in (*passes, *cells("2 threads", "tg128", seconds=1.0), *cells("1 thread", "tg128", seconds=2.0)):
            store.append("grid", cell)
        store.claim(claim("grid", "2 threads", "tg128", 1.9, 1.8, 2.0, baseline="1 thread"))
        for width in (64, 8):
            store.claim(claim("grid", "2 threads", f"verify {width}", 1.9, 1.8, 2.0, baseline="1 thread"))
        store.finish("grid", "complete")
        facts = gather(store, NOW)
    one, *_ = facts.machine
    assert [found.claim.task for found in facts.machine] == ["tg128", "verify 8", "verify 64"]
    assert not facts.tasks and not facts.summary
    assert (one.figure["speed"].text, one.figure["ground"].text) == ("100.0", "50.0")
    (curve,) = facts.curves
    assert {step.width: (step.milliseconds.text, step.ratio.text) for step in curve.steps} == {
        1: ("50", "1.00"), 2: ("61", "1.22"), 8: ("120", "2.40"),
    }  # fmt: skip


def test_another_engine_says_what_stood_of_its_drafts(tmp_path: Path) -> None:
    other = Arm(name="theirs", configuration={"peer": "llama-server", "setting": "ngram"})
    with ResultStore.open(tmp_path / "s") as store:
        store.begin(run("one", 1, "peers", (other,)))
        for cell in cells("theirs", "edit", {"drafted": 10, "accepted": 4}, count=2):
            store.append("one", cell)
        store.finish("one", "complete")
        (one,) = gather(store, NOW).acceptance
    assert (one.source, one.accepted.text, one.drafted.text) == ("llama-server ngram", "8", "20")


def test_reasons_that_differ_in_numbers_alone_are_one_row(tmp_path: Path) -> None:
    with ResultStore.open(tmp_path / "s") as store:
        store.begin(run("one", 1))
        for number, name in enumerate(("plain", "stack", "plain")):
            why = f"other processes took {50 + number} % of the CPU time"
            (cell,) = cells(name, f"t{number}", count=1, status="tainted", reason=why)
            store.append("one", cell)
        store.finish("one", "complete")
        (failure,) = gather(store, NOW).failures
    assert (failure.arms, failure.count) == (("plain", "stack"), 3) and "took 50 %" in failure.reason
