"""What a Python caller passes for an input, as a tensor or JSON."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import InvalidInput
from pipeline.tensors.given import value_of
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
