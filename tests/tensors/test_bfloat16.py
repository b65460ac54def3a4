"""BF16 by our own arithmetic, and by ml_dtypes where it is present: the same numbers."""

from __future__ import annotations

import importlib
import importlib.util
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.tensors import bfloat16
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.tensor import tensor

WAYS = ["raw", "ml_dtypes"] if importlib.util.find_spec("ml_dtypes") else ["raw"]
RAW = np.dtype(np.uint16, metadata={"datatype": "BF16"})
every_way = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=WAYS)
def dtype(request, monkeypatch):
    """The dtype of BF16 arrays; "raw" is how it is without ml_dtypes, also where that is installed."""
    dtype = RAW
    if request.param == "ml_dtypes":
        dtype = np.dtype(importlib.import_module("ml_dtypes").bfloat16)
    monkeypatch.setitem(Datatype.BF16.__dict__, "dtype", dtype)
    return dtype


def test_where_ml_dtypes_is_present_arrays_have_its_dtype_else_they_are_raw():
    assert Datatype.BF16.dtype.name == ("bfloat16" if "ml_dtypes" in WAYS else "uint16")


@pytest.mark.parametrize(
    ("number", "bits"),
    [
        (0.0, 0x0000), (-0.0, 0x8000), (1.0, 0x3F80), (-2.0, 0xC000), (float("inf"), 0x7F80), (float("-inf"), 0xFF80),
        (1.00390625, 0x3F80),  # half way to the next: to even, down
        (1.01171875, 0x3F82),  # half way: to even, up
        (1.00390637, 0x3F81),  # a little more than half way
        (3.4028235e38, 0x7F80),  # rounds past the range
        (1e-45, 0x0000), (9.1835e-41, 0x0001),  # subnormals
    ],
)  # fmt: skip
def test_a_single_is_rounded_to_the_nearest_even(dtype, number, bits):
    array = bfloat16.from_float32(np.array([number], dtype=np.float32))
    assert array.dtype == dtype
    assert array.view(np.uint16).tolist() == [bits]


@pytest.mark.parametrize("bits", [0x7FC00000, 0x7F800001, 0xFFFFFFFF, 0xFF800001, 0x7FFFFFFF])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_nan_stays_nan_whatever_its_payload(dtype, bits, shape):
    singles = np.full(shape, bits, dtype=np.uint32).view(np.float32)
    array = bfloat16.from_float32(singles)
    assert array.shape == shape
    assert np.isnan(bfloat16.to_float32(array)).all()


@every_way
@given(bits=st.lists(st.integers(0, 2**16 - 1)))
@example(bits=[])
def test_every_bfloat16_is_the_single_that_starts_with_its_bits(dtype, bits):
    array = np.array(bits, dtype=np.uint16).view(dtype)
    singles = bfloat16.to_float32(array)
    expected = [struct.unpack("<f", struct.pack("<I", word << 16))[0] for word in bits]
    assert singles.dtype == np.float32
    assert np.array_equal(singles, np.array(expected, dtype=np.float32), equal_nan=True)
    back = bfloat16.to_float32(bfloat16.from_float32(singles))
    assert np.array_equal(back, singles, equal_nan=True)


@every_way
@given(number=st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_rounding_finds_a_nearest(dtype, number):
    single = np.array([number], dtype=np.float32)
    rounded = int(bfloat16.from_float32(single).view(np.uint16)[0])
    neighbours = [word for word in (rounded - 1, rounded, rounded + 1) if 0 <= word < 2**16]
    with np.errstate(invalid="ignore"):
        # Past the range the next step would be 2**128, which stands for infinity.
        values = np.nan_to_num(
            bfloat16.to_float32(np.array(neighbours, dtype=np.uint16)).astype(np.float64),
            nan=np.inf, posinf=2.0**128, neginf=-(2.0**128),
        )  # fmt: skip
    distances = dict(zip(neighbours, np.abs(values - np.float64(single[0])), strict=True))
    assert distances[rounded] == min(distances.values())


def test_an_array_of_raw_bits_stays_bf16_where_a_step_passes_it_on(dtype):
    array = np.frombuffer(b"\x80\x3f\x00\xc0\x00\x00", dtype=dtype)
    for passed in (array, array[1:], array.reshape(3, 1).T, array.copy(), np.ascontiguousarray(array[::-1]), array[:0]):
        assert tensor(passed).datatype is Datatype.BF16
    assert tensor(array.view(np.uint16)).datatype is Datatype.UINT16
    assert tensor(np.zeros(2, np.uint16)).datatype is Datatype.UINT16


@pytest.mark.parametrize("shape", [(), (0,), (2, 3), (1, 1, 1, 1, 1, 1, 1, 1)])
def test_shapes_are_kept_both_ways(dtype, shape):
    array = bfloat16.from_float32(np.ones(shape, dtype=np.float32))
    singles = bfloat16.to_float32(array)
    assert isinstance(array, np.ndarray)
    assert isinstance(singles, np.ndarray)
    assert array.shape == singles.shape == shape
