"""Raw bytes: golden layouts, round trips of every tensor, no copies, and every byte accounted for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tensors.buffers import tensor_from_buffer, tensor_to_buffer
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.tensor import Tensor, tensor
from tests.tensors.strategies import SHAPES, same, tensors


@given(tensors(texts=False))
def test_every_tensor_comes_back(sent: Tensor) -> None:
    raw = bytes(tensor_to_buffer(sent))
    back = tensor_from_buffer(memoryview(raw), sent.datatype, sent.shape)
    assert same(sent, back)
    assert bytes(tensor_to_buffer(back)) == raw


@pytest.mark.parametrize(
    ("array", "raw"),
    [
        (np.array([1, -2], np.int16), b"\x01\x00\xfe\xff"),
        (np.array([[1.0], [0.5]], np.float32), b"\x00\x00\x80?\x00\x00\x00?"),
        (np.array([True, False]), b"\x01\x00"),
        (np.array(258, np.uint32), b"\x02\x01\x00\x00"),
        (np.array([1, 2], ">i2"), b"\x01\x00\x02\x00"),
        (np.array([[1, 2], [3, 4]], np.uint8).T, b"\x01\x03\x02\x04"),
        (np.array([b"ab", b"", b"\xff\x00"], object), b"\x02\0\0\0ab\0\0\0\0\x02\0\0\0\xff\x00"),
        (np.zeros((2, 0), np.float64), b""),
        (np.zeros((0,), object), b""),
    ],
)
def test_the_layout_is_little_endian_row_major_and_length_prefixed(array, raw: bytes) -> None:
    assert bytes(tensor_to_buffer(tensor(array))) == raw


def test_no_fixed_size_tensor_is_copied_in_either_direction() -> None:
    body = bytearray(64)
    read = tensor_from_buffer(memoryview(body)[3:35], Datatype.FP32, (2, 4))  # not aligned, as bodies are
    assert np.shares_memory(read.array, np.frombuffer(body, np.uint8))
    assert not read.array.flags.writeable
    sent = tensor(np.arange(6_000, dtype=np.int32).reshape(2, 3_000))
    assert np.shares_memory(np.frombuffer(tensor_to_buffer(sent), np.uint8), sent.array)


@pytest.mark.parametrize(
    ("raw", "datatype", "shape", "reason"),
    [
        (b"\0" * 7, Datatype.FP32, (2,), "expected 8 bytes, got 7"),
        (b"\0" * 9, Datatype.FP32, (2,), "expected 8 bytes, got 9"),
        (b"", Datatype.INT8, (1,), "expected 1 bytes, got 0"),
        (b"\0", Datatype.INT8, (0,), "expected 0 bytes, got 1"),
        (b"\0\x02", Datatype.BOOL, (2,), "a BOOL is a byte 0 or 1, got 2"),
        (b"\x01\0\0", Datatype.BYTES, (1,), "element 0 ends inside its length, at byte 3"),
        (b"\x05\0\0\0abc", Datatype.BYTES, (1,), "element 0 has 5 bytes, and 3 are left"),
        (b"\xff\xff\xff\xffabc", Datatype.BYTES, (1,), "element 0 has 4294967295 bytes, and 3 are left"),
        (b"\0\0\0\0", Datatype.BYTES, (2,), "expected 2 elements, got 1"),
        (b"\0\0\0\0" * 3, Datatype.BYTES, (2,), "expected 2 elements, got 4 bytes more"),
        (b"", Datatype.BYTES, (2**40,), "expected 1099511627776 elements, got 0"),
    ],
)
def test_bytes_that_are_no_such_tensor_are_refused(raw: bytes, datatype, shape, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}$"):
        tensor_from_buffer(memoryview(raw), datatype, shape)


@given(st.binary(max_size=40), st.sampled_from(Datatype), SHAPES)
def test_any_bytes_are_a_tensor_or_refused(raw: bytes, datatype, shape) -> None:
    try:
        read = tensor_from_buffer(memoryview(raw), datatype, shape)
    except ValueError:
        return
    assert bytes(tensor_to_buffer(read)) == raw


def test_nobody_makes_a_view_of_what_was_received_writeable():
    received = memoryview(bytearray(16)).toreadonly()
    array = tensor_from_buffer(received, Datatype.FP32, (2, 2)).array
    with pytest.raises(ValueError, match="WRITEABLE"):
        array.flags.writeable = True
