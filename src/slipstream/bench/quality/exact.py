"""The exact answer of a calculation: the last number that was said, in whatever way it was written."""

import re
import unicodedata
from fractions import Fraction
from pathlib import Path

from slipstream.bench.quality.marks import Mark
from slipstream.bench.workload import Prompt

MARKER = "####"
"""What stands before the answer in GSM8K."""
LONGEST = 60
"""Characters of a number that is read; what is longer is no answer."""

NUMBER = re.compile(
    r"(?P<sign>(?<![\w)\]}])[-+])?(?<![^\W_])(?:"
    r"(?<!/)(?:(?P<mixed>\d+) )?(?P<over>\d+)/(?P<under>\d+)(?![\d/])"
    r"|(?P<whole>\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?P<part>\.\d+)?(?:[eE](?P<power>[-+]?\d{1,2})(?![^\W_]))?"
    r"|(?<!\.)(?P<small>\.\d+))"
)
"""A number that doesn't belong to a word: 1,234.5, -7, .5, 2e3, 3/4, 2 1/2. Its unit is not part of it."""
BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{")
VULGAR = re.compile(r"(?P<whole>\d)?(?P<fraction>[¼-¾⅐-⅞])")
LATEX_FRACTION = re.compile(r"(?P<whole>\d)?\s*\\[dt]?frac\s*(?:\{\s*(\d+)\s*\}\s*\{\s*(\d+)\s*\}|(\d)\s*(\d))")
SEPARATOR = re.compile(r"(?<=\d)(?:\{,\}|\\[,!; ]|[\u00a0\u202f\u2009'\u2019])(?=\d{3}(?!\d))")
"""What may group digits in threes, besides the comma."""
CURRENCY = re.compile(r"\\?[$€£¥₹] ?")


def score(prompt: Prompt, answer: str, scratch: Path) -> Mark:
    """Passed if the number that `answer` ends with equals that of the prompt's reference."""
    wanted, said = number(prompt.reference), number(answer)
    if wanted is None:
        return Mark("refused", "the reference holds no number")
    if said is None:
        return Mark("failed", "no number in the answer")
    return Mark("passed") if said == wanted else Mark("failed", f"{said} instead of {wanted}")


def number(text: str) -> Fraction | None:
    """The number that a text ends with: the last one in its last LaTeX box, else after its last "####", else at all.
    None if there is none. A percentage or a price is the number in it."""
    for part in (_boxed(text), text.rpartition(MARKER)[2], text):
        values = [value for found in NUMBER.finditer(_plain(part)) if (value := _value(found)) is not None]
        if values:
            return values[-1]
    return None


def _boxed(text: str) -> str:
    """What the last box holds, with its braces balanced."""
    opened = list(BOXED.finditer(text))
    if not opened:
        return ""
    depth, start = 1, opened[-1].end()
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if not depth:
            return text[start:place]
    return text[start:]


def _plain(text: str) -> str:
    """Every way to write a number as one that `NUMBER` reads."""
    text = CURRENCY.sub("", text.replace("\u2212", "-"))
    text = SEPARATOR.sub(",", text)
    text = VULGAR.sub(lambda found: _mixed(found["whole"], *_halves(found["fraction"])), text)
    return LATEX_FRACTION.sub(
        lambda found: _mixed(found["whole"], *(part for part in found.groups()[1:] if part)), text
    )


def _halves(character: str) -> list[str]:
    return unicodedata.normalize("NFKC", character).split("\u2044")


def _mixed(whole: str | None, over: str, under: str) -> str:
    return f"{whole} {over}/{under}" if whole else f"{over}/{under}"


def _value(found: re.Match[str]) -> Fraction | None:
    if len(found[0]) > LONGEST:
        return None
    if found["over"]:
        if not int(found["under"]):
            return None
        value = int(found["mixed"] or 0) + Fraction(int(found["over"]), int(found["under"]))
    else:
        digits = (found["whole"] or "0").replace(",", "") + (found["part"] or found["small"] or "")
        value = Fraction(digits) * Fraction(10) ** int(found["power"] or 0)
    return -value if found["sign"] == "-" else value
