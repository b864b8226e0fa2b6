"""A claim as a report shows it: with its run, what speaks against it, and what was measured of the same before."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from slipstream.bench.cell import Arm
from slipstream.bench.claim import Claim
from slipstream.bench.report.figure import Figure, of_claim
from slipstream.bench.report.naming import Method, host_of, method_of, model_of
from slipstream.bench.standing import EXTERNAL, PROJECTION
from slipstream.bench.store_rows import StoredRun
from slipstream.bench.verdict import ALL, HELD_OUT

Condition = Literal["complete", "interrupted", "suspect"]
Mark = Literal["too few pairs", "suspect run", "interrupted run", "measured elsewhere"]
EARLIER = 3
"""Most earlier values that are shown beside a newer one."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A claim with what its run says about it. `figure` holds its figures by field, and the `speed` of arm and `ground`
    (its baseline) in tokens a second where cells say it. `marks` are reasons to doubt it, shown beside it. `before` are
    the values of the latest of `replaced` other measurements of the same, which this one stands for."""

    claim: Claim
    run: StoredRun
    arm: Arm
    model: str
    method: Method
    figure: Mapping[str, Figure]
    marks: tuple[Mark, ...]
    before: tuple[Figure, ...] = ()
    replaced: int = 0

    @property
    def publishable(self) -> bool:
        """Whether it may stand in the summary: a candidate measured often enough, with nothing to doubt, that keeps the
        model as it is and runs on this engine."""
        same = self.method.experts is None and not self.method.peer
        return same and self.arm.role == "candidate" and not self.marks and self.claim.verdict != "tainted"

    @property
    def drafted(self) -> bool:
        """Whether its baseline drafts too, so that its ratio is a gain on top of that."""
        ground = next((arm for arm in self.run.arms if arm.name == self.claim.baseline), None)
        return ground is not None and method_of(ground) != Method()

    @property
    def held_out(self) -> bool:
        """Whether it was measured on prompts that nothing was chosen on."""
        return self.claim.id.endswith(f"/{HELD_OUT}")


def finding_of(claim: Claim, run: StoredRun, condition: Condition, speeds: Mapping[tuple[str, str], Figure]) -> Finding:
    """A claim of `run`; `speeds` are of its cells (measured.speeds)."""
    arm = next((one for one in run.arms if one.name == claim.arm), Arm(name=claim.arm))
    marks: list[Mark] = []
    if run.kind == EXTERNAL:
        marks.append("measured elsewhere")
    elif condition == "suspect":
        marks.append("suspect run")
    elif claim.standing == "observation" and run.kind != PROJECTION:
        marks.append("too few pairs")
    elif condition == "interrupted":
        marks.append("interrupted run")
    ends = {"speed": speeds.get((claim.arm, claim.task)), "ground": speeds.get((claim.baseline, claim.task))}
    figure = {**of_claim(claim), **{name: one for name, one in ends.items() if one}}
    return Finding(claim, run, arm, model_of(run, claim.arm), method_of(arm), figure, tuple(marks))


def current(findings: Iterable[Finding]) -> list[Finding]:
    """Of everything that was measured more than once the newest that nothing speaks against: a newer one replaces an
    older one whatever it says, or the report would collect lucky days."""
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for one in sorted(findings, key=lambda one: (bool(one.marks), -one.run.started)):
        claim = one.claim
        subject = (one.run.kind, host_of(one.run), one.model, one.method, claim.arm, claim.baseline, claim.task)
        groups.setdefault((*subject, one.held_out), []).append(one)
    return [
        replace(first, before=tuple(one.figure["value"] for one in others[:EARLIER]), replaced=len(others))
        for first, *others in groups.values()
    ]


def telling(checks: Sequence[Finding]) -> list[Finding]:
    """Of checks that came out as they should, the one over all tasks stands for those on single ones."""
    whole = {(one.run.id, one.claim.arm) for one in checks if one.claim.task == ALL}
    return [
        one
        for one in checks
        if one.claim.task == ALL
        or one.claim.verdict in ("faster", "slower")
        or (one.run.id, one.claim.arm) not in whole
    ]


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """By model and task, the fastest first."""
    return tuple(sorted(findings, key=lambda one: (one.model, *place(one.claim.task), -one.claim.value)))


def place(task: str) -> tuple[bool, str]:
    """All tasks together come last; numbers in names count as numbers."""
    return task == ALL, re.sub(r"\d+", lambda number: number[0].zfill(6), task)
