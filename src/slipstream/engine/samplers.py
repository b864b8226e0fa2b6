"""core's Sampler: plain argmax where that is all there is, else llama.cpp's own chain, with a grammar beside it.

The chain has the steps and the order of llama.cpp's `common_sampler`: logit bias, penalties, DRY, top-k, typical,
top-p, min-p, temperature, draw. A grammar is not a step: the drawn token is shown to it, and only if it refuses are all
tokens masked by it and the chain run again on what is left. Masking a vocabulary costs milliseconds; most tokens pass.
"""

import ctypes
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from llama_cpp import llama_cpp as library

from slipstream.core.errors import EngineError, RequestError
from slipstream.core.ports import Sampler
from slipstream.core.request import Sampling
from slipstream.engine import grammar
from slipstream.engine.context import LlamaContext
from slipstream.engine.model import LlamaModel

CANDIDATE = np.dtype([("token", np.int32), ("logit", np.float32), ("probability", np.float32)])
COLDEST = 1e-4
"""Lowest temperature handed to llama.cpp: below, divided logits overflow; the likeliest token has it all anyway."""


def new_sampler(
    context: LlamaContext, model: LlamaModel, sampling: Sampling, prompt: Sequence[int], context_length: int
) -> Sampler:
    """The sampler of a new request. RequestError for a bad grammar, schema or bias."""
    if sampling.is_plain_greedy:
        return GreedySampler(context)
    text = grammar.from_json_schema(sampling.json_schema) if sampling.json_schema else sampling.grammar
    rules = grammar.new_grammar(model.vocabulary, text) if text else None
    try:
        chain = _new_chain(model.vocabulary, context.vocabulary_size, sampling, context_length)
    except BaseException:
        if rules:
            library.llama_sampler_free(rules)
        raise
    for token in prompt[len(prompt) - _memory(sampling, context_length, len(prompt)) :]:
        library.llama_sampler_accept(chain, token)
    if rules is None:
        return ChainSampler(context, chain)
    end = int(library.llama_vocab_eos(model.vocabulary))
    return GrammarSampler(context, chain, rules, end if end >= 0 else int(library.llama_vocab_eot(model.vocabulary)))


class GreedySampler:
    """The likeliest token; of equals the one with the lowest number, like llama.cpp's own."""

    def __init__(self, context: LlamaContext) -> None:
        self._context = context

    def sample(self, row: int) -> int:
        return int(self._context.logits(row).argmax())

    def close(self) -> None:
        pass


class ChainSampler:
    """llama.cpp's chain without a grammar."""

    def __init__(self, context: LlamaContext, chain: Any) -> None:
        self._context = context
        self._chain = chain

    def sample(self, row: int) -> int:
        context = self._context
        if self._chain is None or not 0 <= row < context.rows:
            raise EngineError(f"no output row {row} to sample from, or the sampler is closed")
        # Negative numbers count output rows from the last one; positive ones would be places in the batch.
        return int(library.llama_sampler_sample(self._chain, context.pointer, row - context.rows))

    def close(self) -> None:
        """Free the chain. Safe to call again."""
        if self._chain is not None:
            library.llama_sampler_free(self._chain)
            self._chain = None


class GrammarSampler:
    """llama.cpp's chain, and a grammar that every token has to pass.

    A grammar that no token can continue ends the text: the end token is returned from then on.
    """

    def __init__(self, context: LlamaContext, chain: Any, rules: Any, end_token: int) -> None:
        self._context = context
        self._chain = chain
        self._rules = rules
        self._end_token = end_token
        self._dead = False
        self._candidates = np.zeros(context.vocabulary_size, CANDIDATE)
        self._numbers = np.arange(context.vocabulary_size, dtype=np.int32)

    def sample(self, row: int) -> int:
        if self._chain is None:
            raise EngineError("the sampler is closed")
        if self._dead:
            return self._end_token
        self._fill(row)
        token = self._draw(self._candidates)
        if not self._allows(token):
            allowed = self._allowed(row)
            if not len(allowed):
                self._dead = True
                return self._end_token
            token = self._draw(allowed)
        # The grammar aborts the process on a token it does not allow; here every token has been shown to it.
        library.llama_sampler_accept(self._rules, token)
        library.llama_sampler_accept(self._chain, token)
        return token

    def close(self) -> None:
        """Free chain and grammar. Safe to call again."""
        if self._chain is not None:
            library.llama_sampler_free(self._chain)
            library.llama_sampler_free(self._rules)
            self._chain = self._rules = None

    def _fill(self, row: int) -> None:
        # Steps sort and cut the array, so numbers are written again too.
        self._candidates["token"] = self._numbers
        self._candidates["logit"] = self._context.logits(row)

    def _draw(self, candidates: Any) -> int:
        view = _view(candidates)
        library.llama_sampler_apply(self._chain, ctypes.byref(view))
        if not 0 <= view.selected < view.size:
            raise EngineError("llama.cpp's sampler chain selected nothing")
        return int(view.data[view.selected].id)

    def _allows(self, token: int) -> bool:
        one = np.zeros(1, CANDIDATE)
        one["token"] = token
        library.llama_sampler_apply(self._rules, ctypes.byref(_view(one)))
        return bool(one["logit"][0] == 0)

    def _allowed(self, row: int) -> Any:
        """Candidates that the grammar allows, in order of their numbers."""
        self._fill(row)
        library.llama_sampler_apply(self._rules, ctypes.byref(_view(self._candidates)))
        return self._candidates[self._candidates["logit"] > -math.inf]


def _view(candidates: Any) -> Any:
    data = ctypes.cast(candidates.ctypes.data, library.llama_token_data_p)
    return library.llama_token_data_array(data=data, size=len(candidates), selected=-1, sorted=False)


def _new_chain(vocabulary: Any, size: int, sampling: Sampling, context_length: int) -> Any:
    chain = library.llama_sampler_chain_init(library.llama_sampler_chain_default_params())
    for step in _steps(vocabulary, size, sampling, context_length):
        library.llama_sampler_chain_add(chain, step)
    return chain


def _steps(vocabulary: Any, size: int, sampling: Sampling, context_length: int) -> list[Any]:
    biases = _biases(sampling, size)
    steps: list[Any] = []
    if biases:
        array = (library.llama_logit_bias * len(biases))(*(library.llama_logit_bias(*bias) for bias in biases))
        steps.append(library.llama_sampler_init_logit_bias(size, len(biases), array))
    if _penalizes(sampling):
        steps.append(
            library.llama_sampler_init_penalties(
                size,
                _span(sampling.repeat_last_n, context_length),
                sampling.repeat_penalty,
                sampling.frequency_penalty,
                sampling.presence_penalty,
            )
        )
    if sampling.dry_multiplier:
        breakers = [text.encode("utf-8", "replace") for text in sampling.dry_sequence_breakers if text]
        steps.append(
            library.llama_sampler_init_dry(
                vocabulary,
                sampling.dry_multiplier,
                sampling.dry_base,
                min(max(sampling.dry_allowed_length, 0), context_length),
                _span(sampling.dry_penalty_last_n, context_length),
                (ctypes.c_char_p * len(breakers))(*breakers),
                len(breakers),
            )
        )
    if sampling.temperature == 0:
        return [*steps, library.llama_sampler_init_greedy()]
    if sampling.top_k:
        steps.append(library.llama_sampler_init_top_k(sampling.top_k))
    if sampling.typical_p < 1:
        steps.append(library.llama_sampler_init_typical(sampling.typical_p, 1))
    if sampling.top_p < 1:
        steps.append(library.llama_sampler_init_top_p(sampling.top_p, 1))
    if sampling.min_p > 0:
        steps.append(library.llama_sampler_init_min_p(sampling.min_p, 1))
    steps.append(library.llama_sampler_init_temp(max(sampling.temperature, COLDEST)))
    # llama.cpp reads its largest seed as "take a random one".
    steps.append(library.llama_sampler_init_dist(sampling.seed % library.LLAMA_DEFAULT_SEED))
    return steps


def _biases(sampling: Sampling, size: int) -> list[tuple[int, float]]:
    for token, bias in sampling.logit_bias:
        if not 0 <= token < size:
            raise RequestError(f"logit_bias names token {token}", hint=f"the vocabulary has tokens 0 to {size - 1}")
        if math.isnan(bias) or bias == math.inf:
            raise RequestError(f"the logit_bias of token {token} is {bias}", hint="give a finite number, e.g. 100")
    return list(sampling.logit_bias)


def _penalizes(sampling: Sampling) -> bool:
    return sampling.repeat_last_n != 0 and (
        sampling.repeat_penalty != 1 or sampling.presence_penalty != 0 or sampling.frequency_penalty != 0
    )


def _span(last: int, context_length: int) -> int:
    """Tokens to look back: -1 is the whole context, and nothing can be longer."""
    return context_length if last < 0 else min(last, context_length)


def _memory(sampling: Sampling, context_length: int, available: int) -> int:
    """How many of the prompt's last tokens any step will look at."""
    penalties = _span(sampling.repeat_last_n, context_length) if _penalizes(sampling) else 0
    dry = _span(sampling.dry_penalty_last_n, context_length) if sampling.dry_multiplier else 0
    return min(max(penalties, dry), available)
