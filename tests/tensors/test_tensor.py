"""An array as a tensor: what is shared, what is copied, what is refused."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given

from pipeline.tensors.datatype import Datatype
from pipeline.tensors.tensor import byte_strings, frozen, tensor
from tests.tensors.strategies import same, tensors

GRID = np.arange(24, dtype=np.float32).reshape(4, 6)


@given(tensors(texts=False))
def test_a_tensors_array_is_that_tensor_again(made):
    assert same(made, tensor(made.array))


@pytest.mark.parametrize("array", [GRID, GRID[1:3], GRID[:, :1].copy(), np.array(1.5), np.zeros((0, 3))])
def test_an_array_in_order_is_shared_read_only_and_its_owner_may_still_write(array):
    made = tensor(array)
    assert array.size == 0 or np.shares_memory(made.array, array)
    assert not made.array.flags.writeable
    assert array.flags.writeable


@pytest.mark.parametrize(
    "array", [GRID.T, GRID[:, ::2], GRID[::-1], np.asfortranarray(GRID), np.broadcast_to(GRID, (2, 4, 6))]
)
def test_an_array_that_is_not_row_major_is_copied_into_order(array):
    made = tensor(array).array
    assert made.flags.c_contiguous
    assert not made.flags.writeable
    assert np.array_equal(made, array)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 0, 3), (1,) * 8])
def test_shapes_are_kept_scalars_included(shape):
    array = np.zeros(shape, dtype=np.int16)
    assert tensor(array).shape == frozen(array).shape == frozen(array.T).shape == shape or shape == (2, 0, 3)
    assert tensor(array).shape == shape


@pytest.mark.parametrize("datatype", [d for d in Datatype if d.is_number and d is not Datatype.BF16])
def test_foreign_byte_order_becomes_native(datatype):
    swapped = np.array([1, 2, 100], dtype=datatype.dtype.newbyteorder(">" if sys.byteorder == "little" else "<"))
    made = tensor(swapped)
    assert made.datatype is datatype
    assert made.array.dtype.isnative
    assert made.array.tolist() == [1, 2, 100]


@pytest.mark.parametrize(
    ("array", "elements"),
    [
        (np.array(["ä", "", "b"]), ["ä".encode(), b"", b"b"]),
        (np.array([b"\xff", b""]), [b"\xff", b""]),
        (np.array(["a", b"\xff", np.str_("c"), np.bytes_(b"d")], dtype=object), [b"a", b"\xff", b"c", b"d"]),
        (np.array(["2026-01-02T03:04:05", "NaT"], dtype="M8[s]"), [b"2026-01-02T03:04:05", b"NaT"]),
        (np.array([], dtype=object), []),
        (np.array("x"), b"x"),
        (np.array([["a", "b"], ["c", "d"]]), [[b"a", b"b"], [b"c", b"d"]]),
        (np.array([["a", "b"], ["c", "d"]]).T, [[b"a", b"c"], [b"b", b"d"]]),
    ],
)
def test_text_and_dates_are_bytes(array, elements):
    made = tensor(array)
    assert made.datatype is Datatype.BYTES
    assert made.array.tolist() == elements
    assert made.shape == array.shape
    assert not made.array.flags.writeable


@pytest.mark.parametrize(
    ("array", "named"),
    [
        (np.zeros(2, dtype=complex), "complex128"),
        (np.zeros(2, dtype="m8[s]"), "timedelta64"),
        (np.zeros(2, dtype=[("a", "f4")]), "'a'"),
        (np.array([1, None], dtype=object), "holds a int"),
        (np.array([b"x", None], dtype=object), "holds a NoneType"),
        (np.array([[1], [2, 3]], dtype=object), "holds a list"),
        (np.array(["\ud800"]), "surrogate"),
        (np.array(["\ud800", b""], dtype=object), "surrogate"),
    ],
)
def test_an_array_without_a_datatype_is_refused_by_its_dtype(array, named):
    with pytest.raises(TypeError, match=named):
        tensor(array)


def test_byte_strings_never_look_inside_their_elements():
    array = byte_strings([b"abc", b"", b"\x00\x00"], (3,))
    assert array.tolist() == [b"abc", b"", b"\x00\x00"]
    assert array.dtype == object


def test_a_tensor_describes_itself_as_the_graph_file_would():
    assert tensor(GRID).describe() == "FP32[4,6]"
    assert repr(tensor(np.array(1))) == "Tensor(INT64[])"
