"""How this process was started, fit to be published: no secret, no user's name."""

import re
from collections.abc import Mapping, Sequence

PREFIXES = ("OMP_", "GOMP_", "KMP_", "GGML_", "LLAMA_", "MALLOC_", "SLIPSTREAM_")
NAMES = frozenset({"LD_PRELOAD"})
SECRET = re.compile(r"key(?![-_]?type)|token(?!s|iz)|secret|passw|auth|credential", re.IGNORECASE)
"""Names of what must not be published; "--key-type", "--max-tokens" and "--tokenizer" are harmless."""
HOME = re.compile(r"/(?:home|Users)/[^/\s:]+|(?<![^\s:=])/root(?![^/\s:])")
HIDDEN = "(hidden)"


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables that can change speed, sorted. One whose name sounds like a secret is left out altogether."""
    wanted = (name for name in variables if name in NAMES or name.startswith(PREFIXES))
    return {name: _homeless(variables[name]) for name in sorted(wanted) if not SECRET.search(name)}


def arguments(argv: Sequence[str]) -> tuple[str, ...]:
    """The command line with home folders as "~", and "(hidden)" for the value of an option that sounds like a
    secret."""
    shown: list[str] = []
    hide = False
    for word in argv:
        name, equals, _ = word.partition("=")
        secret = name.startswith("-") and bool(SECRET.search(name))
        if hide and not word.startswith("-"):
            shown.append(HIDDEN)
        elif secret and equals:
            shown.append(f"{name}={HIDDEN}")
        else:
            shown.append(_homeless(word))
        hide = secret and not equals
    return tuple(shown)


def _homeless(text: str) -> str:
    return HOME.sub("~", text)
