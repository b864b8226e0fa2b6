"""Answers that nobody wants: a fast one is no fast answer, so its speed never ranks (requirement R18)."""

import re
import unicodedata
from collections.abc import Hashable, Sequence
from itertools import groupby

import numpy as np

ENDLESS = (64, 4, 0)
"""A loop, in an answer that was still going when it was cut off: least tokens, least rounds, most tokens after it."""
ENDED = (128, 8, 8)
"""The same in an answer that came to its own end: a table of zeros and a closing fence are no endless loop."""
TAIL = 4096
"""Tokens at the end of the answer that are searched for a loop."""
LINES = 5
"""A line of `LINE_LETTERS` letters at least, so often in a row, is a loop; brackets and table rules are not."""
LINE_LETTERS = 12
STRAY = 0.01
STRAYS = 3
"""Share and number of characters that no language has."""

UNITS = re.compile(r"\w+|[^\w\s]")
LOG = re.compile(
    r"^(?:"
    r"llama_(?:model_load|kv_cache|perf_|new_context|init_|params_fit|memory_|print_timings|backend_)\w*: +\S"
    r"|llama_context: +\w+ += |ggml_\w+: +\S|llm_load_\w+: +\S|gguf_init_\w+: +\S|clip_(?:init|model_loader): +\S"
    r"|common_(?:perf_print|init_\w+): +\S|(?:load_tensors|load_backend|print_info|sched_reserve): +\S"
    r"|system_info: +n_threads|build: +\d+ \(|main: +(?:build|seed|n_\w+|server|loading|model loaded)\b"
    r"|slot +\w+: +id +\d|srv +\w+: +\w"
    r"|(?:prompt )?eval time +=|total time +=|sampling time +=|\[ ?Prompt: +[\d.]+ t/s"
    r")",
    re.MULTILINE,
)
"""How llama.cpp's own messages begin."""
MOJIBAKE = re.compile(r"[ÃÂ][\x80-\xbf\u0152-\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]|â€.")
"""UTF-8 that was read as Latin-1 or Windows-1252."""


def doubt(text: str, tokens: Sequence[int], limit: int, finish: str) -> str:
    """Why an answer is garbage, in words; "" if nothing speaks against it.

    `tokens` are the answer's, empty where an engine gives text alone; `limit` is the most that were asked for; `finish`
    is "stop" where the model ended by itself. Genuine answers must pass: the checks speak only where they are sure.
    """
    if not text.strip():
        return f"empty: {len(tokens)} tokens and no text"
    cut = finish not in ("stop", "") or 0 < limit <= len(tokens)
    return _log(text) or _strays(text, cut) or _repeated_line(text) or _loop(tokens or UNITS.findall(text), cut)


def truncated(tokens: Sequence[int], limit: int, finish: str) -> str:
    """Why an answer isn't whole, in words; "" if it is. It tells nothing about quality then, but its speed is real."""
    if finish == "stop":
        return ""
    if finish == "length":
        return f"cut off at its limit of {limit} tokens"
    return f"cut off after {len(tokens)} tokens: {finish or 'unknown reason'}"


def _log(text: str) -> str:
    found = LOG.search(text)
    return f"engine's log in the answer: {text[found.start() :].splitlines()[0][:60]!r}" if found else ""


def _strays(text: str, cut: bool) -> str:
    if cut:
        text = text.rstrip("\ufffd")  # a character that was cut in half
    count = sum(
        character == "\ufffd" or (unicodedata.category(character) in ("Cc", "Co", "Cn") and character not in "\t\n\r")
        for character in text
    )
    kind = "replacement and control characters"
    if count < STRAYS:
        count, kind = len(MOJIBAKE.findall(text)), "characters read in the wrong encoding"
    return f"no language: {count} {kind}" if count >= STRAYS and count > STRAY * len(text) else ""


def _repeated_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    for line, run in groupby(lines):
        if sum(map(str.isalpha, line)) >= LINE_LETTERS and (count := sum(1 for _ in run)) >= LINES:
            return f"repeats a line {count} times: {line.strip()[:60]!r}"
    return ""


def _loop(units: Sequence[Hashable], cut: bool) -> str:
    """The longest stretch at the end that repeats with some period."""
    least, rounds, rest = ENDLESS if cut else ENDED
    numbers: dict[Hashable, int] = {}
    tail = np.array([numbers.setdefault(unit, len(numbers)) for unit in units[-TAIL:]])
    for period in range(1, len(tail) // rounds + 1):
        changes = np.flatnonzero(tail[period:] != tail[:-period])
        ends = np.append(changes, len(tail) - period)
        lengths = np.diff(ends, prepend=-1) - 1 + period
        # What follows a loop differs from what stands a period earlier, at its first token.
        length = int(lengths[ends >= len(tail) - period - rest].max())
        if length >= max(least, rounds * period):
            return f"repeats itself: the same {period} tokens {length // period} times at its end"
    return ""
