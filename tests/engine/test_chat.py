from pathlib import Path
from typing import Any

import pytest

from slipstream.core.errors import RequestError
from slipstream.engine import chat
from slipstream.engine.chat import ChatTemplate, open_chat_template
from slipstream.engine.target import LlamaTarget
from slipstream.engine.tokenizer import LlamaTokenizer, open_tokenizer

USER = [{"role": "user", "content": "Hi <b>"}]


def test_smollm2(smollm2: LlamaTarget, smollm2_tokenizer: LlamaTokenizer) -> None:
    template = open_chat_template(smollm2.model, smollm2_tokenizer)
    system = {"role": "system", "content": "Be brief."}
    text = template.render([system, *USER, {"role": "assistant", "content": "Yes?"}, *USER])
    turn = "<|im_start|>user\nHi <b><|im_end|>\n"
    assert text == (
        "<|im_start|>system\nBe brief.<|im_end|>\n" + turn + "<|im_start|>assistant\nYes?<|im_end|>\n" + turn
        + "<|im_start|>assistant\n"
    )  # fmt: skip
    assert not template.render([system, *USER], add_generation_prompt=False).endswith("assistant\n")
    tokens = smollm2_tokenizer.encode_prompt(text, special=True)
    assert tokens[0] == 1 and tokens.count(1) == 5


def test_begin_token_is_not_doubled(dense: LlamaTarget) -> None:
    tokenizer = LlamaTokenizer(dense.model)
    text = open_chat_template(dense.model, tokenizer).render(USER)
    assert text.startswith("<s>user: Hi")
    assert tokenizer.encode_prompt(text, special=True)[:2] != [1, 1]


def test_no_template_names_raw_mode(tiny_folder: Path) -> None:
    tokenizer = open_tokenizer(tiny_folder / "recurrent.gguf")
    with pytest.raises(RequestError, match=r"no chat template.*raw mode"):
        open_chat_template(tokenizer._model, tokenizer)
    tokenizer.close()


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.__class__.__name__ }}",
        "{{ messages.append(1) }}",
        "{{ self.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{% include '/etc/passwd' %}",
        "{{ 'a' * 10 ** 9 }}",
        "{{ 2 ** 10000000 }}",
        "{{ 'x'.center(1000000000) }}",
        "{% set n = namespace(s='aaaa') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
        "{{ range(10000000) | list }}",
    ],
)
def test_attacks_are_refused(source: str) -> None:
    with pytest.raises(RequestError, match="chat template failed"):
        ChatTemplate(source).render(USER)


def test_endless_loops_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "SECONDS", 0.2)
    loop = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    with pytest.raises(RequestError, match="runs longer than"):
        ChatTemplate(loop).render(USER)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{% for m in messages %}", "endfor|end of template"),
        ("{{ raise_exception('no system\nrole here') }}", "no system role here"),
        ("{{ messages[0].content + 1 }}", "can only concatenate"),
        ("{{ undefined_thing.attribute }}", "undefined"),
    ],
)
def test_failures_are_one_line(source: str, why: str) -> None:
    with pytest.raises(RequestError, match=why) as caught:
        ChatTemplate(source).render(USER)
    assert "\n" not in str(caught.value)


def test_no_messages() -> None:
    with pytest.raises(RequestError, match="no messages"):
        ChatTemplate("x").render([])


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ bos_token }}|{{ eos_token }}", "<s>|</s>"),
        ("{{ {'b': 1, 'a': 'é<'} | tojson }}", '{"b": 1, "a": "é<"}'),
        ("{{ [1] | tojson(indent=2) }}", "[\n  1\n]"),
        ("{% for m in [1, 2, 3] %}{% if m == 2 %}{% break %}{% endif %}{{ m }}{% endfor %}", "1"),
        ("{% generation %}kept{% endgeneration %}", "kept"),
        ("  {% if true %}\na\n  {% endif %}\nb", "a\nb"),
        ("{{ tools | length }}{{ enable_thinking }}", "1False"),
        ("{{ messages[0].content }}", "Hi <b>"),
    ],
)
def test_what_templates_use(source: str, text: str) -> None:
    variables: dict[str, Any] = {"tools": [{}], "enable_thinking": False}
    assert ChatTemplate(source, begin="<s>", end="</s>").render(USER, variables=variables) == text
    assert len(ChatTemplate("{{ strftime_now('%Y-%m-%d') }}").render(USER)) == 10
