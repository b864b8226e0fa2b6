"""Weights out of their storage formats and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from slipstream.core.errors import RequestError
from slipstream.models.tensor_types import TENSOR_TYPES
from slipstream.models.weights import F16, F32, Q8_0, decode, encode

TYPES = {kind.name: kind for kind in TENSOR_TYPES.values()}
some = arrays.arrays(np.float32, (3, 64), elements=st.floats(-100, 100, width=32))


@given(some)
def test_back_and_forth(values: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> None:
    assert np.array_equal(decode(encode(values, F32), F32), values)
    assert np.allclose(decode(encode(values, F16), F16), values, rtol=1e-3, atol=1e-4)
    packed = encode(values, Q8_0)
    assert packed.shape == (3, 2 * 34)
    steps = np.abs(values.reshape(-1, 32)).max(axis=1, keepdims=True) / 127
    off = np.abs(decode(packed, Q8_0) - values).reshape(-1, 32)
    assert (off <= 0.6 * steps + 1e-4).all()
    assert (decode(encode(np.zeros((1, 32), np.float32), Q8_0), Q8_0) == 0).all()


def test_four_bits_by_hand() -> None:
    """Scale 2, offset -1: low halves are the first sixteen weights."""
    scale, least = np.float16(2).tobytes(), np.float16(-1).tobytes()
    packed = bytes([0x10 * (15 - index) + index for index in range(16)])
    q4_1 = np.frombuffer(scale + least + packed, np.uint8).reshape(1, 20)
    expected = [2 * index - 1 for index in range(16)] + [2 * (15 - index) - 1 for index in range(16)]
    assert decode(q4_1, TYPES["Q4_1"]).tolist() == [expected]
    q4_0 = np.frombuffer(scale + packed, np.uint8).reshape(1, 18)
    assert decode(q4_0, TYPES["Q4_0"]).tolist() == [[value + 1 - 16 for value in expected]]


def test_brain_floats() -> None:
    values = np.array([[1.5, -2.0, 0.0]], np.float32)
    packed = (values.view(np.uint32) >> 16).astype("<u2").view(np.uint8)
    assert decode(packed, TYPES["BF16"]).tolist() == values.tolist()


def test_other_types_are_refused_by_name() -> None:
    with pytest.raises(RequestError, match=r"type Q4_K can't be taken apart here.*take a copy in F32, F16"):
        decode(np.zeros((1, 144), np.uint8), TYPES["Q4_K"])
