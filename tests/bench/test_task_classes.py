"""Task classes: every published name has one, and an unknown name is no error."""

import pytest

from slipstream.bench.task_classes import CLASSES, OTHER, TASKS, class_of


def test_every_task_belongs_to_a_class_and_no_class_is_a_task_of_another() -> None:
    assert set(TASKS.values()) <= set(CLASSES)
    assert not set(TASKS) & set(CLASSES)


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("math", "math"), ("gsm8k", "math"), ("math_reasoning", "math"), ("code_edit", "edit"), ("copy", "edit"),
        ("humaneval", "code"), ("summarization", "summary"), ("roleplay", "chat"), ("stem", "qa"), ("agent", "agent"),
        ("default", OTHER), ("poems", OTHER), ("", OTHER),
    ],
)  # fmt: skip
def test_class_of(task: str, expected: str) -> None:
    assert class_of(task) == expected
