import stat
from pathlib import Path

import pytest

from slipstream.core.errors import ContextOverflow, EngineError, ModelFileError
from slipstream.engine.model import LlamaModel
from slipstream.engine.options import ModelOptions
from slipstream.engine.target import LlamaTarget
from tests.engine import tiny_gguf


def failure(path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        LlamaModel.load(ModelOptions(path, threads=1))
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    return str(caught.value)


def test_no_such_file(tmp_path: Path) -> None:
    assert "there is no file" in failure(tmp_path / "none.gguf")


def test_a_folder(tmp_path: Path) -> None:
    assert "is not a file" in failure(tmp_path)


def test_not_a_gguf(tmp_path: Path) -> None:
    path = tmp_path / "text.gguf"
    path.write_text("hello world")
    assert "it starts with b'hell'" in failure(path)
    path.write_bytes(b"")
    assert "it is empty" in failure(path)


@pytest.mark.parametrize("share", [0.002, 0.5, 0.999])
def test_truncated(tiny_folder: Path, tmp_path: Path, share: float) -> None:
    data = (tiny_folder / "dense.gguf").read_bytes()
    path = tmp_path / "cut.gguf"
    path.write_bytes(data[: int(len(data) * share)])
    message = failure(path)
    assert "corrupted or incomplete" in message if share > 0.1 else "failed to read" in message


def test_unknown_architecture_is_quoted(tmp_path: Path) -> None:
    path = tiny_gguf.write_gguf(tmp_path / "odd.gguf", {"general.architecture": "zebra"}, {})
    assert "unknown model architecture: 'zebra'" in failure(path)


def test_nothing_is_printed(tiny_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cut.gguf").write_bytes((tiny_folder / "dense.gguf").read_bytes()[:9000])
    failure(tmp_path / "cut.gguf")
    LlamaTarget.open(ModelOptions(tiny_folder / "dense.gguf", threads=1)).close()
    assert capfd.readouterr() == ("", "")


def test_context_beyond_training_names_both_numbers(tiny_folder: Path) -> None:
    with pytest.raises(ContextOverflow, match=r"513 tokens.*trained for 512"):
        LlamaTarget.open(ModelOptions(tiny_folder / "dense.gguf", threads=1, context_length=513))


def test_context_zero_takes_the_trained_length(tiny_folder: Path) -> None:
    with LlamaTarget.open(ModelOptions(tiny_folder / "dense.gguf", threads=1, slots=3)) as target:
        assert target.context_length == 512


@pytest.mark.parametrize(("mmap", "mlock"), [(True, False), (False, False)])
def test_load_modes(tiny_folder: Path, mmap: bool, mlock: bool) -> None:
    with LlamaModel.load(ModelOptions(tiny_folder / "dense.gguf", threads=1, mmap=mmap, mlock=mlock)) as model:
        assert model.size > 700_000


def test_overrides_of_every_type_are_taken(tiny_folder: Path) -> None:
    values = {"llama.context_length": 96, "llama.rope.freq_base": 5000.0, "tokenizer.ggml.add_bos_token": False}
    options = ModelOptions(tiny_folder / "dense.gguf", threads=1, kv_overrides=values | {"general.name": "x"})
    with LlamaModel.load(options) as model:
        assert model.trained_context == 96


def test_metadata(tiny_folder: Path) -> None:
    with LlamaModel.load_vocabulary(tiny_folder / "dense.gguf") as model:
        assert model.metadata("general.architecture") == "llama"
        assert model.metadata("no.such.key") is None
        template = model.chat_template()
        assert template is not None and template == model.metadata("tokenizer.chat_template")


def test_use_after_close(tiny_folder: Path) -> None:
    model = LlamaModel.load(ModelOptions(tiny_folder / "dense.gguf", threads=1))
    model.close()
    model.close()
    with pytest.raises(EngineError, match="closed"):
        _ = model.size


def test_unreadable(tiny_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "secret.gguf"
    path.write_bytes((tiny_folder / "dense.gguf").read_bytes())
    path.chmod(0)
    try:
        path.open("rb").close()
    except PermissionError:
        assert "could not be read: Permission denied" in failure(path)
    finally:
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)
