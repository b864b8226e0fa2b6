"""Chat messages to prompt text through the model's own template, which is a program from a file and not trusted."""

import json
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from slipstream.core.errors import RequestError

if TYPE_CHECKING:
    from slipstream.engine.model import LlamaModel
    from slipstream.engine.tokenizer import LlamaTokenizer

Message = Mapping[str, Any]
SECONDS = 5.0
LARGEST = 16 * 1024 * 1024
"""Most characters of any value inside a template, and of its result."""


class _Refused(TemplateError):
    """Raised by the template itself, or by the limits below."""


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja's sandbox with a time limit, checked wherever it hands control back, and a bound on growing values."""

    intercepted_binops = frozenset({"*", "**", "+"})
    deadline = 0.0

    def call(self, *arguments: Any, **options: Any) -> Any:
        if any(isinstance(value, int) and value > LARGEST for value in (*arguments, *options.values())):
            raise _Refused(f"a call with a number above {LARGEST}")
        return self._bounded(super().call(*arguments, **options))

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self._bounded(super().getattr(obj, attribute))

    def getitem(self, obj: Any, argument: Any) -> Any:
        return self._bounded(super().getitem(obj, argument))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" and isinstance(right, int) and abs(right) > 64:
            raise _Refused(f"a power of {right}")
        if operator == "*":
            times, value = (left, right) if isinstance(left, int) else (right, left)
            if hasattr(value, "__len__") and isinstance(times, int) and times * len(value) > LARGEST:
                raise _Refused(f"a value repeated {times} times")
        return self._bounded(super().call_binop(context, operator, left, right))

    def _bounded(self, value: Any) -> Any:
        if time.monotonic() > self.deadline:
            raise _Refused(f"it runs longer than {SECONDS:g} seconds")
        if isinstance(value, str | list | tuple) and len(value) > LARGEST:
            raise _Refused(f"a value of more than {LARGEST} items")
        return value


class _Generation(Extension):
    """`{% generation %}`, which marks the assistant's part for training: here it only passes its body on."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 declares it as an instance attribute

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class ChatTemplate:
    """A compiled chat template. `render` is safe to call with any messages, but by one thread at a time."""

    def __init__(self, source: str, *, begin: str = "", end: str = "") -> None:
        """`begin` and `end` are the texts of the model's begin and end tokens. RequestError if the template is bad."""
        self._environment = _Environment(
            trim_blocks=True, lstrip_blocks=True, autoescape=False, extensions=[loopcontrols, _Generation]
        )
        self._environment.filters["tojson"] = _to_json
        self._environment.globals.update(
            raise_exception=_raise,
            strftime_now=lambda form: datetime.now().strftime(form),
            bos_token=begin,
            eos_token=end,
        )
        try:
            self._template = self._environment.from_string(source)
        except (TemplateError, RecursionError) as error:
            raise _broken(error) from None

    def render(
        self,
        messages: Sequence[Message],
        *,
        add_generation_prompt: bool = True,
        variables: Mapping[str, Any] | None = None,
    ) -> str:
        """The prompt text: tokenize it with `encode_prompt(text, special=True)`.

        `add_generation_prompt` opens the assistant's turn. `variables` go to the template as they are (tools,
        enable_thinking). RequestError if the template refuses the messages or exceeds its limits.
        """
        if not messages:
            raise RequestError("there are no messages", hint="give at least one")
        self._environment.deadline = time.monotonic() + SECONDS
        parts: list[str] = []
        size = 0
        try:
            for part in self._template.generate(
                {**(variables or {}), "messages": messages, "add_generation_prompt": add_generation_prompt}
            ):
                parts.append(part)
                size += len(part)
                if size > LARGEST:
                    raise _Refused(f"its result exceeds {LARGEST} characters")
        except RequestError:
            raise
        except Exception as error:
            # Whatever a template does wrong with these messages, from a TypeError to a MemoryError, is its own fault.
            raise _broken(error) from None
        return "".join(parts)


def open_chat_template(model: "LlamaModel", tokenizer: "LlamaTokenizer") -> ChatTemplate:
    """The template in the model's file. RequestError if it has none."""
    source = model.chat_template()
    if not source:
        raise RequestError(
            f"{model.path.name} has no chat template", hint="it is a base model: use raw mode, the prompt as plain text"
        )
    begin, end = tokenizer.begin_token, tokenizer.end_token
    return ChatTemplate(
        source,
        begin="" if begin is None else tokenizer.label(begin),
        end="" if end is None else tokenizer.label(end),
    )


def _broken(error: Exception) -> RequestError:
    why = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
    return RequestError(f"the model's chat template failed: {why}", hint="check the messages' roles, or use raw mode")


def _raise(message: str) -> NoReturn:
    raise _Refused(message)


def _to_json(
    value: Any, ensure_ascii: bool = False, indent: int | None = None, separators: Any = None, sort_keys: bool = False
) -> str:
    """Like the filter of Hugging Face's templates: plain JSON, nothing escaped for HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
