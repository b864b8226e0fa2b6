"""The arms of a comparison on one opened model: plain, the stack, and the oracle that knows the answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from slipstream.bench.compare import BASELINE, Run, Sample
from slipstream.bench.workload import Prompt
from slipstream.core.ports import Feed, Target
from slipstream.core.request import Request

STACK = "stack"
ORACLE = "oracle"


class Generates(Protocol):
    """What an arm needs of a session."""

    def request(self, prompt: str, **options: Any) -> Request: ...
    def generate(self, prompt: Request) -> Any: ...
    def cool(self) -> None: ...


def session_arms(
    session: Generates, max_tokens: int, *, draft: Any = "auto", oracle: bool = False, clock: Callable[[], float]
) -> Mapping[str, Run]:
    """Greedy arms. Calibration goes by the prompt's task class; nothing is remembered from prompt to prompt.

    The oracle drafts the output that the plain arm gave for the same prompt in the same repetition, through the same
    policy and curve: what is lost to it is lost to drafting, not to the machine.
    """
    answers: dict[tuple[str, int], tuple[int, ...]] = {}

    def arm(name: str, drafters: Any) -> Run:
        def run(prompt: Prompt, repetition: int) -> Sample:
            request = session.request(
                prompt.text, max_tokens=max_tokens, workload=prompt.task, remember=False, draft=drafters
            )
            if name == ORACLE:
                request = replace(request, reference=answers[prompt.id, repetition], workload=ORACLE)
            session.cool()
            started = clock()
            completion = session.generate(request)
            if name == BASELINE:
                answers[prompt.id, repetition] = completion.tokens
            return Sample(prompt, name, repetition, completion.tokens, completion.text, completion.stats, started)

        return run

    arms = {BASELINE: arm(BASELINE, "off"), STACK: arm(STACK, draft)}
    if oracle:
        arms[ORACLE] = arm(ORACLE, ("reference",))
    return arms


def logit_gap(target: Target, prefix: Sequence[int], ours: int, theirs: int) -> float:
    """Distance of the target's logits for two tokens after `prefix`, computed on slot 0 by plain decoding."""
    held = target.reuse(0, prefix)
    while held < len(prefix):
        chunk = prefix[held : held + target.batch_size]
        last = held + len(chunk) == len(prefix)
        target.decode([Feed(0, held, chunk, 1 if last else 0)])
        held += len(chunk)
    logits = target.logits(0)
    return abs(float(logits[ours]) - float(logits[theirs]))
