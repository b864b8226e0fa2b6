"""The whole stack on real models of over 200 MB: left out by default, run with -m real."""

from itertools import pairwise

import pytest
from tests.conftest import find_model

import slipstream
from slipstream.bench.arms import logit_gap
from slipstream.bench.compare import first_difference
from slipstream.bench.workload import built_in
from slipstream.session import Session

EDIT = next(prompt.text for prompt in built_in() if prompt.task == "edit")
NEAR_TIE = 0.5


def open_model(name: str, **options: object) -> Session:
    return slipstream.open(find_model(name), context_length=2048, memory=False, **options)


@pytest.mark.real
@pytest.mark.parametrize("name", ["Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf", "gemma-3-270m.Q4_K_M.gguf"])
def test_the_stack_says_what_plain_decoding_says_but_for_near_ties(name: str) -> None:
    raw = name.startswith("gemma")
    with open_model(name) as session:
        plain = session.generate(EDIT, raw=raw, draft="off", max_tokens=160)
        stack = session.generate(EDIT, raw=raw, max_tokens=160)
        assert stack.stats.draft_rounds > 0
        at = first_difference(plain.tokens, stack.tokens)
        if at is not None and at < min(len(plain.tokens), len(stack.tokens)):
            prefix = [*session.request(EDIT, raw=raw).prompt, *plain.tokens[:at]]
            assert logit_gap(session.target, prefix, plain.tokens[at], stack.tokens[at]) < NEAR_TIE


@pytest.mark.real
@pytest.mark.parametrize("kind", ["Q8_0", "BF16"])
def test_exact_mode_is_exact_past_the_attention_split(kind: str) -> None:
    prompt = "\n".join(prompt.text for prompt in built_in()[:3])
    with open_model(f"Qwen2.5-Coder-1.5B-Instruct.{kind}.gguf", exact=True) as session:
        plain = session.generate(prompt, draft="off", max_tokens=160)
        stack = session.generate(prompt, max_tokens=160)
        assert len(session.request(prompt).prompt) < 512 < len(session.request(prompt).prompt) + len(plain.tokens)
        assert stack.tokens == plain.tokens
        assert stack.stats.draft_rounds > 0


@pytest.mark.real
def test_a_sliding_window_model_goes_back_and_reuses_a_prefix_behind_its_window() -> None:
    text = "The quick brown fox jumps over the lazy dog. " * 120
    with open_model("gemma-3-270m.Q4_K_M.gguf") as session:
        assert session.target.capabilities.window == 512
        first = session.generate(text, raw=True, max_tokens=40)
        assert first.stats.prompt_tokens > 1024
        again = session.generate(text, raw=True, max_tokens=40, draft="off")
        assert again.stats.reused_tokens == again.stats.prompt_tokens - 1
        assert again.tokens == first.tokens


@pytest.mark.real
def test_chunks_add_up_to_the_answer() -> None:
    with open_model("Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf") as session:
        chunks = list(session.chunks(EDIT, max_tokens=60))
        assert "".join(chunk.text for chunk in chunks) == session.generate(EDIT, max_tokens=60).text
        assert all(earlier.finish is None for earlier, _ in pairwise(chunks))
