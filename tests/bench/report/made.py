"""A result store that holds one of everything a report speaks of."""

import math
from pathlib import Path
from typing import Any

from slipstream.bench.cell import Arm, Cell
from slipstream.bench.claim import Claim
from slipstream.bench.store import ResultStore
from slipstream.bench.store_rows import Curve, StoredRun, WholeRun

DAY = 86400.0
NOW = 1_790_000_000.0
CURVES = {
    "Coder-1.5B.BF16": {1: 98, 2: 122, 4: 139, 6: 176, 8: 190, 12: 220, 16: 295, 24: 360, 32: 424, 48: 568, 64: 675},
    "Coder-1.5B.Q8_0": {1: 67, 2: 107, 4: 134, 6: 332, 8: 206, 12: 291, 16: 315, 24: 456, 32: 591, 48: 887, 64: 1044},
    "Coder-1.5B.Q4_K_M": {1: 37, 2: 60, 4: 98, 6: 143, 8: 247, 12: 295, 16: 292, 24: 458, 32: 501, 48: 790, 64: 956},
}
RATIOS = {
    "edit": (2.41, 2.11, 2.86),
    "summary": (1.32, 1.18, 1.49),
    "agent": (1.93, 1.6, 2.42),
    "chat": (0.99, 0.96, 1.02),
}


def attestation(**changed: Any) -> dict[str, Any]:
    """A host's record."""
    record = {
        "taken": NOW, "cpu": "Example CPU 96-Core", "cores": 96, "machine": "x86_64", "kernel": "6.1.0",
        "instruction_sets": ["avx2", "avx512f", "avx512_vnni"], "memory_total": 1 << 40, "memory_available": 900 << 30,
        "load": [0.1, 0.2, 0.1], "engine": "0.3.36-b1-abcd", "models": {"Coder-1.5B.BF16.gguf": "f" * 32},
        "power": {"driver": "amd-pstate-epp", "governors": {"performance": 192}, "boost": True, "temperature": None},
    }  # fmt: skip
    return record | changed


def run(name: str, days: float, kind: str = "compare", arms: tuple[Arm, ...] = (), **changed: Any) -> StoredRun:
    """A complete run that was begun so many days ago."""
    started = NOW - days * DAY
    made = {"arguments": ("slipstream", "bench", kind), "attestation": attestation(), "state": "complete"}
    return StoredRun(id=name, kind=kind, started=started, arms=arms, ended=started + 60, **{**made, **changed})


def claim(run: str, arm: str, task: str, value: float, low: float, high: float, **changed: Any) -> Claim:
    """A sound candidate."""
    made: dict[str, Any] = {"prompts": 6, "pairs": 24, "detectable": 0.031, "floor": 0.012, "standing": "candidate"}
    made["verdict"] = "faster" if low > 1 else "slower" if high < 1 else "no difference seen"
    return Claim(
        **{"id": f"{run}/{arm}/{task}", "run": run, "arm": arm, "task": task, "baseline": "plain"}
        | {"value": value, "low": low, "high": high} | made | changed
    )  # fmt: skip


def cells(arm: str, task: str, figures: dict[str, Any] | None = None, count: int = 3, **changed: Any) -> list[Cell]:
    """Usable cells of some prompts."""
    made: dict[str, Any] = {"tokens": 100, "seconds": 2.0, "figures": figures or {}}
    return [
        Cell(arm=arm, prompt=f"{task}{number}", task=task, repetition=0, **{**made, **changed})
        for number in range(count)
    ]


def arm(name: str, draft: Any, model: str = "Coder-1.5B.BF16.gguf", **changed: Any) -> Arm:
    """An arm as `bench compare` stores it."""
    return Arm(name=name, configuration={"settings": {"draft": draft, "model": f"/models/{model}"}}, **changed)


def compared() -> WholeRun:
    """A comparison with its noise, a control and three ways to draft."""
    arms = (
        arm("plain", "off", role="baseline"),
        arm("plain, again", "off", role="repeat"),
        arm("stack", "auto"),
        arm("suffix", ["suffix"]),
        arm("lookup", ["prompt_lookup"]),
        arm("stack, nothing to copy", "auto", role="control"),
    )
    one = run("20260901-101500-aaaa", 20, arms=arms)
    sources = {"sources": {"suffix": {"drafted": 40, "accepted": 27}, "draft_model": {"drafted": 20, "accepted": 9}}}
    claims = [claim(one.id, "stack", task, *ratio) for task, ratio in RATIOS.items()]
    claims += [
        claim(one.id, "stack", "edit", 2.35, 2.05, 2.8, id=f"{one.id}/stack/edit/held-out", standing="optimum"),
        claim(one.id, "stack", "all", 1.55, 1.41, 1.72),
        claim(one.id, "suffix", "agent", 1.71, 1.52, 1.98),
        claim(one.id, "lookup", "edit", 1.62, 1.51, 1.8),
        claim(one.id, "lookup", "chat", 0.86, 0.81, 0.92),
        claim(one.id, "lookup", "summary", 1.9, 1.1, 2.9, standing="observation", pairs=3, prompts=1),
        claim(one.id, "plain, again", "all", 1.004, 0.988, 1.019, standing="baseline"),
        claim(one.id, "stack, nothing to copy", "all", 1.0, 0.98, 1.02, standing="baseline"),
    ]
    found = [
        *(cell for task in RATIOS for cell in cells("stack", task, sources)),
        *cells("plain", "edit", seconds=4.0),
        *cells(
            "lookup", "chat", count=1, status="failed", reason="ended after 600 s: no answer", tokens=0, seconds=0.0
        ),
        *cells(
            "lookup", "edit", count=2, status="tainted", reason="the engine claims 280.0 tok/s, our clock says 10.0"
        ),
    ]
    curves = tuple(Curve(model, {0: {n: float(ms) for n, ms in row.items()}}) for model, row in CURVES.items())
    return WholeRun(run=one, cells=tuple(found), claims=tuple(claims), curves=curves)


def expert_sweep() -> WholeRun:
    """Fewer experts of a mixture."""
    perplexity = {8: 21.9, 6: 22.6, 4: 25.1, 2: 39.0}
    seconds = {8: 4.0, 6: 3.3, 4: 2.6, 2: 2.7}
    arms = tuple(
        Arm(
            name=f"{count} experts", role="baseline" if count == 8 else "candidate",
            configuration={"model": "Mixture-8x.gguf", "draft": "off", "experts": count},
        )
        for count in perplexity
    )  # fmt: skip
    one = run("20260905-090000-bbbb", 16, "experts", arms)
    found = [
        cell
        for count in perplexity
        for cell in cells(f"{count} experts", "qa", {"perplexity": perplexity[count]}, seconds=seconds[count])
    ]
    claims = (
        claim(one.id, "4 experts", "all", 1.54, 1.49, 1.6, baseline="8 experts"),
        claim(one.id, "6 experts", "all", 1.21, 1.17, 1.26, baseline="8 experts"),
    )
    return WholeRun(run=one, cells=tuple(found), claims=claims)


def others() -> list[WholeRun]:
    """What doesn't count: suspect, interrupted, measured elsewhere, projected."""
    arms = (arm("plain", "off", role="baseline"), arm("draft model", ["draft_model"]))
    suspect = run("20260910-120000-cccc", 11, arms=arms, suspect="the canary made 30.1 tokens a second after the run")
    broken = run("20260911-120000-dddd", 10, arms=arms, state="interrupted")
    outside = run(
        "20260912-120000-eeee", 9, "external", (Arm(name="draft_model", configuration={"draft": "draft_model"}),),
        attestation={"cpu": "Another CPU"}, plan={"model": "Coder-32B"},
    )  # fmt: skip
    projected = run("20260913-120000-ffff", 8, "projection", arms)
    unknown = {
        "verdict": "faster",
        "standing": "observation",
        "prompts": 0,
        "pairs": 0,
        "detectable": 1.0,
        "floor": 0.0,
    }
    return [
        WholeRun(run=suspect, claims=(claim(suspect.id, "draft model", "code", 3.1, 2.8, 3.5),)),
        WholeRun(run=broken, cells=tuple(cells("draft model", "code", count=1))),
        WholeRun(run=outside, claims=(claim(outside.id, "draft_model", "code", 5.9, 0.0, math.inf, **unknown),)),
        WholeRun(run=projected, claims=(claim(projected.id, "draft model", "edit", 9.9, 9.1, 10.4),)),
    ]


def filled(path: Path) -> ResultStore:
    """The store with all of it, and one claim and one run that were retracted."""
    store = ResultStore.open(path)
    for whole in (compared(), expert_sweep(), *others(), withdrawn()):
        store.add(whole)
    store.retract("20260820-080000-9999", "the server's timer was wrong", clock=lambda: NOW)
    store.retract("20260901-101500-aaaa/suffix/agent", "the prompt was repeated", clock=lambda: NOW)
    return store


def withdrawn() -> WholeRun:
    """A run that `filled` retracts."""
    one = run("20260820-080000-9999", 32, arms=(arm("plain", "off", role="baseline"), arm("stack", "auto")))
    found = cells("stack", "edit", {"sources": {"reference": {"drafted": 9, "accepted": 9}}})
    curve = Curve("Withdrawn.Q4_0", {0: {1: 10.0, 2: 11.0}})
    return WholeRun(
        run=one, cells=tuple(found), claims=(claim(one.id, "stack", "edit", 28.0, 27, 29),), curves=(curve,)
    )
