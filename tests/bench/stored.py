"""Runs, cells and claims to put into a store."""

from typing import Any

from slipstream.bench.cell import Arm, Cell, Run
from slipstream.bench.claim import Claim

ARMS = (
    Arm(name="plain", role="baseline", configuration={"model": "tiny.gguf", "draft": "off"}),
    Arm(name="suffix", configuration={"model": "tiny.gguf", "draft": ["suffix"], "threads": 2}),
)
ATTESTATION = {"cpu": "A CPU", "engine": "0.3.36-b1-abcd", "load": [0.1, 0.2], "models": {"tiny.gguf": "f" * 32}}


def make_run(name: str = "20260101-000000-aaaa", started: float = 1000.0, **values: Any) -> Run:
    made = {"kind": "compare", "arguments": ("bench", "compare"), "arms": ARMS, "plan": {"pairs": 2}}
    return Run(**{"id": name, "started": started, "attestation": ATTESTATION, **made, **values})


def make_cell(arm: str = "suffix", prompt: str = "p0", repetition: int = 0, **values: Any) -> Cell:
    made: dict[str, Any] = {"tokens": 8, "seconds": 0.25, "engine_rate": 33.0, "started": 1001.5, "answer": 'a, "b"\nc'}
    made |= {"task": "edit", "token_ids": (3, 1, 2), "figures": {"sources": {"suffix": {"drafted": 4}}, "rates": [1.5]}}
    return Cell(arm=arm, prompt=prompt, repetition=repetition, **{**made, **values})


def make_claim(run: str = "20260101-000000-aaaa", arm: str = "suffix", task: str = "edit", **values: Any) -> Claim:
    made: dict[str, Any] = {"baseline": "plain", "value": 1.5, "low": 1.25, "high": 1.75, "prompts": 2, "pairs": 6}
    made |= {"detectable": 0.05, "floor": 0.02, "verdict": "faster", "standing": "optimum"}
    return Claim(**{"id": f"{run}/{arm}/{task}", "run": run, "arm": arm, "task": task, **made, **values})
