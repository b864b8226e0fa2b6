"""One llama.cpp context with its batch: passes, logits and KV of its sequences, without any policy."""

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llama_cpp import llama_cpp as library
from numpy.typing import NDArray

from slipstream.core.errors import ContextOverflow, EngineError
from slipstream.core.ports import Feed
from slipstream.engine import log
from slipstream.engine.model import LlamaModel
from slipstream.engine.options import ModelOptions

Logits = NDArray[np.float32]
PARTIAL_STATE = 1
NO_ROOM = 1


class LlamaContext:
    """The batch's arrays are allocated once and filled through numpy: a round costs llama_decode and little else."""

    def __init__(self, model: LlamaModel, options: ModelOptions) -> None:
        self._pointer = model.new_context(options)
        self._memory = library.llama_get_memory(self._pointer)
        self.vocabulary_size = int(library.llama_vocab_n_tokens(model.vocabulary))
        self.batch_size = int(library.llama_n_batch(self._pointer))
        self.output_rows = min(max(options.output_rows, options.slots), self.batch_size)
        self.rollback = int(library.llama_n_rs_seq(self._pointer))
        self.one_cache = options.slots == 1 or model.shares_cache(options)
        self.rows = 0
        self.listener: Callable[[Sequence[Feed]], None] | None = None
        """Told of every pass right after it, with what was really fed (`Replay` adds tokens)."""
        size = self.batch_size
        self._token = np.zeros(size, np.int32)
        self._position = np.zeros(size, np.int32)
        self._wanted = np.zeros(size, np.int8)
        self._one = np.ones(size, np.int32)
        self._count_up = np.arange(size, dtype=np.int32)
        # llama.cpp wants, per token, a pointer to its list of sequences: here always one, shared by a slot's tokens.
        self._slots = np.arange(options.slots, dtype=np.int32)
        self._slot_address = [self._slots.ctypes.data + slot * self._slots.itemsize for slot in range(options.slots)]
        self._sequence = np.full(size, self._slot_address[0], np.uint64)
        batch = library.llama_batch()
        batch.token = _pointer(self._token, ctypes.c_int32)
        batch.pos = _pointer(self._position, ctypes.c_int32)
        batch.n_seq_id = _pointer(self._one, ctypes.c_int32)
        batch.seq_id = _pointer(self._sequence, ctypes.POINTER(ctypes.c_int32))
        batch.logits = _pointer(self._wanted, ctypes.c_int8)
        self._batch = batch
        self._logits_address = 0
        self._logits: Logits = np.zeros((0, self.vocabulary_size), np.float32)

    @property
    def pointer(self) -> Any:
        """llama.cpp's context pointer."""
        if self._pointer is None:
            raise EngineError("the model is closed")
        return self._pointer

    @property
    def closed(self) -> bool:
        return self._pointer is None

    def run(self, feeds: Sequence[Feed]) -> None:
        """One llama_decode. Limits on tokens and rows are the caller's: llama.cpp aborts the process past them.

        ContextOverflow if KV has no room, EngineError for anything else; KV may then hold part of the tokens.
        """
        pointer = self.pointer
        start = rows = 0
        for feed in feeds:
            count = len(feed.tokens)
            end = start + count
            self._token[start:end] = feed.tokens
            np.add(self._count_up[:count], feed.position, out=self._position[start:end])
            self._sequence[start:end] = self._slot_address[feed.slot]
            self._wanted[start:end] = 0
            if feed.logits:
                self._wanted[end - feed.logits : end] = 1
            rows += feed.logits
            start = end
        self._batch.n_tokens = start
        self.rows = 0
        log.forget()
        code = library.llama_decode(pointer, self._batch)
        if code:
            if code == NO_ROOM:
                raise ContextOverflow(f"no room in KV for a pass of {start} tokens", hint="use a longer context")
            raise EngineError(f"a pass of {start} tokens failed with code {code}: {log.reason()}")
        self.rows = rows
        if rows:
            # Also waits for the pass. The buffer moves when a pass wants more rows than any before it.
            address = ctypes.cast(library.llama_get_logits(pointer), ctypes.c_void_p).value or 0
            if address != self._logits_address:
                self._logits_address = address
                shape = (self.output_rows, self.vocabulary_size)
                memory = (ctypes.c_float * (shape[0] * shape[1])).from_address(address)
                self._logits = np.ctypeslib.as_array(memory).reshape(shape)
        if self.listener:
            self.listener(feeds)

    def logits(self, row: int) -> Logits:
        """View of one output row of the latest pass, shape (vocabulary_size,)."""
        if not 0 <= row < self.rows:
            raise EngineError(f"there is no output row {row}: the latest pass has {self.rows}")
        view: Logits = self._logits[row]
        return view

    def length(self, slot: int) -> int:
        """Tokens that llama.cpp's memory holds for the slot."""
        return int(library.llama_memory_seq_pos_max(self._memory, slot)) + 1

    def first(self, slot: int) -> int:
        """The first position that memory still holds for the slot in every layer; -1 if it holds nothing."""
        return int(library.llama_memory_seq_pos_min(self._memory, slot))

    def remove(self, slot: int, start: int) -> bool:
        """Drop the slot's tokens from position `start` on. False, and no change, if this memory can't drop a part."""
        return bool(library.llama_memory_seq_rm(self._memory, slot, start, -1))

    def clear(self, slot: int) -> None:
        """Drop everything the slot holds; always possible."""
        library.llama_memory_seq_rm(self._memory, slot, -1, -1)

    def state_size(self, slot: int) -> int:
        """Bytes of one copy of the part of the slot's state that can't be cut; next to nothing for plain attention."""
        return int(library.llama_state_seq_get_size_ext(self.pointer, slot, PARTIAL_STATE))

    def save(self, slot: int) -> Any:
        """The part of the slot's state that can't be cut (recurrent state), as bytes for `restore`; None if refused."""
        size = self.state_size(slot)
        state = (ctypes.c_uint8 * size)()
        written = library.llama_state_seq_get_data_ext(self.pointer, state, size, slot, PARTIAL_STATE)
        return state if written == size else None

    def restore(self, slot: int, state: Any, length: int) -> bool:
        """Bring back the state saved when the slot held `length` tokens, and drop what attention holds past them."""
        read = library.llama_state_seq_set_data_ext(self.pointer, state, len(state), slot, PARTIAL_STATE)
        return bool(read) and self.remove(slot, length) and self.length(slot) == length

    def set_threads(self, threads: int, batch_threads: int) -> None:
        """Threads for passes of one token, and for wider ones."""
        library.llama_set_n_threads(self.pointer, threads, batch_threads)

    def close(self) -> None:
        """Free the context. Safe to call again; earlier views of logits must not be used any more."""
        if self._pointer is not None:
            self.rows = 0
            self._logits = np.zeros((0, self.vocabulary_size), np.float32)
            library.llama_free(self._pointer)
            self._pointer = None
            self._memory = None


def _pointer(array: NDArray[Any], kind: Any) -> Any:
    return ctypes.cast(array.ctypes.data, ctypes.POINTER(kind))
