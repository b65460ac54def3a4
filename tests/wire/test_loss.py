"""What JSON would change of a request, refused by name; and what it carries."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given

from pipeline.errors import InvalidInput
from pipeline.tensors.bfloat16 import from_float32
from pipeline.tensors.nested import flatten
from pipeline.tensors.tensor import Json, tensor
from pipeline.wire.loss import refuse_hidden_shape, refuse_infinite, refuse_infinity
from tests.tensors.strategies import has_infinity, tensors

INFINITE = [math.inf, [1, -math.inf], {"a": [{"b": (math.inf,)}]}, np.array([[-np.inf]], "f4"), [np.float32(np.inf)]]


@given(tensors())
def test_a_tensor_is_refused_where_one_of_its_numbers_is_infinite(sent):
    if has_infinity(sent):
        with pytest.raises(InvalidInput, match='input "x" holds an infinity, which JSON cannot carry; version 2'):
            refuse_infinity("x", sent)
    else:
        refuse_infinity("x", sent)


def test_infinities_of_bf16_are_seen_as_such():
    with pytest.raises(InvalidInput, match="holds an infinity"):
        refuse_infinity("x", tensor(from_float32(np.array([1, np.inf], dtype=np.float32))))


@pytest.mark.parametrize("value", [*INFINITE, np.array([1, math.inf], object)], ids=repr)
def test_json_and_parameters_that_hold_one_are_refused(value):
    with pytest.raises(InvalidInput, match='input "x" is JSON that holds an infinity'):
        refuse_infinity("x", Json(value))
    with pytest.raises(InvalidInput, match='parameter "p" holds an infinity'):
        refuse_infinite({"fine": 1, "p": value})


@pytest.mark.parametrize("value", [math.nan, [math.nan, None], {"a": "inf"}, [], np.arange(3), b"inf"], ids=repr)
def test_what_json_says_in_its_own_way_is_sent(value):
    refuse_infinity("x", Json(value))
    refuse_infinite({"p": value})


@given(tensors())
def test_a_shape_is_refused_where_the_lists_have_another(sent):
    if flatten(sent.array.tolist())[1] == sent.shape:
        refuse_hidden_shape("x", sent)
    else:
        with pytest.raises(InvalidInput, match=r'input "x" has the shape \[[0-9,]*0,[0-9,]*\]'):
            refuse_hidden_shape("x", sent)


def test_json_has_no_shape():
    refuse_hidden_shape("x", Json([[], []]))
