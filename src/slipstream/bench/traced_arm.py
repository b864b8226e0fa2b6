"""Arms of a published benchmark on an opened model: with the times of every round, and one that knows the answer."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace

from slipstream.bench.cell import Arm, Cell
from slipstream.bench.session_arm import Generation, SessionArm, Stage
from slipstream.bench.workload import Prompt
from slipstream.core.errors import RequestError
from slipstream.core.request import Request
from slipstream.core.stats import RoundRecord

ROUND_TIMES = "round_times"
"""Among a cell's figures: its rounds, each as the values of RoundTimes."""
REFERENCE = "reference"
"""The source that copies a text it is given."""


@dataclass(frozen=True, slots=True)
class RoundTimes:
    """Milliseconds of one round by what they went to, and its width. Passes of a draft model are `passes` like those of
    the target; `draft` is what drafting took besides."""

    width: int
    draft: float
    plan: float
    learn: float
    passes: float
    total: float

    @property
    def deciding(self) -> float:
        """Drafting, policy, and learning from the outcome."""
        return self.draft + self.plan + self.learn


def rounds_of(cell: Cell) -> list[RoundTimes]:
    """Of a cell that a traced arm measured; none of another."""
    return [RoundTimes(*times) for times in cell.figures.get(ROUND_TIMES, ())]


class TracedArm(SessionArm):
    """Keeps the times of its rounds with the cell."""

    def measure(self, prompt: Prompt, repetition: int) -> Cell:
        """As a SessionArm, and `round_times` among the figures."""
        times: list[RoundTimes] = []

        def trace(record: RoundRecord, learn_ms: float, total_ms: float) -> None:
            draft, passes = record.draft_ms - record.paid_ms, record.target_ms + record.paid_ms
            times.append(RoundTimes(record.width, draft, record.plan_ms, learn_ms, passes, total_ms))

        loop = self.stage.session.loop
        held, loop.trace = loop.trace, trace
        try:
            cell = super().measure(prompt, repetition)
        finally:
            loop.trace = held
        # Ten-thousandths of a millisecond: what lies below is the clock's own noise.
        rounded = [[one.width, *(round(value, 4) for value in astuple(one)[1:])] for one in times]
        return replace(cell, figures={**cell.figures, ROUND_TIMES: rounded})


class OracleArm(TracedArm):
    """Drafts the model's own answer through the same policy and curve: what is lost to it is lost to drafting, not to
    the machine. `answer` gives the tokens by prompt id, none if they aren't known: then nothing can be measured."""

    def __init__(self, name: str, stage: Stage, generation: Generation, answer: Callable[[str], Sequence[int]]) -> None:
        super().__init__(name, stage, generation)
        self.answer = answer

    def request(self, prompt: Prompt) -> Request:
        """With the answer as its reference. RequestError if there is none."""
        tokens = tuple(self.answer(prompt.id))
        if not tokens:
            raise RequestError(f"there is no plain answer to {prompt.id}", hint="see why its plain cell failed")
        return replace(super().request(prompt), reference=tokens)


def on_stage(arms: Iterable[Arm], stage: Stage, answer: Callable[[str], Sequence[int]]) -> Mapping[str, SessionArm]:
    """The arms of a run by name, but for the baseline's repetition, which is the baseline. Of their settings `draft`,
    `draft_length` and `max_tokens` count here; how the model is opened was decided before."""
    made: dict[str, SessionArm] = {}
    for arm in arms:
        settings = arm.configuration["settings"]
        draft = settings["draft"]
        generation = Generation(
            draft=tuple(draft) if isinstance(draft, list) else draft,
            draft_length=settings.get("draft_length", 0),
            max_tokens=settings["max_tokens"],
        )
        if arm.role == "bound":
            made[arm.name] = OracleArm(arm.name, stage, generation, answer)
        elif arm.role != "repeat":
            made[arm.name] = TracedArm(arm.name, stage, generation)
    return made
