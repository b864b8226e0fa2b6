"""A claim: what paired cells of one run say about an arm, with everything that is needed to doubt it."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["faster", "slower", "no difference seen", "tainted"]
Standing = Literal["optimum", "baseline", "candidate", "observation", "retracted"]
"""observation: too few pairs to recommend anything. optimum: a winner that was measured again on prompts it was not
chosen on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """`value` with its 95 % interval is the ratio of tokens a second of `arm` to `baseline`, paired, on prompts of one
    `task` ("all": of every task). `detectable` is the smallest effect that so many pairs could have shown, as a ratio
    minus one; `floor` is how far apart two identical arms came in the same run."""

    id: str
    run: str
    arm: str
    baseline: str
    task: str
    value: float
    low: float
    high: float
    prompts: int
    pairs: int
    detectable: float
    floor: float
    verdict: Verdict
    standing: Standing
    reason: str = ""
