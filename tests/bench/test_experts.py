"""Sweeping the number of experts on made-up models: loads, cells through the real runner, rows, and what is kept."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.bench import runner
from slipstream.bench.cell import Cell, Run
from slipstream.bench.claim import Claim
from slipstream.bench.doubts import Limits
from slipstream.bench.expert_arm import Asking, ExpertArm, Loads
from slipstream.bench.expert_profile import kept, with_experts
from slipstream.bench.expert_quality import quality, window_of
from slipstream.bench.experts import KIND, DraftUse, Row, arm_name, arms_of, rows_of, undominated
from slipstream.bench.probe import Question
from slipstream.bench.reduced_draft import best_draft, draft_use
from slipstream.bench.workload import Prompt
from slipstream.control.curve import VerifyCost
from slipstream.core.errors import EngineError, RequestError
from slipstream.engine.fake import FakeClock, FakeTarget, random_table
from slipstream.models.experts import Experts, limit
from slipstream.profile import Evidence, Key, Profile
from tests.bench.paired import MemoryStore

EIGHT = Experts("deepseek.expert_used_count", 8, 8, 8)
PROMPTS = tuple(Prompt(f"p{number}", "chat", "text") for number in range(4))
END = 0
TEXT = [1 + index % 6 for index in range(200)]


@dataclass
class Made:
    """A load on the fake target whose pass takes a millisecond for every expert; what was closed is noted."""

    target: Any
    experts: int
    closed: list[int] = field(default_factory=list)

    def close(self) -> None:
        self.closed.append(self.experts)


@dataclass
class World:
    clock: FakeClock = field(default_factory=FakeClock)
    closed: list[int] = field(default_factory=list)
    lies: int = 0

    def open(self, count: int) -> Made:
        target = FakeTarget(
            random_table(5, 7), 7, slots=1, context_length=256, clock=self.clock,
            cost=lambda width, depth: 2.0 + count * width,
        )  # fmt: skip
        target.output_rows = 32  # type: ignore[attr-defined]
        return Made(target, self.lies or count, self.closed)


def asking(world: World, **changes: Any) -> Asking:
    prompts = {prompt.id: [1 + number, 2, 3, 4, 5] for number, prompt in enumerate(PROMPTS)}
    given: dict[str, Any] = {
        "prompts": prompts, "ends": frozenset({END}), "max_tokens": 12,
        "text": lambda answer: " ".join(f"word{token}" for token in answer),
        "clock": world.clock, "now": world.clock,
    }  # fmt: skip
    return Asking(**{**given, **changes})


def swept(world: World, counts: Sequence[int], room: int, **changes: Any) -> tuple[runner.Outcome, Loads]:
    loads = Loads(world.open, 8, room)
    run = Run(id="r", kind=KIND, started=0.0, arms=arms_of(EIGHT, counts, "m.gguf"))
    arms = {arm_name(count): ExpertArm(count, loads, asking(world, **changes)) for count in counts}
    size = 1 if room >= len(counts) else len(PROMPTS)
    plan = runner.Plan(prompts=PROMPTS, pairs=2, checks=1, size=size)
    return runner.measure(run, plan, arms, MemoryStore(), Limits(), clock=world.clock, now=world.clock), loads


def test_one_load_for_each_number_and_the_speed_that_follows() -> None:
    world = World()
    outcome, loads = swept(world, (8, 4, 2), 3)
    assert sorted(loads.loaded) == [2, 4, 8] and world.closed == []
    rows = rows_of(EIGHT, outcome.cells, outcome.claims)
    assert [row.experts for row in rows] == [8, 4, 2]
    assert [row.speed_up for row in rows] == pytest.approx([1.0, 10 / 6, 2.5])
    assert [row.rate for row in rows] == pytest.approx([100, 1000 / 6, 250])
    assert all(cell.figures["experts"] == int(cell.arm.split()[0]) for cell in outcome.cells)


def test_with_room_for_two_the_default_stays_and_the_others_take_turns() -> None:
    world = World()
    outcome, loads = swept(world, (8, 4, 2), 2)
    assert loads.loaded.count(8) == 1 and set(world.closed) <= {4, 2}
    assert rows_of(EIGHT, outcome.cells, outcome.claims)[2].speed_up == pytest.approx(2.5)
    loads.close()
    assert sorted(set(world.closed)) == [2, 4, 8] and not loads.held


def test_with_room_for_one_nothing_is_open_twice() -> None:
    world = World()
    _, loads = swept(world, (8, 4), 1)
    assert len(loads.held) == 1 and len(world.closed) == len(loads.loaded) - 1


def test_an_override_that_does_not_take_hold_fails_the_run() -> None:
    world = World(lies=8)
    outcome, loads = swept(world, (8, 4), 2)
    failed = [cell for cell in outcome.cells if cell.status == "failed"]
    assert failed and all("loaded for 4 experts and uses 8" in cell.reason for cell in failed[:1])
    assert not any(cell.arm == arm_name(4) for cell in outcome.cells if cell.status == "ok")
    assert [row.experts for row in rows_of(EIGHT, outcome.cells, outcome.claims)] == [8] and set(loads.held) == {8}
    with pytest.raises(EngineError, match="run it as it is"):
        loads.get(2)


def test_the_first_cell_of_a_number_has_its_quality() -> None:
    world = World()
    asked: list[tuple[Any, Any]] = []

    def judge(target: Any, full: Any) -> dict[str, float]:
        asked.append((target, full))
        return {"perplexity": 30.0 - len(asked)}

    outcome, loads = swept(world, (8, 4), 2, quality=judge, score=lambda prompt, answer: 1.0)
    assert [(full is target) for target, full in asked] == [True, False]
    assert asked[1] == (loads.held[4].target, loads.held[8].target)
    assert [cell.figures["perplexity"] for cell in outcome.cells if "perplexity" in cell.figures] == [29.0, 28.0]
    rows = rows_of(EIGHT, outcome.cells, outcome.claims)
    assert rows[0].quality == {"perplexity": 29.0, "score": 1.0}
    assert [row.best for row in rows] == [False, True]


def test_alone_in_memory_there_is_nothing_to_compare_with() -> None:
    seen: list[Any] = []

    def judge(target: Any, full: Any) -> dict[str, float]:
        seen.append(full)
        return {}

    swept(World(), (8, 4), 1, quality=judge)
    assert seen[0] is not None and seen[1] is None


def cell(count: int, **changes: Any) -> Cell:
    made = Cell(arm=arm_name(count), prompt="p", task="chat", repetition=0, tokens=20, seconds=2.0)
    return replace(made, **{"figures": {"experts": count, "finish": "length"}, **changes})


def test_rows_tell_garbage_and_answers_that_ended() -> None:
    cells = [
        cell(8, tokens=10, seconds=1.0, figures={"experts": 8, "finish": "stop"}),
        cell(8, tokens=30, seconds=1.0),
        cell(2, status="garbage", seconds=0.1),
        cell(2),
        cell(1, status="failed"),
        Cell(arm="canary", prompt="c", task="canary", repetition=0),
    ]
    whole, two = rows_of(EIGHT, cells, [])
    assert (whole.tokens, whole.finished, whole.garbage, whole.rate) == (20, 0.5, 0, 20)
    assert (two.experts, two.garbage, two.rate, two.claim, two.speed_up) == (2, 0.5, 10, None, None)
    assert whole.speed_up == 1.0 and whole.best and not two.best
    unknown = replace(CLAIM, arm="2 experts", value=nan, low=nan, high=nan)
    doubted = rows_of(EIGHT, cells, [unknown])[1]
    assert doubted.speed_up is None and not doubted.best
    assert doubted.claim is not None and doubted.to_json()["claim"]["value"] is None
    assert two.limit.verdict == "warned" and two.to_json()["limit"]["verdict"] == "warned"


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=8))
def test_undominated_are_those_that_nothing_beats(points: list[tuple[float, float]]) -> None:
    marks = undominated(points)
    assert any(marks)
    for point, best in zip(points, marks, strict=True):
        beaten = any(o[0] >= point[0] and o[1] >= point[1] and o != point for o in points)
        assert best is not beaten
    kept = sorted({point for point, best in zip(points, marks, strict=True) if best})
    assert all(a[0] < b[0] and a[1] > b[1] for a, b in itertools.pairwise(kept))


def test_quality_of_a_model_and_against_the_whole_one() -> None:
    world = World()
    target, other = world.open(8).target, world.open(4).target
    window = window_of(TEXT, 256)
    assert window == len(TEXT)
    alone, whole, same = (quality(target, full, TEXT, 64) for full in (None, target, other))
    assert alone["perplexity"] == whole["perplexity"] == pytest.approx(same["perplexity"]) and alone["perplexity"] > 1
    assert "divergence" not in alone and whole["divergence"] == 0.0 and same["divergence"] == pytest.approx(0)
    with pytest.raises(RequestError, match="the text has 100 tokens"):
        window_of(TEXT[:100], 256)


def test_a_cheap_copy_that_agrees_pays_as_a_drafter() -> None:
    world = World()
    full, reduced = world.open(8).target, world.open(1).target
    curve = VerifyCost({8: {1: 10.0, 2: 10.5, 4: 11.0, 8: 12.0, 16: 14.0}})
    questions = [Question("chat", (1, 2, 3, number)) for number in range(1, 6)]
    use = draft_use(full, reduced, questions, frozenset(), curve, 64, world.clock)
    assert use.acceptance == 1.0 and use.cost == pytest.approx(0.3) and use.tokens >= 64
    assert use.low <= use.speed_up <= use.high and use.speed_up > 1.5
    assert best_draft({4: replace(use, speed_up=1.04), 2: replace(use, speed_up=1.2), 1: use}) == 1
    assert best_draft({4: replace(use, low=0.98)}) is None
    assert best_draft({4: replace(use, speed_up=1.04)}) is None and best_draft({}) is None


KEY = Key(host="h", engine="e", model="m")
CLAIM = Claim(
    id="r/4 experts/all", run="r", arm="4 experts", baseline="8 experts", task="all", value=1.3, low=1.2, high=1.4,
    prompts=4, pairs=8, detectable=0.1, floor=0.02, verdict="faster", standing="candidate",
)  # fmt: skip


def row(count: int, claim: Claim | None = None) -> Row:
    return Row(
        experts=count, limit=limit(EIGHT, count), rate=1.0, speed_up=1.0, claim=claim,
        quality={"perplexity": 40.0 - 2 * count},
        tokens=1.0, finished=0.0, garbage=0.0, best=True, draft=DraftUse(0.5, 0.5, 1.0, 0.9, 1.1, 64),
    )  # fmt: skip


def test_the_chosen_number_joins_the_profile_and_leaves_it_again() -> None:
    tuned = Evidence(kind="tune", run="t")
    options = {"threads": 2, "kv_overrides": {"a": 1}}
    base = Profile(key=KEY, path="/m.gguf", options=options, evidence=(tuned,))
    chosen = with_experts(base, EIGHT, row(4, CLAIM), row(8), "r")
    assert chosen.options == {"threads": 2, "kv_overrides": {"a": 1, EIGHT.key: 4}}
    ours = next(one for one in chosen.evidence if one.kind == KIND)
    assert (ours.run, ours.options, ours.value, ours.low, ours.pairs) == ("r", ("kv_overrides",), 1.3, 1.2, 8)
    assert "4 of 8 experts, another output, perplexity 1.33x" in ours.summary and tuned in chosen.evidence
    assert kept(chosen, EIGHT) == ours and kept(base, EIGHT) is None
    by_tuning = kept(replace(base, options={"kv_overrides": {EIGHT.key: 6}}), EIGHT)
    assert by_tuning and "6 of 8" in by_tuning.note and not by_tuning.pairs
    back = with_experts(chosen, EIGHT, row(8), row(8), "r2")
    assert back.options == base.options and not any(one.kind == KIND for one in back.evidence)
    alone = with_experts(Profile(key=KEY, path="/m.gguf"), EIGHT, row(4, CLAIM), row(8), "r")
    assert with_experts(alone, EIGHT, row(8), row(8), "r").options == {}
