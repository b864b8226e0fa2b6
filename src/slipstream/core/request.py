"""What a caller asks for: the prompt's tokens, how to sample, when to stop, who may draft."""

from dataclasses import dataclass, field
from typing import Literal

from slipstream.core.errors import RequestError

FinishReason = Literal["stop", "length", "context", "cancelled"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """The sampler chain. `temperature` 0 is greedy. Neutral values (top_k 0, top_p 1, ...) leave a step out.

    Steps run in llama.cpp's order: logit bias, penalties, DRY, top-k, typical, top-p, min-p, temperature. A grammar is
    not a step: it checks the drawn token, and only if it refuses are all tokens masked by it and the chain run again.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0
    repeat_penalty: float = 1.0
    repeat_last_n: int = 64
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_penalty_last_n: int = -1
    dry_sequence_breakers: tuple[str, ...] = ("\n", ":", '"', "*")
    grammar: str = ""
    json_schema: str = ""
    logit_bias: tuple[tuple[int, float], ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        def within(name: str, low: float, high: float) -> None:
            value = getattr(self, name)
            if not low <= value <= high:
                raise RequestError(f"{name} is {value}", hint=f"it must lie between {low:g} and {high:g}")

        within("temperature", 0, 100)
        within("top_k", 0, 1 << 30)
        within("top_p", 0, 1)
        within("min_p", 0, 1)
        within("typical_p", 0, 1)
        within("repeat_penalty", 0.01, 100)
        within("repeat_last_n", -1, 1 << 30)
        within("presence_penalty", -100, 100)
        within("frequency_penalty", -100, 100)
        within("dry_multiplier", 0, 100)
        within("dry_base", 1, 100)
        within("seed", 0, 2**32 - 1)
        if self.grammar and self.json_schema:
            raise RequestError("both a grammar and a JSON schema were given", hint="give one of them")
        if self.temperature == 0:
            for name, neutral in (("top_k", 0), ("top_p", 1.0), ("min_p", 0.0), ("typical_p", 1.0)):
                if getattr(self, name) != neutral:
                    raise RequestError(
                        f"{name} {getattr(self, name):g} contradicts temperature 0, which takes the likeliest token",
                        hint=f"set a temperature above 0 or leave {name} out",
                    )

    @property
    def is_plain_greedy(self) -> bool:
        """True when the likeliest logit decides alone: no chain is needed."""
        return (
            self.temperature == 0
            and not (self.grammar or self.json_schema or self.logit_bias)
            and self.repeat_penalty == 1
            and self.presence_penalty == 0
            and self.frequency_penalty == 0
            and self.dry_multiplier == 0
        )


@dataclass(frozen=True, slots=True)
class Request:
    """One generation. `draft` is "auto" (every source), "off" (plain) or names from the drafter catalogue.

    `reference` is a text the caller expects the answer to resemble, as tokens (predicted outputs). `remember` lets this
    request's output into the global memory and the memory's drafts into this request. `workload` names the class of
    text under which acceptance is calibrated.
    """

    prompt: tuple[int, ...]
    max_tokens: int = 256
    stop: tuple[str, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    draft: Literal["auto", "off"] | tuple[str, ...] = "auto"
    reference: tuple[int, ...] = ()
    remember: bool = True
    workload: str = "default"
    ignore_end: bool = False

    def __post_init__(self) -> None:
        if not self.prompt:
            raise RequestError("the prompt is empty", hint="give some text; a space is enough")
        if self.max_tokens < 1:
            raise RequestError(f"max_tokens is {self.max_tokens}", hint="ask for at least one token")
        if any(not text for text in self.stop):
            raise RequestError("a stop string is empty", hint="leave it out: it would stop before the first token")
