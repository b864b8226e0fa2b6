"""Filler text: what nobody would ask a model. Speculation measured on it says nothing about prompts that people send."""

import re
import zlib

LEAST = 200
"""Characters below which a text is too short to be sure of anything."""
SQUEEZED = 12.0
"""How many times shorter zlib makes a text that is one passage over and over. Prose comes to 2 or 3, code and tables
to 8 at most."""
SPEECHLESS = 0.05
"""Least share of letters, of any script, among the visible characters."""
TONGUE_TWISTER = 0.2
"""Share of the Latin letters that may stand in runs of five and more consonants. In English and German it is below one
in fifty, in random letters two thirds."""
DUMMY = 0.3
"""Share of the words that may come from the typesetter's dummy text."""

LOREM = frozenset(
    "lorem ipsum dolor sit amet consectetur adipiscing elit sed eiusmod tempor incididunt labore dolore magna aliqua enim"
    " minim veniam quis nostrud exercitation ullamco laboris nisi aliquip commodo consequat duis aute irure".split()
)
CONSONANTS = re.compile(r"[b-df-hj-np-tv-xz]{5,}")
LATIN = re.compile(r"[a-z]")
WORD = re.compile(r"[^\W\d_]+")


def filler(text: str) -> str:
    """Why a prompt is neither language nor code, in words; "" for anything else. It says so only where it is sure: real
    words in random order get through."""
    if len(text) < LEAST:
        return ""
    data = text.encode()
    if (ratio := len(data) / len(zlib.compress(data))) > SQUEEZED:
        return f"it is one passage over and over: zlib makes it {ratio:.0f} times shorter"
    visible = [character for character in text if not character.isspace()]
    letters = sum(character.isalpha() for character in visible)
    if letters < SPEECHLESS * len(visible):
        return f"only {letters} of its {len(visible)} characters are letters"
    lower = text.lower()
    latin = len(LATIN.findall(lower))
    consonants = sum(map(len, CONSONANTS.findall(lower)))
    if latin >= LEAST / 2 and consonants > TONGUE_TWISTER * latin:
        return f"{consonants} of its {latin} letters stand in unpronounceable runs, as in random text"
    words = WORD.findall(lower)
    dummy = sum(word in LOREM for word in words)
    if dummy > DUMMY * len(words):
        return f"{dummy} of its {len(words)} words are the typesetter's dummy text"
    return ""
