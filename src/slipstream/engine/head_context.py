"""llama.cpp's context of a model's own next-token head: tokens and hidden states in, logits and hidden states out."""

import ctypes
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from llama_cpp import llama_cpp as library
from numpy.typing import NDArray

from slipstream.core.errors import EngineError
from slipstream.engine import log
from slipstream.engine.context import LlamaContext
from slipstream.engine.model import LlamaModel
from slipstream.engine.options import ModelOptions

Rows = NDArray[np.float32]

SET_HIDDEN = "_Z26llama_set_embeddings_nextnP13llama_contextbb"
GET_HIDDEN = "_Z26llama_get_embeddings_nextnP13llama_context"
ARCHITECTURES = frozenset(
    {
        "bailingmoe3", "cohere2moe", "deepseek2", "deepseek32", "glm-dsa", "glm4moe", "hy_v3", "mimo2",
        "nemotron_h_moe", "qwen35", "qwen35moe", "qwen3next",
    }
)  # fmt: skip
"""Those for which the pinned llama.cpp has a graph of one head that takes the target's hidden state."""


def why_not(model: LlamaModel) -> str:
    """Why the model's own head can't draft here, in one line; empty if it can."""
    heads = int(library.llama_model_n_layer_nextn(model.handle))
    architecture = model.metadata("general.architecture") or ""
    if not heads:
        return f"{model.path.name} has no next-token head"
    if architecture not in ARCHITECTURES:
        return f"llama.cpp can't run the next-token head of architecture {architecture}"
    if heads > 1:
        return (
            f"{model.path.name} has {heads} next-token heads, one after the other, and only a single one is supported"
        )
    if not model.head_loaded:
        return f"the next-token head of {model.path.name} was not loaded"
    if not _functions():
        return "this build of llama.cpp doesn't export the functions that read hidden states for a next-token head"
    return ""


@cache
def _functions() -> tuple[Any, Any] | None:
    """llama.cpp's setter and getter of hidden states: exported, but not part of llama.h yet, so under C++ names."""
    try:
        setter, getter = getattr(library._lib, SET_HIDDEN), getattr(library._lib, GET_HIDDEN)
    except AttributeError:
        return None
    setter.argtypes, setter.restype = [ctypes.c_void_p, ctypes.c_bool, ctypes.c_bool], None
    getter.argtypes, getter.restype = [ctypes.c_void_p], ctypes.c_void_p
    return setter, getter


class HiddenStates:
    """The hidden state behind every token of a context's latest pass, as its next-token head takes them."""

    def __init__(self, pointer: Any, width: int, *, wanted_only: bool) -> None:
        functions = _functions()
        if functions is None:
            raise EngineError("this build of llama.cpp gives no hidden states")
        setter, self._getter = functions
        self._address = ctypes.cast(pointer, ctypes.c_void_p)
        self._width = width
        setter(self._address, True, wanted_only)

    def rows(self, count: int) -> Rows:
        """A view of the first `count` rows, shape (count, width); the next pass overwrites it."""
        address = self._getter(self._address)
        if not address:
            raise EngineError("llama.cpp gave no hidden states")
        memory = (ctypes.c_float * (count * self._width)).from_address(address)
        return np.ctypeslib.as_array(memory).reshape(count, self._width)


class HeadContext:
    """KV of the head for the same slots as the target's. EngineError if llama.cpp refuses."""

    def __init__(self, target: LlamaContext, model: LlamaModel, options: ModelOptions) -> None:
        size = min(options.batch_size, options.micro_batch)
        options = replace(options, context_length=model.slot_context(options.context_length), batch_size=size)
        self._pointer = model.new_context(options, head_of=target.pointer)
        self._memory = library.llama_get_memory(self._pointer)
        self.width = int(library.llama_model_n_embd_out(model.handle))
        self.batch_size = int(library.llama_n_batch(self._pointer))
        self.vocabulary_size = target.vocabulary_size
        self._hidden = HiddenStates(self._pointer, self.width, wanted_only=True)
        # With rows of its own, the batch carries a token and a hidden state each.
        self._batch = library.llama_batch_init(self.batch_size, self.width, 1)
        self._token = (ctypes.c_int32 * self.batch_size)()
        self._batch.token = ctypes.cast(self._token, ctypes.POINTER(ctypes.c_int32))

    def read(self, slot: int, position: int, tokens: Sequence[int], hidden: Rows) -> None:
        """One pass over `tokens` from `position` on, each with the hidden state in front of it, without results."""
        self._run(slot, position, tokens, hidden, wanted=False)

    def predict(self, slot: int, position: int, token: int, hidden: Rows) -> None:
        """A pass over one token: its logits and hidden state are there then. (In a pass of more, llama.cpp would give
        the hidden state of the first, whatever was wanted.)"""
        self._run(slot, position, [token], hidden, wanted=True)

    def _run(self, slot: int, position: int, tokens: Sequence[int], hidden: Rows, *, wanted: bool) -> None:
        count = len(tokens)
        batch = self._batch
        batch.n_tokens = count
        for index, token in enumerate(tokens):
            batch.token[index] = token
            batch.pos[index] = position + index
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = slot
            batch.logits[index] = wanted
        rows = np.ascontiguousarray(hidden, np.float32)
        ctypes.memmove(batch.embd, rows.ctypes.data, rows.nbytes)
        log.forget()
        code = library.llama_decode(self._pointer, batch)
        if code:
            raise EngineError(f"a pass of the next-token head failed with code {code}: {log.reason()}")

    def logits(self) -> Rows:
        """A view of the latest pass's logits, shape (vocabulary_size,)."""
        address = ctypes.cast(library.llama_get_logits(self._pointer), ctypes.c_void_p).value or 0
        return np.ctypeslib.as_array((ctypes.c_float * self.vocabulary_size).from_address(address))

    def hidden(self) -> Rows:
        """A copy of the hidden state behind the token of `predict`, shape (1, width)."""
        return self._hidden.rows(1).copy()

    def cut(self, slot: int, length: int) -> None:
        """Drop the slot's positions from `length` on."""
        library.llama_memory_seq_rm(self._memory, slot, length, -1)

    def close(self) -> None:
        """Free the context. Safe to call again."""
        if self._pointer is not None:
            self._batch.token = None
            library.llama_batch_free(self._batch)
            library.llama_free(self._pointer)
            self._pointer = None
