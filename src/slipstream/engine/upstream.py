"""The binding's own high-level generation, to be measured against: what a user of llama-cpp-python gets without us."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Take = Callable[[Sequence[int]], None]


def open_upstream(
    model: Path,
    *,
    draft_model: Path | None,
    threads: int,
    context_length: int,
    ends: frozenset[int],
    match: int = 0,
    length: int = 0,
) -> Callable[[Sequence[int], int, Take], Mapping[str, Any]]:
    """Opens `llama_cpp.Llama`, with its prompt lookup of `length` tokens behind a match of up to `match` if there is a
    length. It has no use for a draft model.

    The function answers a prompt's tokens greedily from an empty cache, with at most so many tokens or up to one of
    `ends`, and calls the third argument with each; what it says of itself is nothing.
    """
    from llama_cpp import Llama
    from llama_cpp.llama_speculative import LlamaPromptLookupDecoding

    lookup = LlamaPromptLookupDecoding(max_ngram_size=match, num_pred_tokens=length) if length else None
    llama = Llama(
        model_path=str(model),
        n_ctx=context_length,
        n_threads=threads,
        n_threads_batch=threads,
        draft_model=lookup,
        verbose=False,
    )

    def generate(tokens: Sequence[int], limit: int, take: Take) -> Mapping[str, Any]:
        llama.reset()  # type: ignore[no-untyped-call]
        for count, token in enumerate(llama.generate(list(tokens), temp=0.0), 1):
            take([int(token)])
            if count >= limit or token in ends:
                break
        return {}

    return generate
