import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_cpp import llama_cpp as library

from slipstream.core.errors import EngineError, RequestError
from slipstream.core.ports import Feed
from slipstream.core.request import Sampling
from slipstream.engine.samplers import ChainSampler, GreedySampler, new_sampler
from slipstream.engine.target import LlamaTarget
from slipstream.engine.tokenizer import LlamaTokenizer

TEXT = "The weather in Paris in spring is"


def generate(target: LlamaTarget, prompt: list[int], sampling: Sampling, count: int, ends: frozenset[int]) -> list[int]:
    """Plain decoding in slot 0; the end token is the last one if it came."""
    start = target.reuse(0, prompt)
    target.decode([Feed(0, start, prompt[start:], 1)])
    sampler = target.sampler(0, sampling, prompt)
    try:
        out = [sampler.sample(0)]
        while len(out) < count and out[-1] not in ends:
            target.decode([Feed(0, len(prompt) + len(out) - 1, [out[-1]], 1)])
            out.append(sampler.sample(0))
        return out
    finally:
        sampler.close()


@pytest.fixture
def write(smollm2: LlamaTarget, smollm2_tokenizer: LlamaTokenizer) -> Any:
    def run(count: int = 16, text: str = TEXT, **sampling: Any) -> str:
        prompt = smollm2_tokenizer.encode(text)
        tokens = generate(smollm2, prompt, Sampling(**sampling), count, smollm2_tokenizer.end_tokens)
        return smollm2_tokenizer.decode(tokens)

    return run


def test_numpy_greedy_equals_llama_cpp_greedy(dense: LlamaTarget) -> None:
    dense.decode([Feed(0, 0, list(range(10, 40)), 30)])
    chain = library.llama_sampler_chain_init(library.llama_sampler_chain_default_params())
    library.llama_sampler_chain_add(chain, library.llama_sampler_init_greedy())
    slow, fast = ChainSampler(dense.context, chain), GreedySampler(dense.context)
    # Among equals both take the lowest number: three rows are given such ties.
    for row in (3, 4, 5):
        dense.logits(row)[[200, 50, 120]] = 1000
    pairs = [(slow.sample(row), fast.sample(row)) for row in range(30)]
    slow.close()
    assert all(a == b for a, b in pairs)
    assert pairs[4] == (50, 50)
    assert len({a for a, _ in pairs}) > 5


def test_rows_are_output_rows_not_places_in_the_batch(dense: LlamaTarget) -> None:
    dense.decode([Feed(0, 0, list(range(10, 40)), 3), Feed(1, 0, [7, 8, 9], 2)])
    sampler = dense.sampler(0, Sampling(logit_bias=((5, 0.001),)), [])
    expected = [int(dense.logits(row).argmax()) for row in range(5)]
    assert [sampler.sample(row) for row in range(5)] == expected
    for row in (-1, 5):
        with pytest.raises(EngineError, match="no output row"):
            sampler.sample(row)
    sampler.close()


def test_a_seed_reproduces_and_another_differs(write: Any) -> None:
    first = write(temperature=1.0, seed=5)
    assert write(temperature=1.0, seed=5) == first
    assert write(temperature=1.0, seed=6) != first
    assert write(temperature=1.0, seed=2**32 - 1) == write(temperature=1.0, seed=2**32 - 1)


def test_truncation_to_one_token_is_greedy(write: Any) -> None:
    greedy = write()
    for sampling in ({"top_k": 1}, {"top_p": 0.0}, {"min_p": 1.0}):
        assert write(temperature=1.5, seed=3, **sampling) == greedy
    assert write(temperature=1e-30, seed=3) == greedy


def test_temperature_follows_the_softmax(dense: LlamaTarget) -> None:
    dense.decode([Feed(0, 0, [10, 11, 12], 1)])
    logits = dense.logits(0).astype(np.float64) / 2.0
    expected = np.exp(logits - logits.max())
    expected /= expected.sum()
    sampler = dense.sampler(0, Sampling(temperature=2.0, seed=1), [])
    draws = 4000
    counts = np.bincount([sampler.sample(0) for _ in range(draws)], minlength=len(expected))
    sampler.close()
    top = int(expected.argmax())
    spread = (expected[top] * (1 - expected[top]) / draws) ** 0.5
    assert abs(counts[top] / draws - expected[top]) < 5 * spread
    assert np.abs(counts / draws - expected).sum() / 2 < 0.1


def test_penalties_see_the_prompt(dense: LlamaTarget) -> None:
    prompt = [10, 11, 12]
    dense.decode([Feed(0, 0, prompt, 1)])
    likeliest = int(dense.logits(0).argmax())
    strong = Sampling(presence_penalty=50.0)

    def draw(sampling: Sampling, seen: list[int]) -> int:
        sampler = dense.sampler(0, sampling, seen)
        token = sampler.sample(0)
        sampler.close()
        return token

    assert draw(strong, prompt) == likeliest
    assert draw(strong, [likeliest, *prompt]) != likeliest
    assert draw(Sampling(presence_penalty=50.0, repeat_last_n=3), [likeliest, *prompt]) == likeliest
    assert draw(Sampling(presence_penalty=50.0, repeat_last_n=-1), [likeliest, *prompt]) != likeliest
    assert draw(Sampling(presence_penalty=50.0, repeat_last_n=0), [likeliest, *prompt]) == likeliest


def test_dry_sees_the_prompt(dense: LlamaTarget) -> None:
    dense.decode([Feed(0, 0, [10, 11, 12], 1)])
    likeliest = int(dense.logits(0).argmax())
    repeated = [70, 71, 72, 73, likeliest, 80, 70, 71, 72, 73]
    dry = Sampling(dry_multiplier=20.0, dry_sequence_breakers=())
    for prompt, same in ((repeated, False), ([70, 71, 72, 73, 81, 80, 70, 71, 72, 73], True)):
        sampler = dense.sampler(0, dry, prompt)
        assert (sampler.sample(0) == likeliest) is same
        sampler.close()


def test_logit_bias(dense: LlamaTarget) -> None:
    dense.decode([Feed(0, 0, [10, 11, 12], 1)])
    for bias, expected in ((((77, 100.0),), True), (((77, -100.0),), False)):
        sampler = dense.sampler(0, Sampling(logit_bias=bias), [])
        assert (sampler.sample(0) == 77) is expected
        sampler.close()
    for bad in (((10**6, 1.0),), ((-1, 1.0),), ((3, float("nan")),), ((3, float("inf")),)):
        with pytest.raises(RequestError, match="logit_bias"):
            dense.sampler(0, Sampling(logit_bias=bad), [])


def test_grammar_binds_the_output(write: Any) -> None:
    assert write(grammar='root ::= "yes" | "no"') in ("yes", "no")
    assert write(grammar='root ::= "yes" | "no"', temperature=1.0, seed=4, top_k=3) in ("yes", "no")
    number = write(grammar="root ::= [0-9]{4} [a-z]", temperature=1.2, seed=1)
    assert number[:4].isdigit() and number[4].isalpha() and len(number) == 5


def test_a_grammar_that_allows_all_changes_nothing(write: Any) -> None:
    for sampling in ({}, {"temperature": 0.9, "seed": 8, "top_k": 20}):
        assert write(grammar=r"root ::= [^\x00]*", **sampling) == write(**sampling)


def test_grammar_with_characters_of_several_tokens(write: Any) -> None:
    assert write(grammar='root ::= "🦜é" [一-龥]')[:2] == "🦜é"


def test_a_grammar_that_nothing_continues_ends_the_text(
    smollm2: LlamaTarget, smollm2_tokenizer: LlamaTokenizer
) -> None:
    prompt = smollm2_tokenizer.encode(TEXT)
    start = smollm2.reuse(0, prompt)
    smollm2.decode([Feed(0, start, prompt[start:], 1)])
    sampler = smollm2.sampler(0, Sampling(grammar=r"root ::= [^\x00-\U0010FFFF]"), prompt)
    assert [sampler.sample(0) in smollm2_tokenizer.end_tokens for _ in range(3)] == [True] * 3
    sampler.close()


def test_a_finished_grammar_allows_only_the_end(smollm2: LlamaTarget, smollm2_tokenizer: LlamaTokenizer) -> None:
    prompt = smollm2_tokenizer.encode(TEXT)
    tokens = generate(smollm2, prompt, Sampling(grammar='root ::= "ok"'), 6, frozenset())
    ends = [token for token in tokens if token in smollm2_tokenizer.end_tokens]
    assert smollm2_tokenizer.decode(tokens) == "ok" and len(ends) >= 4


def test_json_schema(write: Any) -> None:
    schema = {
        "type": "object",
        "properties": {
            'na"me\\é': {"enum": ['say "hi"', "back\\slash", "naïve\nline"]},
            "n": {"type": "integer"},
            "tags": {"type": "array", "items": {"type": "string", "maxLength": 6}, "minItems": 1, "maxItems": 2},
        },
        "required": ['na"me\\é', "n", "tags"],
        "additionalProperties": False,
    }
    for sampling in ({}, {"temperature": 1.0, "seed": 2}):
        value = json.loads(write(count=150, json_schema=json.dumps(schema), **sampling))
        assert list(value) == ['na"me\\é', "n", "tags"]
        assert value['na"me\\é'] in schema["properties"]['na"me\\é']["enum"]  # type: ignore[index]
        assert isinstance(value["n"], int)
        assert 1 <= len(value["tags"]) <= 2


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('root ::= "a', "unexpected end of input"),
        ("root ::= other", "Undefined rule identifier 'other'"),
        ('start ::= "a"', "does not contain a 'root' symbol"),
        ('root ::= root "a"', "left recursion"),
        ("just text", "expecting ::="),
        ("# only a comment", "no rules|failed to parse"),
        ('root ::= "a"{99999}', "repetitions"),
        ("root ::= " + "(" * 5000 + '"a"' + ")" * 5000, "nests more than"),
        ('root ::= "a\0b"', "zero character"),
        ("root ::= " + "x" * 300_000, "bytes"),
    ],
)
def test_bad_grammars(dense: LlamaTarget, capfd: pytest.CaptureFixture[str], text: str, why: str) -> None:
    with pytest.raises(RequestError, match=why) as caught:
        dense.sampler(0, Sampling(grammar=text), [])
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not valid JSON"),
        ("[]", "not an object"),
        ('{"type": "unheard"}', "can't be used"),
        ('{"$ref": "https://example.com/schema.json"}', "refers to"),
        ('{"$ref": "#/$defs/none"}', "can't be used"),
        ('{"type": "string", "maxLength": 1000000000}', "sets maxLength"),
        ('{"not":' * 3000 + "{}" + "}" * 3000, "nested too deeply"),
        ('{"type": "string", "pattern": "no anchors"}', "can't be used"),
    ],
)
def test_bad_schemas(dense: LlamaTarget, text: str, why: str) -> None:
    with pytest.raises(RequestError, match=why) as caught:
        dense.sampler(0, Sampling(json_schema=text), [])
    assert "\n" not in str(caught.value)


def test_close_twice(dense: LlamaTarget) -> None:
    dense.decode([Feed(0, 0, [10], 1)])
    for sampling in (Sampling(), Sampling(temperature=1), Sampling(grammar='root ::= "a"')):
        sampler = new_sampler(dense.context, dense.model, sampling, [], 64)
        sampler.sample(0)
        sampler.close()
        sampler.close()


def test_drawing_only_along_the_emitted_tokens_equals_plain(smollm2: LlamaTarget, smollm2_path: Path) -> None:
    """Sample-and-match over one wide pass gives the tokens of plain decoding, with a stateful chain."""
    prompt = [504, 3575, 282, 4649, 314]
    sampling = Sampling(temperature=0.8, seed=11, top_k=20, repeat_penalty=1.2)
    plain = generate(smollm2, prompt, sampling, 8, frozenset())
    smollm2.rewind(0, 0)
    smollm2.decode([Feed(0, 0, prompt, 1)])
    sampler = smollm2.sampler(0, sampling, prompt)
    first = sampler.sample(0)
    smollm2.decode([Feed(0, 5, [first, *plain[1:7]], 7)])
    drawn = [first, *(sampler.sample(row) for row in range(7))]
    sampler.close()
    assert drawn == plain
