"""The model whose output is preserved: core's Target on llama.cpp. One thread drives it."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from slipstream.core.errors import ContextOverflow, EngineError
from slipstream.core.ports import Capabilities, Feed, Sampler
from slipstream.core.request import Sampling
from slipstream.engine import capability, samplers
from slipstream.engine.context import LlamaContext, Logits
from slipstream.engine.kv import KVLedger
from slipstream.engine.model import LlamaModel
from slipstream.engine.options import ModelOptions
from slipstream.engine.replay import Replay


class LlamaTarget:
    """KV for `options.slots` sequences of `context_length` tokens each.

    Where a suffix of KV can't be dropped, `Replay` goes back instead, and the ledger may run ahead of KV.
    """

    def __init__(self, model: LlamaModel, options: ModelOptions, *, owns_model: bool = False) -> None:
        self.model = model
        self.options = options
        self._owns_model = owns_model
        self._context = LlamaContext(model, options)
        self._ledger = KVLedger(options.slots)
        self._context_length = model.slot_context(options.context_length)
        try:
            self._capabilities = capability.probe(self._context, model.window)
        except BaseException:
            self._context.close()
            raise
        rewind, window = self._capabilities.rewind, self._capabilities.window
        replays = rewind in ("bounded", "checkpoint") or (rewind == "full" and window)
        self._replay = Replay(self._context, self._ledger, self._capabilities, options) if replays else None

    @classmethod
    def open(cls, options: ModelOptions, *, verbose: bool = False) -> Self:
        """Load the model and make a target that owns it."""
        model = LlamaModel.load(options, verbose=verbose)
        try:
            return cls(model, options, owns_model=True)
        except BaseException:
            model.close()
            raise

    @property
    def vocabulary_size(self) -> int:
        return self._context.vocabulary_size

    @property
    def context_length(self) -> int:
        """Most tokens one slot can hold."""
        return self._context_length

    @property
    def slots(self) -> int:
        return self.options.slots

    @property
    def batch_size(self) -> int:
        """Most tokens in one pass."""
        return self._context.batch_size

    @property
    def output_rows(self) -> int:
        """Most positions of one pass that may want logits."""
        return self._context.output_rows

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def context(self) -> LlamaContext:
        """The context that samplers read."""
        return self._context

    def held(self, slot: int) -> list[int]:
        """The tokens the slot holds."""
        return self._ledger.tokens(slot)

    def decode(self, feeds: Sequence[Feed]) -> None:
        """One pass over all feeds. Output rows are numbered from 0 in order of the wanted logits.

        ContextOverflow if a slot would hold more than `context_length` tokens; EngineError for a feed that doesn't
        continue its slot, too wide a pass, or a failure inside llama.cpp. KV and ledger are unchanged then.
        """
        self._check(feeds)
        try:
            completed = self._replay.completed(feeds) if self._replay else feeds
            self._context.run(completed)
        except BaseException:
            self._repair(feeds)
            raise
        if self._replay:
            self._replay.passed(completed)
        for feed in feeds:
            self._ledger.extend(feed.slot, feed.tokens)

    def logits(self, row: int) -> Logits:
        """Float32 view of an output row, shape (vocabulary_size,); the next pass overwrites it."""
        return self._context.logits(row)

    def sampler(self, slot: int, sampling: Sampling, prompt: Sequence[int]) -> Sampler:
        """A sampler for a new request; penalties see the prompt's tokens. RequestError for a bad grammar or schema."""
        return samplers.new_sampler(self._context, self.model, sampling, prompt, self._context_length)

    def reuse(self, slot: int, tokens: Sequence[int]) -> int:
        """Keep the longest prefix of `tokens` (at most all but the last) that KV holds and can go back to; drop the
        rest. Returns its length."""
        common = self._ledger.common(slot, tokens)
        if common == self._ledger.length(slot):
            return common
        if self._replay:
            # Decoding again from the checkpoint is what the caller's prefill does anyway.
            common = self._replay.reachable(slot, common)
        elif self._capabilities.rewind == "none":
            common = 0
        self.rewind(slot, common)
        return common

    def rewind(self, slot: int, length: int) -> None:
        """Make the slot's KV hold exactly its first `length` tokens. EngineError if it has fewer, or can't go back."""
        held = self._ledger.length(slot)
        if not 0 <= length <= held:
            raise EngineError(f"slot {slot} holds {held} tokens and can't be rewound to {length}")
        if length == held:
            return
        if length == 0:
            self._clear(slot)
        elif self._replay:
            self._replay.go_back(slot, length)
        elif self._capabilities.rewind == "full":
            if not self._context.remove(slot, length):
                raise EngineError(f"llama.cpp refused to rewind slot {slot} from {held} to {length} tokens")
        else:
            raise EngineError(
                f"slot {slot} can't be rewound from {held} to {length} tokens: this model can't go back",
                hint="run it without drafts",
            )
        self._ledger.cut(slot, length)

    def owed(self, slot: int) -> int:
        """Tokens that KV still lacks after a rewind, so that the slot's next pass computes them too."""
        return self._replay.owed(slot) if self._replay else 0

    def set_threads(self, threads: int, batch_threads: int | None = None) -> None:
        """Change thread counts between passes: one-token passes, and wider ones (None: the same)."""
        self._context.set_threads(threads, batch_threads or threads)

    def close(self) -> None:
        """Free the context, and the model if it was opened here. Safe to call again; close samplers first."""
        self._context.close()
        if self._owns_model:
            self.model.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self, feeds: Sequence[Feed]) -> None:
        """Everything that llama.cpp would answer with an abort of the process, or with a code that says too little."""
        width = rows = 0
        seen: set[int] = set()
        for feed in feeds:
            slot, count = feed.slot, len(feed.tokens)
            if not 0 <= slot < self.options.slots or slot in seen:
                raise EngineError(f"slot {slot} is fed twice or outside 0 to {self.options.slots - 1}")
            seen.add(slot)
            if not 0 <= feed.logits <= count or not count:
                raise EngineError(f"slot {slot} is fed {count} tokens and asked for {feed.logits} rows of logits")
            held = self._ledger.length(slot)
            if feed.position != held:
                raise EngineError(f"slot {slot} holds {held} tokens but is fed from position {feed.position}")
            if held + count > self._context_length:
                raise ContextOverflow(
                    f"slot {slot} holds {held} of {self._context_length} tokens and {count} more do not fit",
                    hint="use a longer context or a shorter prompt",
                )
            width += count
            rows += feed.logits
        if not width or width > self.batch_size:
            raise EngineError(f"a pass of {width} tokens is outside 1 to {self.batch_size}, the batch size")
        if rows > self._context.output_rows:
            raise EngineError(
                f"{rows} rows of logits were asked for, but a pass gives at most {self._context.output_rows}",
                hint="raise output_rows",
            )

    def _clear(self, slot: int) -> None:
        if self._replay:
            self._replay.forget(slot)
        else:
            self._context.clear(slot)

    def _repair(self, feeds: Sequence[Feed]) -> None:
        """After a failed pass, make KV hold what the ledger says, or less and noted as missing."""
        if self._context.closed:
            return
        if self._replay:
            self._replay.repair()
            return
        for slot in (feed.slot for feed in feeds):
            length = self._ledger.length(slot)
            if self._context.length(slot) != length and not (length and self._context.remove(slot, length)):
                self._context.clear(slot)
                self._ledger.cut(slot, 0)
