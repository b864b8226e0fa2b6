"""Headers read from made files: what they say, and every way in which they can be wrong."""

import os
import struct
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from slipstream.core.errors import ModelFileError
from slipstream.models.gguf import identity, read_header
from slipstream.models.gguf_reader import LongArray
from tests.engine import tiny_gguf
from tests.models.made import METADATA, TENSORS, U8, Typed, made, write

BLOB = made()


def test_what_it_says(tmp_path: Path) -> None:
    header = read_header(write(tmp_path / "m.gguf", BLOB))
    assert (header.architecture, header.name, header.version) == ("llama", "made", 3)
    assert (header.context_length, header.block_count, header.embedding_length) == (128, 2, 32)
    assert (header.head_count, header.head_count_kv, header.key_length, header.value_length) == (4, 2, 8, 8)
    assert (header.vocabulary_size, header.tokenizer, header.has_chat_template) == (40, "gpt2", True)
    assert (header.window, header.recurrent) == (0, False)
    assert (header.quantization, header.tensor_count, header.weights) == ("Q8_0", 2, 32 + 256)
    assert header.weights_bytes == 128 + 272
    assert header.file_size == len(BLOB)
    assert header.kv_bytes_per_token == 2 * 2 * 2 * 16


def test_long_arrays_are_counted_not_kept(tmp_path: Path) -> None:
    words = [f"word{number}" for number in range(5000)]
    metadata = dict(METADATA) | {"tokenizer.ggml.tokens": words, "x.scores": Typed(U8, [1] * 4000), "x.after": 7}
    header = read_header(write(tmp_path / "m.gguf", made(metadata)))
    assert header.vocabulary_size == 5000
    assert header.metadata["x.scores"] == LongArray(4000)
    assert header.metadata["x.after"] == 7


def test_counts_by_layer_and_windows(tmp_path: Path) -> None:
    metadata = dict(METADATA) | {"llama.attention.head_count_kv": [0, 4, 2], "llama.attention.sliding_window": 512}
    header = read_header(write(tmp_path / "m.gguf", made(metadata)))
    assert (header.head_count_kv, header.window) == (4, 512)


def test_running_state_is_seen(tmp_path: Path) -> None:
    assert read_header(write(tmp_path / "m.gguf", made(dict(METADATA) | {"llama.ssm.state_size": 16}))).recurrent
    assert read_header(tiny_gguf.recurrent(tmp_path / "r.gguf")).recurrent
    assert not read_header(tiny_gguf.dense(tmp_path / "d.gguf")).recurrent


@pytest.mark.parametrize(
    ("blob", "says"),
    [
        (b"", "not a GGUF file"),
        (b"PK\3\4" + bytes(100), "not a GGUF file"),
        (made(version=1), "version 1"),
        (BLOB[:4] + struct.pack(">I", 3) + BLOB[8:], "big-endian"),
        (BLOB[:-17], f"its tensors end at byte {len(BLOB) - 16}, the file at byte {len(BLOB) - 17}"),
        (BLOB[:60], "truncated"),
        (BLOB[:8] + struct.pack("<QQ", 1 << 60, 1) + BLOB[24:], "claims"),
        (made(tensors=[("w", (32,), 31, 18)]), "Q4_0_4_4"),
        (made(tensors=[("w", (32,), 99, 18)]), "type 99"),
        (made(tensors=[("w", (33,), 8, 34)]), "rows of 33"),
        (made(dict(METADATA) | {"general.alignment": 24}), "alignment 24"),
        (made({"general.name": "x"}), "architecture"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, blob: bytes, says: str) -> None:
    path = write(tmp_path / "m.gguf", blob)
    with pytest.raises(ModelFileError) as caught:
        read_header(path)
    assert says in caught.value.message
    assert str(path) in caught.value.message
    assert "\n" not in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no model file"):
        read_header(tmp_path / "m.gguf")
    os.mkfifo(tmp_path / "pipe.gguf")
    for path in (tmp_path, tmp_path / "pipe.gguf"):
        with pytest.raises(ModelFileError, match="is not a file"):
            read_header(path)


def split(folder: Path, *, leave_out: int = -1) -> list[Path]:
    files = [folder / f"m-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    for number, path in enumerate(files):
        own = dict(METADATA) if number == 0 else {}
        if number != leave_out:
            write(path, made(own | {"split.count": 3, "split.no": number}))
    return files


def test_split_models_are_read_whole(tmp_path: Path) -> None:
    files = split(tmp_path)
    header = read_header(files[0])
    assert header.files == tuple(files)
    assert header.file_size == sum(path.stat().st_size for path in files)
    assert header.tensor_count == 3 * len(TENSORS)
    before = identity(files[0])
    with pytest.raises(ModelFileError, match="name its first part"):
        read_header(files[1])
    files[2].write_bytes(files[2].read_bytes()[:-1] + b"\xff")
    assert identity(files[0]) != before
    files[2].write_bytes(files[2].read_bytes()[:-40])
    with pytest.raises(ModelFileError, match=r"m-00003-of-00003.gguf is truncated"):
        read_header(files[0])


def test_missing_parts_and_other_names(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"1 of them are missing: m-00002-of-00003.gguf"):
        read_header(split(tmp_path, leave_out=1)[0])
    with pytest.raises(ModelFileError, match="part"):
        read_header((tmp_path / "m-00001-of-00003.gguf").rename(tmp_path / "renamed.gguf"))


def test_identity_is_the_content(tmp_path: Path) -> None:
    first = identity(write(tmp_path / "a.gguf", BLOB))
    assert first == identity(write(tmp_path / "b.gguf", BLOB))
    assert len(first) == 32
    assert first != identity(write(tmp_path / "a.gguf", BLOB[:-1] + b"\xff"))
    assert first != identity(write(tmp_path / "a.gguf", BLOB + b"x"))


MUTATIONS = st.lists(
    st.tuples(st.integers(0, len(BLOB) - 1), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4
)


@settings(max_examples=300)
@given(MUTATIONS, st.integers(0, len(BLOB)))
@example([(8, b"\xff" * 8)], len(BLOB))
@example([(24, b"\xff" * 8)], len(BLOB))
def test_any_damage_ends_in_the_typed_error(tmp_path: Path, changes: list[tuple[int, bytes]], length: int) -> None:
    blob = bytearray(BLOB)
    for at, new in changes:
        blob[at : at + len(new)] = new
    path = write(tmp_path / "m.gguf", bytes(blob[:length] if length > len(BLOB) // 2 else blob))
    tracemalloc.start()
    try:
        read_header(path)
    except ModelFileError as error:
        assert "\n" not in error.message
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 4 << 20
