"""Arms on the same prompts, interleaved in alternating order: the only way a speed-up is made here (invariant I3)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from slipstream.bench.statistics import Ratio, ratio_of
from slipstream.bench.workload import Prompt
from slipstream.core.stats import Stats, merge

BASELINE = "plain"


@dataclass(frozen=True, slots=True)
class Sample:
    """One generation of one arm: its tokens, and its figures on the loop's own clock."""

    prompt: Prompt
    arm: str
    repetition: int
    tokens: tuple[int, ...]
    text: str
    stats: Stats
    started: float = 0.0

    @property
    def rate(self) -> float:
        """Emitted tokens a second of decoding."""
        return self.stats.tokens_per_second


Run = Callable[[Prompt, int], Sample]


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where two arms' outputs first differ, and how close the target's logits for the two tokens are there."""

    prompt: str
    position: int
    gap: float


@dataclass(slots=True)
class Comparison:
    """Samples of all arms, in the order they ran; figures are read off them."""

    samples: list[Sample] = field(default_factory=list)
    divergences: list[Divergence] = field(default_factory=list)

    def of(self, arm: str, prompts: Sequence[str] | None = None) -> list[Sample]:
        """Samples of one arm, of some prompts."""
        return [s for s in self.samples if s.arm == arm and (prompts is None or s.prompt.id in prompts)]

    def prompts(self, task: str | None = None) -> list[str]:
        """Prompt ids in order, of one task or all."""
        return list(dict.fromkeys(s.prompt.id for s in self.samples if task in (None, s.prompt.task)))

    def tasks(self) -> list[str]:
        """Task classes in order."""
        return list(dict.fromkeys(s.prompt.task for s in self.samples))

    def pairs(self, arm: str, prompt: str, baseline: str = BASELINE) -> list[float]:
        """Rate of `arm` over that of `baseline`, repetition by repetition."""
        rates = {(s.arm, s.repetition): s.rate for s in self.samples if s.prompt.id == prompt}
        repetitions = sorted({repetition for _, repetition in rates})
        return [rates[arm, r] / rates[baseline, r] for r in repetitions if (arm, r) in rates and (baseline, r) in rates]

    def ratio(self, arm: str, prompts: Sequence[str], baseline: str = BASELINE) -> Ratio:
        """Speed-up of `arm` on these prompts."""
        return ratio_of([pairs for prompt in prompts if (pairs := self.pairs(arm, prompt, baseline))])

    def answers(self, arm: str) -> dict[str, tuple[int, ...]]:
        """The first output of an arm, by prompt id."""
        found: dict[str, tuple[int, ...]] = {}
        for sample in self.of(arm):
            found.setdefault(sample.prompt.id, sample.tokens)
        return found

    def stats(self, arm: str, task: str | None = None) -> Stats:
        """Figures of an arm summed over its samples."""
        return merge(s.stats for s in self.samples if s.arm == arm and task in (None, s.prompt.task))


def interleave(
    prompts: Sequence[Prompt],
    arms: Mapping[str, Run],
    repetitions: int,
    begin: Callable[[], None] | None = None,
) -> Iterator[Sample]:
    """Runs every arm on every prompt, `repetitions` times, yielding each sample as it is done.

    The first two arms swap places from prompt to prompt and from repetition to repetition, so that a drifting machine
    favours neither; further arms follow them. `begin` is called before each repetition, to put the arms back into their
    starting state.
    """
    names = list(arms)
    for repetition in range(repetitions):
        if begin:
            begin()
        for index, prompt in enumerate(prompts):
            swap = (index + repetition) % 2 == 1 and len(names) > 1
            order = [names[1], names[0], *names[2:]] if swap else names
            for arm in order:
                yield arms[arm](prompt, repetition)


def first_difference(ours: Sequence[int], theirs: Sequence[int]) -> int | None:
    """Index of the first differing token; None if they are equal. A shorter one differs where it ends."""
    shared = min(len(ours), len(theirs))
    found = next((index for index in range(shared) if ours[index] != theirs[index]), None)
    return found if found is not None or len(ours) == len(theirs) else shared
