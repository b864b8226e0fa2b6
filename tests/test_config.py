"""Where settings come from, and that none is ignored in silence."""

from pathlib import Path

import pytest

from slipstream import config
from slipstream.core.errors import RequestError


def write(world: Path, text: str) -> Path:
    path = world / "config" / "slipstream" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def test_defaults(own_world: Path) -> None:
    settings = config.load()
    assert (settings.model, settings.threads, settings.memory, settings.memory_tokens) == (None, None, True, 1_000_000)
    assert settings.data_root.path == own_world / "root"


def test_environment_over_file(own_world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(own_world, 'threads = 4\nmemory = false\nmodel = "~/m.gguf"\n')
    monkeypatch.setenv("SLIPSTREAM_THREADS", "8")
    monkeypatch.setenv("SLIPSTREAM_CONTEXT_LENGTH", "")
    settings = config.load()
    assert (settings.threads, settings.memory, settings.context_length) == (8, False, None)
    assert settings.model == Path.home() / "m.gguf"


def test_root_of_the_file(own_world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(own_world, f'root = "{own_world}/other"\n')
    monkeypatch.delenv("SLIPSTREAM_ROOT")
    root = config.load().data_root
    assert (root.path, root.reason) == (own_world / "other", "the configuration")


def test_unknown_names_are_refused(own_world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(own_world, "thread = 4\n")
    with pytest.raises(RequestError, match=r"unknown setting in .*: thread\. did you mean threads\?"):
        config.load()
    path.unlink()
    monkeypatch.setenv("SLIPSTREAM_TEST_MODELS", "read elsewhere")
    config.load()
    monkeypatch.setenv("SLIPSTREAM_MODLE", "x")
    with pytest.raises(RequestError, match=r"SLIPSTREAM_MODLE\. did you mean SLIPSTREAM_MODEL\?"):
        config.load()


@pytest.mark.parametrize("text", ["threads = 0", 'threads = "many"', "memory_tokens = -1", "threads =", "[threads]"])
def test_bad_values_end_in_one_line(own_world: Path, text: str) -> None:
    write(own_world, text)
    with pytest.raises(RequestError) as caught:
        config.load()
    assert "config.toml" in caught.value.message
    assert "\n" not in str(caught.value)


def test_a_named_file_must_exist(own_world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPSTREAM_CONFIG", str(own_world / "none.toml"))
    with pytest.raises(RequestError, match="doesn't exist"):
        config.load()
