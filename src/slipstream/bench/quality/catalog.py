"""The table of quality scorers. A new one is a file of its own and a line here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from slipstream.bench.task_classes import class_of
from slipstream.bench.workload import Prompt
from slipstream.core.errors import RequestError, UnknownName


@dataclass(frozen=True, slots=True)
class Entry:
    """A scorer: where its function stands (imported only when asked for), what it does in one line, and what it reads.

    `reads` "answers" marks each answer to a prompt (`marks.Scorer`), "a text" measures a model on it, "two models"
    measures one against another on a text. `needs` are fields that a prompt must have, `classes` the task classes that
    it must be of (empty: any).
    """

    path: str
    reads: Literal["answers", "a text", "two models"]
    purpose: str
    needs: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    def load(self) -> Any:
        """The function behind the path."""
        module, _, name = self.path.rpartition(".")
        return getattr(import_module(module), name)

    def suits(self, prompt: Prompt) -> bool:
        """Whether the prompt brings what the scorer needs."""
        return all(getattr(prompt, field) for field in self.needs) and (
            not self.classes or class_of(prompt.task) in self.classes
        )


_HERE = "slipstream.bench.quality"

CATALOG: Mapping[str, Entry] = {
    "exact": Entry(
        f"{_HERE}.exact.score",
        "answers",
        "the last number of the answer is that of the reference",
        needs=("reference",),
        classes=("math",),
    ),
    "unit_tests": Entry(
        f"{_HERE}.unit_tests.score",
        "answers",
        "the program in the answer passes the prompt's tests, run where it can compute and nothing else",
        needs=("test", "entry_point"),
    ),
    "perplexity": Entry(
        f"{_HERE}.perplexity.perplexity", "a text", "how surprising the model finds a text, as llama.cpp measures it"
    ),
    "divergence": Entry(
        f"{_HERE}.divergence.divergence", "two models", "how far a model's predictions are from those of a full one"
    ),
}


def entry(name: str) -> Entry:
    """The row of a name; raises UnknownName."""
    if name not in CATALOG:
        raise UnknownName("scorer", name, CATALOG)
    return CATALOG[name]


def suited(name: str, prompts: Iterable[Prompt]) -> list[Prompt]:
    """The prompts that a scorer of answers can mark, in order. RequestError if there is none."""
    found = entry(name)
    chosen = [prompt for prompt in prompts if found.suits(prompt)]
    if not chosen:
        of = f" and be of class {' or '.join(found.classes)}" if found.classes else ""
        raise RequestError(
            f"no prompt is one that {name} can mark", hint=f"it must bring {' and '.join(found.needs)}{of}"
        )
    return chosen
