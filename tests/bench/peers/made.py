"""Jobs, and binaries that stand in for llama-server."""

import sys
from pathlib import Path
from typing import Any

from slipstream.bench.peers.ports import Job, Question
from slipstream.bench.workload import Prompt
from tests.bench.peers import fake_server

PROMPTS = (Prompt("one", "edit", "the first"), Prompt("two", "chat", "the second"))
TOKENS = {"one": (5, 6, 7), "two": (8, 9)}


def job(folder: Path, **changes: Any) -> Job:
    """Two questions, answered with at most 16 tokens."""
    values: dict[str, Any] = {
        "model": folder / "model.gguf",
        "questions": {prompt.id: Question(prompt, TOKENS[prompt.id]) for prompt in PROMPTS},
        "warm_up": (3, 4),
        "ends": frozenset({2}),
        "max_tokens": 16,
        "threads": 1,
        "context": 256,
        "scratch": folder,
        "load_seconds": 20.0,
        "answer_seconds": 20.0,
    }
    return Job(**{**values, **changes})


def binary(folder: Path, mode: str = "good") -> Path:
    """An executable that behaves like that."""
    path = folder / f"llama-server-{mode.replace(' ', '-')}"
    code = Path(fake_server.__file__).parent
    path.write_text(
        f"#!{sys.executable} -IS\nimport sys\nsys.path.insert(0, {str(code)!r})\n"
        f"from fake_server import main\nmain({mode!r})\n"
    )
    path.chmod(0o755)
    return path
