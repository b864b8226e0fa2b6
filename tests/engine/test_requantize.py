from pathlib import Path

import pytest

from slipstream.core.errors import ModelFileError, RequestError, StateFileError, UnknownName
from slipstream.engine.options import ModelOptions
from slipstream.engine.requantize import requantize
from slipstream.engine.target import LlamaTarget


@pytest.mark.parametrize(("kind", "share"), [("F16", 0.5), ("BF16", 0.5), ("Q8_0", 0.27), ("Q4_0", 0.15)])
def test_the_copy_loads_and_is_smaller(tiny_folder: Path, tmp_path: Path, kind: str, share: float) -> None:
    source = tiny_folder / "dense.gguf"
    copy = requantize(source, tmp_path / f"{kind}.gguf", kind, threads=1)
    assert list(tmp_path.iterdir()) == [copy]
    assert copy.stat().st_size < source.stat().st_size * (share + 0.1)
    LlamaTarget.open(ModelOptions(copy, threads=1)).close()


def test_failures_leave_nothing_behind(tiny_folder: Path, tmp_path: Path) -> None:
    source, cut = tiny_folder / "dense.gguf", tmp_path / "cut.gguf"
    cut.write_bytes(source.read_bytes()[:-5000])
    with pytest.raises(ModelFileError, match="incomplete"):
        requantize(cut, tmp_path / "new.gguf", "Q8_0")
    with pytest.raises(UnknownName, match="did you mean 'Q8_0'"):
        requantize(source, tmp_path / "new.gguf", "Q8")
    with pytest.raises(RequestError, match="exists"):
        requantize(source, cut, "Q8_0")
    with pytest.raises(StateFileError, match="No such file"):
        requantize(source, tmp_path / "no" / "new.gguf", "Q8_0")
    assert list(tmp_path.iterdir()) == [cut]
