"""The arms of a comparison on one opened model: plain, the stack, or any choice of drafters."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from slipstream.bench.compare import BASELINE, Run, Sample
from slipstream.bench.workload import Prompt
from slipstream.core.ports import Feed, Target
from slipstream.core.request import Request

STACK = "stack"


class Generates(Protocol):
    """What an arm needs of a session."""

    def request(self, prompt: str, **options: Any) -> Request: ...
    def generate(self, prompt: Request) -> Any: ...
    def cool(self) -> None: ...


def session_arms(
    session: Generates, max_tokens: int, *, draft: Any = "auto", clock: Callable[[], float]
) -> Mapping[str, Run]:
    """Plain decoding, and the stack with these drafters."""
    return {
        BASELINE: session_arm(session, BASELINE, "off", max_tokens, clock),
        STACK: session_arm(session, STACK, draft, max_tokens, clock),
    }


def session_arm(session: Generates, name: str, draft: Any, max_tokens: int, clock: Callable[[], float]) -> Run:
    """A greedy arm. Calibration goes by the prompt's task class; nothing is remembered from prompt to prompt."""

    def run(prompt: Prompt, repetition: int) -> Sample:
        request = session.request(prompt.text, max_tokens=max_tokens, workload=prompt.task, remember=False, draft=draft)
        session.cool()
        started = clock()
        completion = session.generate(request)
        return Sample(prompt, name, repetition, completion.tokens, completion.text, completion.stats, started)

    return run


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
