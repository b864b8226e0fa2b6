"""A real session on the fake target, for benchmarks that run in no time."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast

from slipstream.bench.cell import Arm
from slipstream.bench.cell_figures import answers
from slipstream.bench.compare import BASELINE
from slipstream.bench.doubts import Limits
from slipstream.bench.runner import Plan, measure
from slipstream.bench.session_arm import Stage
from slipstream.bench.store_rows import Curve, StoredRun, WholeRun
from slipstream.bench.traced_arm import on_stage
from slipstream.bench.workload import Prompt
from slipstream.control.calibration import Calibration
from slipstream.control.curve import VerifyCost
from slipstream.control.policy import AdaptivePolicy
from slipstream.control.price import Price
from slipstream.decode.loop import Loop
from slipstream.drafters import catalog
from slipstream.drafters.draft_model import DraftModel
from slipstream.engine.fake import FakeTarget, random_table
from slipstream.keep import Keep
from slipstream.models.gguf import Header
from slipstream.session import Session
from tests.bench.paired import MemoryStore
from tests.support import LetterTokenizer

VOCABULARY = 8
DRAFT_MS = 4.0
CURVE = {1: 98.0, 2: 122.0, 4: 139.0, 8: 190.0, 16: 295.0, 32: 424.0, 64: 675.0}


def fake_session(folder: Path, seed: int = 1, *, draft_model: bool = False) -> Session:
    """Prompts are words of the letters a to h. The `draft_model` agrees with the target about everything."""
    curve = VerifyCost({64: dict(CURVE)})
    costs = list(curve.costs(64))
    target = FakeTarget(
        random_table(seed, VOCABULARY), VOCABULARY, slots=1, context_length=512,
        cost=lambda width, depth: costs[min(width, 64)],
    )  # fmt: skip
    tokenizer = LetterTokenizer()
    keep = Keep(folder, "machine", "model", curve=curve, calibration=Calibration())
    drafters = {name: catalog.create(name) for name in catalog.names(free=True)}
    clock, table = target.clock, random_table(seed, VOCABULARY)
    second = FakeTarget(table, VOCABULARY, slots=1, clock=clock, cost=lambda width, depth: DRAFT_MS * width)
    paid = {"draft_model": DraftModel(second, clock)} if draft_model else {}
    prices = {name: Price(VerifyCost({64: {1: DRAFT_MS, 64: 64 * DRAFT_MS}})) for name in paid}
    policy = AdaptivePolicy(curve, keep.calibration, prices=prices)
    loop = Loop(target, tokenizer, drafters, policy, clock, paid=paid)

    def render(messages: Sequence[Mapping[str, str]]) -> list[int]:
        return tokenizer.encode(messages[-1]["content"])

    return Session(
        target, tokenizer, loop, render, tokenizer.encode, lambda: None, lambda: (), keep, cast(Header, None)
    )


def stored_run(
    session: Session, arms: Sequence[Arm], prompts: Sequence[Prompt], pairs: int, checks: int = 0, **plan: object
) -> WholeRun:
    """The arms of a benchmark, measured on a (fake) session as the runner does it, with the session's curve."""
    stage = Stage(session, clock=session.loop.clock, now=session.loop.clock)
    store = MemoryStore()
    rows = [asdict(prompt) for prompt in prompts]
    assert session.keep.curve
    run = StoredRun(id="run", kind="stack", started=0.0, arms=tuple(arms), plan={"prompts": rows, **plan})

    def answer(prompt: str) -> Sequence[int]:
        return answers(store.held, BASELINE).get(prompt, ())

    order = Plan(prompts=tuple(prompts), pairs=pairs, checks=checks)
    outcome = measure(run, order, on_stage(arms, stage, answer), store, Limits())
    return WholeRun(run=run, cells=outcome.cells, claims=outcome.claims, curves=(Curve("m", session.keep.curve.table),))
