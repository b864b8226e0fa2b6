"""A projection as a run of the result store: claims that are observations at most, and no cell, since nothing was
measured. Whatever counts cells (coverage, canaries, plots) thereby leaves it out."""

from collections.abc import Sequence
from dataclasses import asdict

from slipstream.bench.cell import Arm, Role, Run
from slipstream.bench.claim import Claim
from slipstream.bench.projection import GOOD, LABEL, Check, Projected
from slipstream.bench.statistics import Ratio
from slipstream.bench.store_rows import StoredRun, WholeRun
from slipstream.bench.verdict import ALL, UNKNOWN, verdict_of


def projected_run(
    run: Run, rows: Sequence[Projected], checks: Sequence[Check], assumptions: Sequence[str], sources: Sequence[str]
) -> WholeRun:
    """`run` with everything that was projected: an arm with drafts and one without for every machine and model, their
    speeds in the configuration, and a claim for every row. `sources` are the runs whose answers were replayed."""
    error = worst(checks)
    arms = {name: arm for row in rows for name, arm in _arms(row, rows).items()}
    plan = {
        **run.plan,
        "sources": list(sources),
        "checks": [asdict(check) for check in checks],
        "assumptions": list(assumptions),
    }
    claims = tuple(_claim(run.id, row, error) for row in rows)
    stored = StoredRun(
        id=run.id, kind=LABEL, started=run.started, arguments=run.arguments, arms=tuple(arms.values()), plan=plan,
        attestation=run.attestation, state="complete", ended=run.started, claims=len(claims),
    )  # fmt: skip
    return WholeRun(run=stored, claims=claims)


def worst(checks: Sequence[Check]) -> float | None:
    """The largest error over all tasks of what was checked here, of single tasks if that is all there is; None if
    nothing could be checked."""
    whole = [check for check in checks if check.task == ALL] or checks
    return max((abs(check.error) for check in whole), default=None)


def _name(row: Projected, arm: str) -> str:
    return f"{row.model} on {row.machine}, {arm}"


def _arms(row: Projected, rows: Sequence[Projected]) -> dict[str, Arm]:
    """Both arms of the row's machine and model, by name."""
    mine = [one for one in rows if (one.machine, one.model) == (row.machine, row.model)]

    def arm(name: str, draft: str, speeds: dict[str, float]) -> Arm:
        configuration = {
            "settings": {"model": row.model, "draft": draft},
            "machine": row.machine,
            "kind": LABEL,
            "projected_tokens_per_second": {task: round(speed, 2) for task, speed in speeds.items()},
        }
        role: Role = "baseline" if draft == "off" else "candidate"
        return Arm(name=_name(row, name), role=role, configuration=configuration)

    plain = arm("plain", "off", {one.task: one.plain for one in mine})
    stack = arm("stack", "auto", {one.task: one.stack for one in mine})
    return {one.name: one for one in (plain, stack)}


def _claim(run: str, row: Projected, error: float | None) -> Claim:
    """The method's own error stands where a measured claim has its noise: no verdict goes below it."""
    floor = GOOD if error is None else error
    # A prompt was replayed once, and would come out the same however often.
    verdict, _ = verdict_of(Ratio(row.speed_up, row.low, row.high, row.prompts, row.prompts), floor)
    checked = "unchecked" if error is None else f"where it was checked it was off by {100 * error:.0f} % at most"
    return Claim(
        id=f"{run}/{_name(row, 'stack')}/{row.task}",
        run=run,
        arm=_name(row, "stack"),
        baseline=_name(row, "plain"),
        task=row.task,
        value=row.speed_up,
        low=row.low,
        high=row.high,
        prompts=row.prompts,
        pairs=row.prompts,
        detectable=UNKNOWN,
        floor=floor,
        verdict=verdict,
        standing="observation",
        reason=f"a projection, not measured; {checked}",
    )
