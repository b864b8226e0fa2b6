"""Grammars and JSON schemas as llama.cpp's grammar sampler; what is wrong with them is found here, before a token."""

import json
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from llama_cpp import llama_cpp as library

from slipstream.core.errors import RequestError
from slipstream.engine import log

LONGEST_GRAMMAR = 256 * 1024
MOST_RULES = 8192
DEEPEST_NESTING = 1024
MOST_REPETITIONS = 500
STDERR = 2

_stderr_lock = threading.Lock()


def new_grammar(vocabulary: Any, text: str) -> Any:
    """llama.cpp's sampler for a GBNF grammar with the start rule "root". RequestError with the reason if it is bad."""
    _check(text)
    log.forget()
    with _captured_stderr() as printed:
        sampler = library.llama_sampler_init_grammar(vocabulary, text.encode(), b"root")
        printed.seek(0)
        # The parser prints "parse: error parsing grammar: REASON at REST OF THE GRAMMAR", a blank line, the grammar.
        first = printed.read().decode("utf-8", "replace").split("\n\n")[0]
    if not sampler:
        why = log.one_line(first.partition("error parsing grammar: ")[2], 160) or log.reason("it has no rules")
        raise RequestError(f"the grammar is invalid: {why}", hint="GBNF rules read: name ::= ...; one is named root")
    return sampler


def from_json_schema(text: str) -> str:
    """GBNF for documents that follow a JSON schema. RequestError if it is no JSON or uses what can't be converted."""
    try:
        schema = json.loads(text)
        if not isinstance(schema, dict):
            raise RequestError("the JSON schema is not an object", hint='e.g. {"type": "object", "properties": {...}}')
        _refuse_excess(schema)
        return _convert(schema)
    except RequestError:
        raise
    except json.JSONDecodeError as error:
        raise RequestError(f"the JSON schema is not valid JSON: {error}", hint="check quotes and commas") from None
    except RecursionError:
        raise RequestError("the JSON schema is nested too deeply", hint="make it flatter or its limits lower") from None
    except Exception as error:
        why = log.one_line(str(error), 160) or type(error).__name__
        raise RequestError(f"the JSON schema can't be used: {why}", hint="simplify it, or give a grammar") from None


def _convert(schema: dict[str, Any]) -> str:
    from llama_cpp.llama_grammar import SchemaConverter

    class Converter(SchemaConverter):
        """The library's converter, with texts of keys and constants escaped: it lets backslashes through."""

        def _format_literal(self, literal: str) -> str:
            plain = json.dumps(json.loads(literal), ensure_ascii=False)
            for character, escape in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r")):
                plain = plain.replace(character, escape)
            return f'"{plain}"'

    converter: Any = Converter(prop_order={}, allow_fetch=False, dotall=False, raw_pattern=False)  # type: ignore[no-untyped-call]
    converter.visit(converter.resolve_refs(schema, "schema"), "")
    return str(converter.format_grammar())


def _check(text: str) -> None:
    """Bounds within which llama.cpp's recursive parser can't exhaust its stack."""
    if "\0" in text:
        raise RequestError("the grammar contains a zero character")
    size, rules = len(text.encode("utf-8", "replace")), text.count("::=")
    if size > LONGEST_GRAMMAR or rules > MOST_RULES:
        raise RequestError(
            f"the grammar has {size} bytes and {rules} rules", hint=f"at most {LONGEST_GRAMMAR} and {MOST_RULES}"
        )
    depth = 0
    for character in text:
        # Parentheses in literals count too: too strict by a little, but simple.
        depth += (character == "(") - (character == ")")
        if depth > DEEPEST_NESTING:
            raise RequestError(f"the grammar nests more than {DEEPEST_NESTING} parentheses", hint="use named rules")


def _refuse_excess(node: Any) -> None:
    """Nothing is fetched, and limits are bounded: the converter writes repetitions out one by one."""
    if isinstance(node, dict):
        reference = node.get("$ref")
        if isinstance(reference, str) and not reference.startswith("#"):
            raise RequestError(f"the JSON schema refers to {reference[:80]!r}", hint="put it under $defs: no fetching")
        for name in ("minItems", "maxItems", "minLength", "maxLength"):
            limit = node.get(name)
            if isinstance(limit, int) and limit > MOST_REPETITIONS:
                raise RequestError(f"the JSON schema sets {name} to {limit}", hint=f"{MOST_REPETITIONS} at most")
        for value in node.values():
            _refuse_excess(value)
    elif isinstance(node, list):
        for value in node:
            _refuse_excess(value)


@contextmanager
def _captured_stderr() -> Iterator[IO[bytes]]:
    """What C code prints to stderr meanwhile. It is the whole process's stderr, so this is short and one at a time."""
    with _stderr_lock, tempfile.TemporaryFile() as file:
        try:
            saved = os.dup(STDERR)
        except OSError:
            yield file
            return
        os.dup2(file.fileno(), STDERR)
        try:
            yield file
        finally:
            os.dup2(saved, STDERR)
            os.close(saved)
