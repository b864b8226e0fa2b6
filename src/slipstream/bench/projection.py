"""What the stack would bring on another machine: recorded answers replayed through the real loop, policy and free
drafters, on that machine's projected curve. Never a measurement; everything that shows it says "projection"."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from slipstream.bench.arms import STACK
from slipstream.bench.compare import BASELINE, Comparison, Run, Sample, interleave
from slipstream.bench.known import Known, KnownDraft, KnownTarget
from slipstream.bench.machine import Machine
from slipstream.bench.recordings import DRAFT, ROUND_MS, Recording
from slipstream.bench.roofline import Roofline, Work, calibrate, project
from slipstream.bench.statistics import ratio_of
from slipstream.bench.verdict import ALL
from slipstream.bench.workload import Prompt
from slipstream.control.calibration import Calibration
from slipstream.control.curve import VerifyCost
from slipstream.control.policy import AdaptivePolicy
from slipstream.control.price import Price
from slipstream.core.request import Request
from slipstream.decode.loop import Loop
from slipstream.drafters import catalog
from slipstream.engine.fake import FakeClock

LABEL = "projection"
GOOD = 0.15
"""Error against this machine's own measurement up to which the model counts as good."""


@dataclass(frozen=True, slots=True)
class Costed:
    """A model file as this machine knows it: what a pass of it does, and what it was measured to cost."""

    name: str
    work: Work
    curve: VerifyCost


@dataclass(frozen=True, slots=True)
class Subject:
    """A model to project, with the answers to replay: its own, or (`answers_of`) those of another quantization. `draft`
    is the draft model whose acceptance record the answers carry; None: free sources only."""

    model: Costed
    known: tuple[Known, ...]
    answers_of: str
    round_ms: Mapping[str, float]
    draft: Costed | None = None


@dataclass(frozen=True, slots=True)
class Projected:
    """A line of the answer: tokens a second of decoding, plain and with the stack, on prompts of one task ("all": of
    every task, each weighing the same), and the speed-up, the geometric mean of the prompts' own, with its 95 %
    interval over prompts: other answers, not other machines."""

    machine: str
    model: str
    quantization: str
    task: str
    prompts: int
    plain: float
    stack: float
    speed_up: float
    low: float
    high: float
    tokens_per_round: float
    kind: str = LABEL


@dataclass(frozen=True, slots=True)
class Check:
    """A speed-up that was measured here, and what the same model predicts of it from the answers of `answers_of`.
    `error` is relative, positive if too much was promised, with its 95 % interval over prompts."""

    model: str
    answers_of: str
    task: str
    prompts: int
    measured: float
    predicted: float
    error: float
    error_low: float
    error_high: float


class _Silent:
    """A tokenizer for tokens whose text nobody reads."""

    end_tokens: frozenset[int] = frozenset()

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        return []

    def piece(self, token: int) -> bytes:
        return b""


def replay(
    known: Sequence[Known],
    curve: VerifyCost,
    round_ms: Mapping[str, float],
    draft: VerifyCost | None = None,
    repetitions: int = 1,
) -> Comparison:
    """Plain decoding and the stack in turns over all answers, from a cold start, as a benchmark runs them. `curve` is
    the target's, `draft` that of a draft model, whose record the answers carry; `round_ms` goes to every round of an
    arm. Raises AssertionError if an output differs from its record: drafting must never change it."""
    clock = FakeClock()
    calibration = Calibration()
    target = KnownTarget(known, curve, 0.0, clock)
    drafters = {name: catalog.create(name, _settings(name)) for name in catalog.names(free=True)}
    by_prompt = {one.prompt: one for one in known}
    paid = {DRAFT: KnownDraft(by_prompt, draft, clock)} if draft else {}
    prices = {DRAFT: Price(_fresh(draft))} if draft else {}
    policy = AdaptivePolicy(_fresh(curve), calibration, prices=prices)
    loop = Loop(target, _Silent(), drafters, policy, clock, automatic=catalog.automatic(), paid=paid)
    by_id = {one.id: one for one in known}

    def arm(name: str, choice: Any) -> Run:
        def run(prompt: Prompt, repetition: int) -> Sample:
            one = by_id[prompt.id]
            target.round_ms = round_ms.get(name, ROUND_MS)
            request = Request(one.prompt, len(one.answer), draft=choice, remember=False, workload=one.task)
            slot = loop.submit(request)
            tokens = tuple(token for chunk in loop.drive(slot) for token in chunk.tokens)
            if tokens != one.answer:
                raise AssertionError(f"drafting changed the answer to {one.id}")
            return Sample(prompt, name, repetition, tokens, "", slot.stats)

        return run

    prompts = [Prompt(one.id, one.task, "") for one in known]
    arms = {BASELINE: arm(BASELINE, "off"), STACK: arm(STACK, "auto")}
    return Comparison(list(interleave(prompts, arms, repetitions, calibration.workloads.clear)))


def _fresh(curve: VerifyCost) -> VerifyCost:
    """A copy for the policy to refine: what passes really cost stays as it is."""
    return VerifyCost.from_json(curve.to_json())


def _settings(name: str) -> dict[str, Any]:
    """Nothing is remembered from answer to answer."""
    return {"max_outputs": 0} if name == "suffix" else {}


def projections(subject: Subject, here: Machine, machine: Machine) -> list[Projected]:
    """A line per task and one for all of them, by a curve made for `machine` from what was measured `here`; on `here`
    itself, by the measured curve."""

    def expected(costed: Costed) -> VerifyCost:
        return costed.curve if machine is here else project(costed.work, roofline(costed, here), machine)

    draft = expected(subject.draft) if subject.draft else None
    found = replay(subject.known, expected(subject.model), subject.round_ms, draft)
    lines = []
    for task in [*found.tasks(), None] if len(found.tasks()) > 1 else found.tasks():
        names = found.prompts(task)
        ratio = found.ratio(STACK, names)
        lines.append(
            Projected(
                machine.name,
                subject.model.name,
                subject.model.work.quantization,
                task or ALL,
                len(names),
                found.stats(BASELINE, task).tokens_per_second,
                found.stats(STACK, task).tokens_per_second,
                ratio.value,
                ratio.low,
                ratio.high,
                found.stats(STACK, task).tokens_per_round,
            )
        )
    return lines


def roofline(costed: Costed, here: Machine) -> Roofline:
    """Calibrated on the model's own curve."""
    return calibrate(costed.work, costed.curve, here)


def checks(subject: Subject, recording: Recording) -> list[Check]:
    """The stack's speed-up as it was measured in `recording` (of the subject's model), against what the curve of that
    time (today's if it wasn't stored) and the subject's answers predict, by task and in all. Empty if nothing
    comparable was measured: no stack, or one that used sources of which there is no record."""
    replayable = {*catalog.names(free=True), *([DRAFT] if subject.draft else [])}
    names = {prompt for prompt in recording.measured.prompts() if recording.measured.pairs(STACK, prompt)}
    known = [one for one in subject.known if one.id in names]
    if not known or not recording.sources <= replayable:
        return []
    curve = VerifyCost({0: dict(recording.costs)}) if recording.costs else subject.model.curve
    draft = _paced(subject.draft.curve, recording.step_ms or _step(subject, recording)) if subject.draft else None
    found = replay(known, curve, recording.round_ms, draft)
    tasks: list[str | None] = [*found.tasks()]

    def check(task: str | None) -> Check:
        prompts = found.prompts(task)
        measured, predicted = (one.ratio(STACK, prompts).value for one in (recording.measured, found))
        off = ratio_of([[_speed_up(found, one) / _speed_up(recording.measured, one)] for one in prompts])
        return Check(
            subject.model.name, subject.answers_of, task or ALL, len(prompts), measured, predicted,
            off.value - 1, off.low - 1, off.high - 1,
        )  # fmt: skip

    return [check(task) for task in ([*tasks, None] if len(tasks) > 1 else tasks)]


def _speed_up(comparison: Comparison, prompt: str) -> float:
    return median(comparison.pairs(STACK, prompt))


def _step(subject: Subject, recording: Recording) -> float:
    """The draft model's pass at the target's pace of that time; 0 where that isn't known."""
    if not subject.draft or not recording.costs:
        return 0.0
    return subject.draft.curve.costs(0)[1] * recording.costs[1] / subject.model.curve.costs(0)[1]


def _paced(curve: VerifyCost, step_ms: float) -> VerifyCost:
    """The curve, its plain pass at so many milliseconds (0: as it is)."""
    pace = step_ms / curve.costs(0)[1] if step_ms else 1.0
    return VerifyCost({depth: {width: pace * ms for width, ms in row.items()} for depth, row in curve.table.items()})


def assumptions(subject: Subject, here: Machine, machines: Sequence[Machine]) -> list[str]:
    """What has to be believed for the projection to hold, a line each."""
    roof = roofline(subject.model, here)
    tokens = sum(len(one.answer) for one in subject.known)
    name = subject.model.name
    lines = [
        f"{name}: answers of {subject.answers_of} to {len(subject.known)} prompts ({tokens} tokens), greedy, a request"
        " at a time; it would say the same there",
        f"{name}: a plain pass reads {subject.model.work.bytes(1, 0) / 1e9:.2f} GB, here at {100 * roof.attained:.0f} %"
        f" of the triad's {here.peak_bandwidth / 1e9:.1f} GB/s, so it waits for {roof.bound} here",
        f"{name}: every kernel keeps the operations a cycle that it was measured to do here, width by width; a core"
        f" here ({here.clock_ghz:.1f} GHz) counts as a core there",
        f"{name}: a round takes {subject.round_ms.get(STACK, ROUND_MS):.2f} ms besides its passes, as here; prefill is"
        " left out",
    ]
    lines.append(
        f"{name}: drafts of {subject.draft.name} by its record on these answers, its passes projected like the target's"
        if subject.draft
        else f"{name}: free sources only; a draft model's gain is left out (--draft-model makes its record)"
    )
    return lines + [line for machine in machines for line in described(machine, here, roof.attained)]


def described(machine: Machine, here: Machine, attained: float) -> list[str]:
    """A machine's own assumptions."""
    lines = [
        f"{machine.name}: {machine.title}",
        f"{machine.name}: {machine.cores} cores at {machine.clock_ghz:g} GHz, of whose arithmetic"
        f" {100 * machine.scaling:.0f} % counts; weights read at {machine.bandwidth(attained) / 1e9:.0f} GB/s of"
        f" {machine.peak_bandwidth / 1e9:.0f}; {machine.layer_ms:g} ms of synchronization a layer",
    ]
    lacking, more = _apart(machine, here)
    if lacking:
        lines.append(f"{machine.name}: lacks {', '.join(lacking)}, which this machine has: the projection is too good")
    if more:
        lines.append(f"{machine.name}: its {', '.join(more)} isn't here to be measured: the projection is cautious")
    lines += [f"{machine.name}: {field} {text}" for field, text in machine.sources.items()]
    return lines


def _apart(machine: Machine, here: Machine) -> tuple[list[str], list[str]]:
    """Instruction sets that only one of both has; none if either isn't known."""
    ours, theirs = set(here.instruction_sets), set(machine.instruction_sets)
    if not ours or not theirs:
        return [], []
    return sorted(_serious(ours - theirs)), sorted(_serious(theirs - ours))


def _serious(names: set[str]) -> set[str]:
    """Those of which a kernel's speed depends: wide vectors, short numbers, matrices."""
    return {name for name in names if name.startswith(("AVX", "AMX", "SVE", "SME", "NEON", "MATMUL", "DOTPROD", "FMA"))}
