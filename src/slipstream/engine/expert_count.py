"""How many experts a loaded model really uses for a token, read off the graph that it runs.

Metadata can't tell: llama.cpp's is that of the file, whatever was to replace it, and a replacement that doesn't fit (a
wrong key or type, a file with a count per block) is passed over in silence.
"""

import ctypes
import re
from dataclasses import dataclass, replace
from typing import Any, Self

from llama_cpp import llama_cpp as library

from slipstream.core.errors import EngineError
from slipstream.core.ports import Feed
from slipstream.engine.context import LlamaContext
from slipstream.engine.model import LlamaModel
from slipstream.engine.options import ModelOptions
from slipstream.engine.target import LlamaTarget
from slipstream.engine.watch import NAME_AT, Tensor

EXPERT_OUTPUT = re.compile(r"ffn_moe_down-(\d+)")
"""llama.cpp's name for the outputs of a block's experts, shape (embedding, experts used, tokens)."""
CONTEXT = 32
TOKEN = 1


def experts_used(model: LlamaModel, options: ModelOptions) -> int:
    """The number, from one pass over one token in a context of its own; 0 for a dense model. `options` are those that
    the model was loaded with. EngineError if blocks differ."""
    counts: dict[int, int] = {}

    def seen(pointer: int, ask: bool, _user_data: Any) -> bool:
        name = ctypes.string_at(pointer + NAME_AT).decode("utf-8", "replace")
        if match := EXPERT_OUTPUT.fullmatch(name):
            counts[int(match[1])] = int(Tensor.from_address(pointer).ne[1])
        return not ask

    callback = library.ggml_backend_sched_eval_callback(seen)
    small = replace(options, context_length=CONTEXT, slots=1, batch_size=1, micro_batch=1, output_rows=1, rollback=0)
    before, model.watch = model.watch, callback
    try:
        context = LlamaContext(model, small)
    finally:
        model.watch = before
    try:
        context.run([Feed(0, 0, [TOKEN], 1)])
    finally:
        context.close()
    if len(set(counts.values())) > 1:
        raise EngineError(
            f"blocks of {model.path.name} use different numbers of experts: {sorted(set(counts.values()))}",
            hint="its count can't be changed by one number",
        )
    return max(counts.values(), default=0)


@dataclass(frozen=True, slots=True)
class CountedTarget:
    """A target of its own load, and how many experts its graph uses."""

    target: LlamaTarget
    experts: int

    @classmethod
    def open(cls, options: ModelOptions, *, verbose: bool = False) -> Self:
        """Load and count. Raises what loading raises, and EngineError as `experts_used` does."""
        target = LlamaTarget.open(options, verbose=verbose)
        try:
            return cls(target, experts_used(target.model, options))
        except BaseException:
            target.close()
            raise

    def close(self) -> None:
        """Free it."""
        self.target.close()
