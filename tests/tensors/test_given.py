"""What a Python caller passes for an input, as a tensor or JSON."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import InvalidInput
from pipeline.tensors.bfloat16 import from_float32
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.given import value_of
from pipeline.tensors.signature import TensorSpec, parse_spec
from pipeline.tensors.tensor import Json, Tensor, tensor

ONE = tensor(np.array([1.0]))


@pytest.mark.parametrize(
    ("given", "made"),
    [
        (np.zeros((2, 3), dtype=np.float32), "FP32[2,3]"),
        (np.float64(1), "FP64[]"),
        ([[1, 2]], "INT64[1,2]"),
        ((1.5, 2), "FP64[2]"),
        (True, "BOOL[]"),
        ("text", "BYTES[]"),
        (b"\xff", "BYTES[]"),
    ],
)
def test_arrays_numbers_text_and_rectangular_lists_are_tensors(given, made):
    value = value_of("x", given)
    assert isinstance(value, Tensor)
    assert value.describe() == made
    assert not value.array.flags.writeable


@pytest.mark.parametrize(
    ("given", "expected", "made", "holds"),
    [
        (0.25, "FP32[]?", "FP32[]", 0.25),
        ([[5, 3, 1, 0]], "FP64[n,4]", "FP64[1,4]", [[5.0, 3.0, 1.0, 0.0]]),
        ([2.0, 3], "UINT8[n]", "UINT8[2]", [2, 3]),
        ([1.5, None], "FP32[n]", "FP32[2]", [1.5, np.nan]),
        ([], "INT32[n]", "INT32[0]", []),
        ("text", "BYTES[]", "BYTES[]", b"text"),
        (np.array([1]), "FP64[n]", "INT64[1]", [1]),
        (np.float64(1), "FP32[]", "FP64[]", 1.0),
        ([1], "FP64[n,4]", "FP64[1]", [1.0]),
    ],
    ids=repr,
)
def test_what_is_no_array_is_of_the_expected_datatype_and_an_array_of_its_own(given, expected, made, holds):
    value = value_of("x", given, parse_spec(expected))
    assert value.describe() == made
    np.testing.assert_equal(value.array.tolist(), holds)


@pytest.mark.parametrize(
    ("given", "expected", "says"),
    [
        ([1.5], "INT64[n]", "expected INT64[n]; element 0 is 1.5, which is no INT64"),
        ([1, 300], "UINT8[n]", "expected UINT8[n]; element 1 is 300, which does not fit UINT8"),
        (True, "FP32[]", "expected FP32[]; element 0 is True, which is no FP32"),
        ("1", "FP32[]", "expected FP32[]; element 0 is '1', which is no FP32"),
        ([1, "a"], "FP64[n]", "expected FP64[n]; element 1 is 'a', which is no FP64"),
    ],
)
def test_what_does_not_fit_the_expected_datatype_is_refused_with_its_place(given, expected, says):
    with pytest.raises(InvalidInput) as caught:
        value_of("x", given, parse_spec(expected))
    assert caught.value.reason == f'input "x": {says}'


def test_where_any_number_is_taken_values_keep_the_datatype_they_have_by_nature_if_they_must():
    spec = TensorSpec(Datatype.FP64, ("n",), any_number=True)
    assert value_of("x", [1, 2], spec).describe() == "FP64[2]"
    assert value_of("x", ["a"], spec).describe() == "BYTES[1]"


def test_a_ragged_list_is_json_whatever_is_expected():
    assert isinstance(value_of("x", [[1], [2, 3]], parse_spec("FP64[n,2]")), Json)


@pytest.mark.parametrize("mask", [[False, True], False])
def test_a_masked_array_is_not_unmasked_in_silence(mask):
    with pytest.raises(InvalidInput) as caught:
        value_of("x", np.ma.array([1.0, 2.0], mask=mask))
    told = 'input "x" is a masked array, and a tensor has no mask; fill it: array.filled(value)'
    assert caught.value.reason == told


# ---- tensors made by hand


def test_bf16_is_given_as_its_raw_bits():
    bits = np.array([0x3F80, 0xC000], dtype=np.uint16)
    value = value_of("x", Tensor(Datatype.BF16, bits))
    assert (value.datatype, value.numbers.tolist()) == (Datatype.BF16, [1.0, -2.0])
    assert value.array.dtype == Datatype.BF16.dtype
    assert bits.flags.writeable
    assert value_of("x", Tensor(Datatype.BF16, from_float32(np.array([1.0], "f4")))).describe() == "BF16[1]"


def test_a_tensor_made_by_hand_is_held_as_every_tensor_is():
    array = np.arange(6).reshape(2, 3)
    value = value_of("x", Tensor(Datatype.INT64, array.T))
    assert value.array.flags.c_contiguous
    assert not value.array.flags.writeable
    assert value.array.tolist() == array.T.tolist()


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.array([1.0]), "a Tensor of FP32 holds an array of float32, not of float64"),
        (np.array([1.0], dtype=">f4"), "a Tensor of FP32 holds an array of float32, not of >f4"),
        ([1.0], "a Tensor holds an array, not a list"),
    ],
    ids=["dtype", "byte order", "list"],
)
def test_a_tensor_whose_array_is_another_is_refused(array, says):
    with pytest.raises(InvalidInput) as caught:
        value_of("x", Tensor(Datatype.FP32, array))
    assert caught.value.reason == f'input "x": {says}'


@pytest.mark.parametrize("given", [{"a": 1}, {}, [[1], [2, 3]], [1, "a"], [None]])
def test_dicts_and_other_lists_are_json(given):
    value = value_of("x", given)
    assert isinstance(value, Json)
    assert value.value is given


@pytest.mark.parametrize("given", [ONE, Json(1)])
def test_a_value_is_itself(given):
    assert value_of("x", given) is given


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (None, "is a NoneType; it is an array, a list, a number, text, bytes or a dict"),
        ({1}, "is a set"),
        (np.zeros(1, dtype=complex), "complex128"),
        (np.array(["\ud800"]), "surrogate"),
        (2**64, "does not fit UINT64"),
        ("\ud800", "surrogate"),
    ],
    ids=["none", "set", "complex", "array of half a pair", "large", "half a pair"],
)
def test_anything_else_is_refused_under_the_name_of_the_input(given, named):
    with pytest.raises(InvalidInput, match='input "x"') as caught:
        value_of("x", given)
    assert named in caught.value.reason
