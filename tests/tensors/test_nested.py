"""Nested lists and arrays: exactly what fits, and the name of the first thing that does not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tensors.datatype import Datatype
from pipeline.tensors.nested import array_of, flatten, natural_datatype, tensor_of
from tests.tensors.strategies import numbers_of, same, tensors

NAN = math.nan
INF = math.inf


@given(tensors())
def test_an_array_as_nested_lists_and_back(made):
    nested = made.array.tolist() if made.datatype is not Datatype.BF16 else numbers_of(made).tolist()
    elements, shape = flatten(nested)
    # A list of no lists does not say what they would hold.
    assert shape == made.shape or 0 in shape
    back = array_of(elements, made.datatype, made.shape)
    assert not back.flags.writeable
    assert same(made, type(made)(made.datatype, back))


@pytest.mark.parametrize(
    ("data", "elements", "shape"),
    [
        (5, [5], ()), ("ab", ["ab"], ()), ({"a": [1]}, [{"a": [1]}], ()), (None, [None], ()),
        ([], [], (0,)), ([[]], [], (1, 0)), ([[], []], [], (2, 0)), ([[[]], [[]]], [], (2, 1, 0)),
        ([1, 2], [1, 2], (2,)), ([[1, 2], (3, 4)], [1, 2, 3, 4], (2, 2)), (((1,), (2,)), [1, 2], (2, 1)),
        ([[[[[[[[1]]]]]]]], [1], (1,) * 8), (["ab", "c"], ["ab", "c"], (2,)),
    ],
)  # fmt: skip
def test_flatten_gives_elements_in_row_major_order(data, elements, shape):
    assert flatten(data) == (elements, shape)


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ([[1, 2], [3]], r"row 1 has shape \[1\], row 0 has \[2\]"),
        ([[1], [2], [3, 4], [5, 6]], r"row 2 has shape \[2\], row 0 has \[1\]"),
        ([[1], 2], r"row 1 has shape \[\], row 0 has \[1\]"),
        ([1, [2]], r"row 1 has shape \[1\], row 0 has \[\]"),
        ([[1], [[2]]], r"row 1 has shape \[1,1\], row 0 has \[1\]"),
        ([[[1], [2]], [[3], [4, 5]]], r"row 1 has shape \[ragged\], row 0 has \[2,1\]"),
        ([[[1], [2, 3]], [[4], [5]]], r"row 1 has shape \[2,1\], row 0 has \[ragged\]|row 0 is ragged"),
        ([[[1], [2, 3]]], "row 0 is ragged"),
        ([[], [1]], r"row 1 has shape \[1\], row 0 has \[0\]"),
        ([[[]], [[1]]], r"row 1 has shape \[1,1\], row 0 has \[1,0\]"),
        ([[1, [2]]], "row 0 is ragged"),
    ],
)
def test_ragged_lists_name_the_first_row_that_differs(data, named):
    with pytest.raises(ValueError, match=named):
        flatten(data)


def test_nesting_past_numpys_rank_is_refused():
    data: object = 1
    for _ in range(64):
        data = [data]
    assert flatten(data)[1] == (1,) * 64
    with pytest.raises(ValueError, match="64 deep"):
        flatten([data])
    for _ in range(100_000):
        data = [data]
    with pytest.raises(ValueError, match="64 deep"):
        flatten(data)
    while isinstance(data, list):  # unwound by hand: freeing it at once recurses
        data = data[0]


@pytest.mark.parametrize(
    ("data", "datatype"),
    [
        (True, "BOOL"), ([True, False], "BOOL"), (1, "INT64"), ([-(2**63), 2**63 - 1], "INT64"),
        ([0, 2**64 - 1], "UINT64"),
        (1.0, "FP64"), ([1, 2.5], "FP64"), ([None, 1], "FP64"), ([None, 1.5], "FP64"), ([NAN], "FP64"),
        ([], "FP64"), ([[], []], "FP64"), ("a", "BYTES"), (b"a", "BYTES"), (["a", b"\xff"], "BYTES"),
    ],
)  # fmt: skip
def test_lists_have_a_datatype_by_nature(data, datatype):
    assert tensor_of(data).datatype is Datatype[datatype]


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ([1, True], "row 1 holds True, which does not go with 1 in row 0"),
        ([[1, 2], [3, 4], [5, "six"]], "row 2 holds 'six', which does not go with 1 in row 0"),
        ([[[1, 2]], [["a", 2]]], "row 1 holds 'a'"),
        (["a", None], "row 1 holds None"),
        ([None, "a"], "row 1 holds 'a'"),
        ([True, None], "row 1 holds None"),
        ([1.5, {"a": 1}], "row 1 holds an object"),
        ([None], "None is no tensor element"),
        (None, "None is no tensor element"),
        ([{}], "an object is no tensor element"),
        ({}, "an object is no tensor element"),
        ([-1, 2**63], "element 0 is -1, which does not fit UINT64"),
        ([2**64], "does not fit UINT64"),
        (-(2**63) - 1, "does not fit INT64"),
        pytest.param(10**5000, "an integer of 16610 bits, which does not fit UINT64", id="huge"),
        ([10**5000, 1.5], "an integer of 16610 bits, which does not fit FP64"),
        ("\ud800", "surrogate"),
    ],
)
def test_mixed_lists_name_the_first_row_that_differs(data, named):
    with pytest.raises(ValueError, match=named) as caught:
        tensor_of(data)
    assert len(str(caught.value)) < 200


INTEGERS = [datatype for datatype in Datatype if datatype.is_integer]
FLOATS = [datatype for datatype in Datatype if datatype.is_float]


@pytest.mark.parametrize("datatype", INTEGERS)
def test_integers_are_taken_to_their_bounds_and_no_further(datatype):
    bounds = np.iinfo(datatype.dtype)
    lowest, highest = int(bounds.min), int(bounds.max)
    assert array_of([lowest, highest, 1.0, -0.0], datatype, (4,)).tolist() == [lowest, highest, 1, 0]
    for odd in (lowest - 1, highest + 1, 10**5000, 1e300):
        with pytest.raises(ValueError, match=rf"element 1 is .*, which does not fit {datatype.name}"):
            array_of([0, odd], datatype, (2,))
    for odd in (1.7, NAN, INF, -INF, True, None, "1", b"1", {}, 1j):
        with pytest.raises(ValueError, match=rf"element 1 is .*, which is no {datatype.name}"):
            array_of([0, odd], datatype, (2,))


@pytest.mark.parametrize("datatype", FLOATS)
def test_floats_take_integers_null_and_nan(datatype):
    made = type("_", (), {"datatype": datatype, "array": array_of([1, 0.5, None, NAN, INF, -INF], datatype, (6,))})
    assert made.array.dtype == datatype.dtype
    assert np.array_equal(numbers_of(made), [1, 0.5, NAN, NAN, INF, -INF], equal_nan=True)
    for odd in (True, "1", b"1", {}, 1j):
        with pytest.raises(ValueError, match=rf"element 1 is .*, which is no {datatype.name}"):
            array_of([0, odd], datatype, (2,))


@pytest.mark.parametrize(
    ("datatype", "largest", "too_large"),
    [
        ("FP16", 65504, 65520), ("FP16", -65504.0, -1e6), ("BF16", 3.3895313892515355e38, 3.4e38), ("BF16", 0, -1e39),
        ("FP32", 3.4028234663852886e38, 3.5e38), ("FP32", 0, -1e39),
        ("FP64", 1.7976931348623157e308, 10**309), pytest.param("FP32", 1, 10**5000, id="huge"),
    ],
)  # fmt: skip
def test_a_number_past_the_range_of_a_float_is_refused_and_not_infinite(datatype, largest, too_large):
    datatype = Datatype[datatype]
    assert np.isfinite(array_of([largest], datatype, (1,)).astype(np.float64)).all()
    with pytest.raises(ValueError, match=f"element 2 is .*, which does not fit {datatype.name}"):
        array_of([0, largest, too_large], datatype, (3,))


@pytest.mark.parametrize("odd", [0, 1, 1.0, "true", None, b"", NAN])
def test_booleans_are_only_booleans(odd):
    assert array_of([True, False], Datatype.BOOL, (2,)).tolist() == [True, False]
    with pytest.raises(ValueError, match=r"element 1 is .*, which is no BOOL"):
        array_of([True, odd], Datatype.BOOL, (2,))


@pytest.mark.parametrize("odd", [0, 1.5, True, None, {}])
def test_bytes_are_text_or_bytes(odd):
    assert array_of(["ä", b"\xff", ""], Datatype.BYTES, (3,)).tolist() == ["ä".encode(), b"\xff", b""]
    with pytest.raises(ValueError, match=r"element 1 is .*, which is no BYTES"):
        array_of(["a", odd], Datatype.BYTES, (2,))
    with pytest.raises(ValueError, match="surrogate"):
        array_of(["\udfff"], Datatype.BYTES, (1,))


@given(st.recursive(st.integers() | st.floats() | st.text() | st.booleans() | st.none(), st.lists))
def test_any_lists_are_a_tensor_or_a_short_reason(data):
    try:
        made = tensor_of(data)
    except ValueError as error:
        assert 0 < len(str(error)) < 300
    else:
        assert made.array.size == len(flatten(data)[0])


def test_natural_datatype_needs_the_shape_only_to_name_a_row():
    with pytest.raises(ValueError, match="row 1 "):
        natural_datatype([1, 2, 3, 4, "a", 6], (2, 3))


def test_what_is_nested_differently_is_told_in_time_that_follows_its_size():
    ragged = [1, [2]]
    for _ in range(50):
        ragged = [ragged]
    with pytest.raises(ValueError, match="row 0 is ragged"):
        flatten(ragged)
    for _ in range(4):
        ragged = [ragged, ragged]
    with pytest.raises(ValueError, match="row 0 is ragged"):
        flatten(ragged)
