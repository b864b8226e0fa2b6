"""Filler text: what nobody would ask a model. Speed measured on it says nothing about prompts that people send."""

import re
import zlib

LEAST = 200
"""Characters below which a text is too short to be sure of anything."""
SQUEEZED = 12.0
"""How many times shorter zlib makes a text that is one passage over and over. Prose comes to 2 or 3, code and tables
to 8 at most."""
SPEECHLESS = 0.05
"""Least share of letters, of any script, among the visible characters."""
TWISTED = 0.1
"""Share of the letters that may stand in runs of five and more consonants. In prompts and code it comes to 0.05, in
random letters to between 0.15 and 0.6."""
VOWELS = 0.3
"""Least share of letters other than these consonants. Compounds in German may be twisted, but have 0.31, as code has;
random letters have 0.23."""
DUMMY = 0.3
"""Share of the words that may come from the typesetter's dummy text."""

LOREM = re.compile(
    r"\b(?:lorem|ipsum|dolor|sit|amet|consectetur|adipiscing|elit|sed|eiusmod|tempor|incididunt|labore|dolore|magna|aliqua"
    r"|enim|minim|veniam|quis|nostrud|exercitation|ullamco|laboris|nisi|aliquip|commodo|consequat|duis|aute|irure)\b"
)
CONSONANTS = re.compile(r"[b-df-hj-np-tv-xz]+")
TWISTER = 5
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
    runs = [len(run) for run in CONSONANTS.findall(lower)]
    twisted, vowels = sum(run for run in runs if run >= TWISTER), letters - sum(runs)
    if letters >= LEAST / 2 and twisted > TWISTED * letters and vowels < VOWELS * letters:
        return f"{twisted} of its {letters} letters stand in unpronounceable runs, as in random text"
    words, dummy = len(WORD.findall(lower)), len(LOREM.findall(lower))
    if dummy > DUMMY * words:
        return f"{dummy} of its {words} words are the typesetter's dummy text"
    return ""
