"""Schemas of tensors against the readers of tensors: what fits the one is taken by the other."""

from __future__ import annotations

import math

import numpy as np
import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from pipeline.tensors.datatype import Datatype
from pipeline.tensors.nested import array_of
from pipeline.wire.schemas import any_nested, element, flat, nested, shape
from tests.tensors.strategies import tensors

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.integers(-300, 300)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
)


def fits(schema, value) -> bool:
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema).is_valid(value)


def taken(datatype, value) -> bool:
    try:
        array_of([value], datatype, (1,))
    except ValueError:
        return False
    return True


@given(st.sampled_from(list(Datatype)), SCALARS)
def test_an_element_that_fits_its_schema_is_taken_and_a_whole_number_only_then(datatype, value):
    if fits(element(datatype), value):
        assert taken(datatype, value)
    elif not (datatype.is_float and isinstance(value, float | int)):  # what rounds to the largest number is taken too
        assert not taken(datatype, value)


@pytest.mark.parametrize("datatype", [own for own in Datatype if own.is_number])
def test_the_largest_numbers_of_a_datatype_fit(datatype):
    schema = element(datatype)
    for bound in ("minimum", "maximum"):
        assert bound in schema or datatype is Datatype.FP64
        if bound in schema:
            assert taken(datatype, schema[bound])
            assert not taken(datatype, schema[bound] * 2 + (1 if bound == "maximum" else -1))


@given(tensors(), st.data())
def test_every_tensor_fits_its_own_shape_and_any_opening_of_it(tensor, data):
    opened = data.draw(st.lists(st.booleans(), min_size=len(tensor.shape), max_size=len(tensor.shape)))
    dims = [f"d{axis}" if free else size for axis, (size, free) in enumerate(zip(tensor.shape, opened, strict=True))]
    one = element(tensor.datatype)
    rows = [item.decode() for item in tensor.array.ravel()] if tensor.datatype is Datatype.BYTES else tensor.numbers
    array = np.array(rows, dtype=object).reshape(tensor.shape) if tensor.datatype is Datatype.BYTES else rows
    whole = orjson.loads(orjson.dumps(array.tolist()))
    assert fits(nested(dims, one), whole)
    assert fits(flat(dims, one), orjson.loads(orjson.dumps(array.reshape(-1).tolist())))
    assert fits(shape(dims), list(tensor.shape))
    if math.prod(tensor.shape):
        assert fits(nested(dims, one, least=1), whole)


@given(tensors(shapes=st.lists(st.integers(0, 2), max_size=4).map(tuple)), st.lists(st.integers(0, 3), max_size=4))
def test_a_tensor_of_another_shape_does_not_fit(tensor, dims):
    assume(math.prod(tensor.shape) and tuple(dims) != tensor.shape)
    assume(tensor.datatype is not Datatype.BYTES)
    whole = orjson.loads(orjson.dumps(tensor.numbers.tolist()))
    assert not fits(nested(dims, element(tensor.datatype)), whole)
    assert not fits(shape(dims), list(tensor.shape))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, True), (1.5, True), (True, True), ("a", True), ([], True), ([1, 2.5], True), (["a", "b"], True),
        ([[1], [2]], True), ([[[1]], [[2]]], True), ([[[[1.0]]]], True), (None, False), ({}, False),
        ([1, "a"], False), ([True, 1], False), ([[1], 2], False), ([["a"], [1]], False),
    ],
)  # fmt: skip
def test_a_tensor_of_any_kind_is_of_one_kind(value, expected):
    kinds = ({"type": "number"}, {"type": "boolean"}, {"type": "string"})
    assert fits(any_nested(*kinds), value) is expected


def test_where_nesting_tells_the_shape_no_outer_list_is_empty():
    schema = nested(["n", "m", 2], {"type": "number"}, least=1)
    assert fits(schema, [[[1, 2]]])
    assert not fits(schema, [])
    assert not fits(schema, [[]])
    assert fits(nested(["n"], {"type": "number"}, least=1), [])
