"""Task classes: a result is reported for each of them, because speculation gains on one what it loses on another."""

from collections.abc import Mapping
from types import MappingProxyType

CLASSES: Mapping[str, str] = MappingProxyType(
    {
        "edit": "give a text or program back with little changed: most of the answer stands in the prompt",
        "code": "write new code",
        "chat": "talk, advise, write letters and stories",
        "qa": "answer a question from what the model knows",
        "summary": "make a text shorter",
        "math": "calculate, with one right answer",
        "rag": "answer from passages in the prompt",
        "translation": "say it in another language",
        "agent": "choose tools and fill in their arguments",
    }
)
"""Name and what the task is."""

OTHER = "other"

TASKS: Mapping[str, str] = MappingProxyType(
    {
        "copy": "edit",
        "code_edit": "edit",
        "humanevalpack": "edit",
        "humaneval": "code",
        "mbpp": "code",
        "sql": "code",
        "coding": "code",
        "writing": "chat",
        "roleplay": "chat",
        "humanities": "qa",
        "reasoning": "qa",
        "stem": "qa",
        "summarization": "summary",
        "gsm8k": "math",
        "math_reasoning": "math",
        "extraction": "rag",
        "tau": "agent",
    }
)
"""What published sets (Spec-Bench's thirteen categories, HumanEval, GSM8K, tau-bench, Spider) call their tasks."""


def class_of(task: str) -> str:
    """The class of a task; "other" for a name that is in neither table."""
    return task if task in CLASSES else TASKS.get(task, OTHER)
