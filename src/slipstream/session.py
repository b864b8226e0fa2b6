"""An opened model with its whole stack: what a program (and the command line) generates with."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Literal, Self

from slipstream.core.errors import RequestError
from slipstream.core.ports import Target, Tokenizer
from slipstream.core.request import FinishReason, Request, Sampling
from slipstream.core.stats import Stats
from slipstream.decode.loop import Loop
from slipstream.decode.slot import Chunk
from slipstream.keep import Keep
from slipstream.models.gguf import Header

Message = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Completion:
    """A finished generation. `chunks` tells which tokens came from which source's draft."""

    text: str
    tokens: tuple[int, ...]
    finish: FinishReason
    stats: Stats
    chunks: tuple[Chunk, ...] = ()


class Session:
    """Made by `slipstream.open`; a context manager. One thread at a time.

    `keep` holds what was measured of the model; its `notes` are lines the user should see. `header` is the file's;
    `second_notes` say of every second model for which source it drafts, and how its vocabulary goes with this one.
    """

    def __init__(
        self,
        target: Target,
        tokenizer: Tokenizer,
        loop: Loop,
        render: Callable[[Sequence[Message]], list[int]],
        encode_raw: Callable[[str], list[int]],
        close: Callable[[], None],
        warnings: Callable[[], Sequence[str]],
        keep: Keep,
        header: Header,
        second_notes: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.target = target
        self.tokenizer = tokenizer
        self.loop = loop
        self.keep = keep
        self.header = header
        self.second_notes = second_notes
        self.stats = Stats()
        self._render = render
        self._encode_raw = encode_raw
        self._close = close
        self._warnings = warnings

    def request(
        self,
        prompt: str | Sequence[Message],
        *,
        system: str = "",
        raw: bool = False,
        max_tokens: int = 512,
        stop: Sequence[str] = (),
        draft: str | Sequence[str] = "auto",
        reference: str = "",
        remember: bool = True,
        workload: str = "default",
        ignore_end: bool = False,
        sampling: Sampling | None = None,
        **sampler_options: Any,
    ) -> Request:
        """A request for this model. A string is one user turn through the model's chat template, or, with `raw`, the
        text itself. Sampler options are the fields of `Sampling`; an unknown one raises TypeError.

        Raises RequestError for an empty prompt or options that contradict each other.
        """
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
        if not any(message["content"].strip() for message in messages):
            raise RequestError("the prompt is empty", hint="give some text")
        if raw:
            if system or not isinstance(prompt, str):
                raise RequestError(
                    "a raw prompt is one text, without roles", hint="leave out --raw or the system prompt"
                )
            tokens = self._encode_raw(prompt)
        else:
            tokens = self._render([{"role": "system", "content": system}, *messages] if system else messages)
        return Request(
            prompt=tuple(tokens),
            max_tokens=max_tokens,
            stop=tuple(stop),
            sampling=replace(sampling or Sampling(), **sampler_options),
            draft=_choice(draft),
            reference=tuple(self.tokenizer.encode(reference)) if reference else (),
            remember=remember,
            workload=workload,
            ignore_end=ignore_end,
        )

    def stream(self, prompt: str | Sequence[Message] | Request, **options: Any) -> Iterator[str]:
        """Text as it is generated. Closing the iterator cancels; `stats` then holds what was done."""
        with closing(self.chunks(prompt, **options)) as chunks:
            for chunk in chunks:
                if chunk.text:
                    yield chunk.text

    def generate(self, prompt: str | Sequence[Message] | Request, **options: Any) -> Completion:
        """The whole answer."""
        chunks = tuple(self.chunks(prompt, **options))
        tokens = tuple(token for chunk in chunks for token in chunk.tokens)
        return Completion(
            "".join(chunk.text for chunk in chunks), tokens, chunks[-1].finish or "stop", self.stats, chunks
        )

    def chunks(self, prompt: str | Sequence[Message] | Request, **options: Any) -> Generator[Chunk, None, None]:
        """A chunk a round: text, tokens and where they came from."""
        request = prompt if isinstance(prompt, Request) else self.request(prompt, **options)
        slot = self.loop.submit(request)
        self.stats = slot.stats
        yield from self.loop.drive(slot)

    @property
    def warnings(self) -> list[str]:
        """What went wrong beside generation, such as a memory file that can't be written any more."""
        return list(self._warnings())

    def forget(self) -> None:
        """Back to the shipped priors: every repetition of a benchmark starts from the same state."""
        self.keep.calibration.workloads.clear()
        self.cool()

    def cool(self) -> None:
        """Drop what draft models keep of earlier prompts: otherwise an arm that follows another starts ahead of it."""
        for drafter in self.loop.paid.values():
            drafter.forget()

    def close(self) -> None:
        """Save what was learnt and free the model."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _choice(draft: str | Sequence[str]) -> Literal["auto", "off"] | tuple[str, ...]:
    """A name alone means that one drafter."""
    if draft == "auto":
        return "auto"
    if draft == "off":
        return "off"
    return (draft,) if isinstance(draft, str) else tuple(draft)
