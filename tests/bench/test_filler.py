"""Filler text is told from language and code, and only where that is certain."""

import random
import string
from pathlib import Path

import pytest

from slipstream.bench.filler import filler
from slipstream.bench.workload import built_in

REPO = Path(__file__).resolve().parents[2]
RANDOM = random.Random(1)
CASES = {
    "zlib makes it": "The quick brown fox jumps over the lazy dog. " * 60,
    "of its": "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut labore"
    " et dolore magna aliqua ut enim ad minim veniam quis nostrud exercitation ullamco laboris nisi ut aliquip ex ea",
    "unpronounceable": " ".join("".join(RANDOM.choices(string.ascii_lowercase, k=6)) for _ in range(80)),
    "are letters": "".join(RANDOM.choices(string.digits + string.punctuation + " ", k=400)),
}


@pytest.mark.parametrize("says", CASES)
def test_filler_is_named(says: str) -> None:
    assert says in filler(CASES[says])


def test_random_characters_of_all_kinds_are_filler() -> None:
    for seed in range(20):
        text = "".join(random.Random(seed).choices(string.ascii_letters + string.digits, k=500))
        assert filler(text)


def test_what_people_write_is_not() -> None:
    texts = [prompt.text for prompt in built_in()]
    texts += [path.read_text("utf-8") for path in sorted((REPO / "docs").rglob("*.md"))]
    texts += [path.read_text("utf-8") for path in sorted((REPO / "src" / "slipstream").rglob("*.py"))[::4]]
    texts += ["Wir brauchen für die Angstschweißprobe Strumpfhosen, Schlittschuhe und Durchschnittstemperaturen. " * 3]
    texts += ["| name | value |\n|---|---|\n" + "".join(f"| item {n} | {n * n % 97} |\n" for n in range(40))]
    texts += ["为什么自行车在行驶时比静止时更容易保持直立。请用三句话回答。并举一个例子。" * 3]
    assert [text[:60] for text in texts if filler(text)] == []


def test_a_short_text_is_left_alone() -> None:
    assert filler("ha " * 60) == "" and filler("") == ""
