"""Small requests of version 1 as most are: read at once, as the careful way reads them; others are left to it."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.tensors.datatype import Datatype
from pipeline.tensors.signature import Expectation, Signature, TensorSpec
from pipeline.wire import v1
from pipeline.wire.numbers import with_orjson
from pipeline.wire.usual_rows import usual_rows
from tests.wire.both_ways import assert_same
from tests.wire.number_texts import ODD, SHAPES, arrays, broken

ANYTHING = Expectation()
HALVES = Expectation(signature=Signature({"x": TensorSpec(Datatype.FP16, (-1,))}), only_input="x")


def same(body, expectation=ANYTHING):
    assert_same(v1, body, with_orjson, expectation)


def asked(rows, **more):
    return orjson.dumps({"instances": rows, **more})


@pytest.mark.parametrize(
    ("rows", "expectation", "name", "tensor"),
    [
        ([[1, 2], [3, 4]], ANYTHING, "instances", "INT64[2,2]"),
        ([[1, 2], [3, 4.5]], ANYTHING, "instances", "FP64[2,2]"),
        ([[0.5]], ANYTHING, "instances", "FP64[1,1]"),
        ([[1, 2.5, 3]], HALVES, "x", "FP16[1,3]"),
        ([[1]], Expectation(only_input="y", names=("y", "z")), "y", "INT64[1,1]"),
        ([[1]], Expectation(signature=HALVES.signature), "instances", "FP16[1,1]"),
    ],
)
def test_what_most_requests_are_is_read_at_once(rows, expectation, name, tensor):
    found = usual_rows(asked(rows), expectation)
    assert found is not None
    assert {name: value.describe() for name, value in found.items()} == {name: tensor}
    assert found[name].array.tolist() == rows
    same(asked(rows), expectation)


@pytest.mark.parametrize(
    "rows",
    [
        *([], [[]], [[], []], [1, 2], [[1], [2, 3]], [[[1]]], [[1, True]], [[1, None]], [["a"]], [{"x": 1}], [[1], 2]),
        *([[2**63]], [[1e999]], [[70000]], {"x": 1}, None),
    ],
    ids=str,
)
def test_what_is_otherwise_is_left_to_the_careful_way(rows):
    body = json.dumps({"instances": rows}).encode()
    assert usual_rows(body, HALVES) is None
    same(body, HALVES)
    same(body)


@pytest.mark.parametrize("more", [{"signature_name": "a"}, {"inputs": [1]}, {"specversion": "1.0"}])
def test_so_is_what_has_more_in_it(more):
    assert usual_rows(asked([[1]], **more), ANYTHING) is None
    same(asked([[1]], **more))


def test_so_is_a_tensor_that_several_names_could_be_of():
    several = Expectation(names=("x", "y"))
    assert usual_rows(asked([[1]]), several) is None
    same(asked([[1]]), several)


def test_a_large_request_is_left_to_who_reads_its_numbers_without_objects():
    assert usual_rows(asked([[0.5] * 1000]), ANYTHING) is not None
    assert usual_rows(asked([[0.5] * 1000]) + b" " * 8192, ANYTHING) is None


# ---- whatever comes

EXPECTATIONS = st.builds(
    lambda datatype, dims, only, any_number: Expectation(
        signature=Signature({"x": TensorSpec(datatype, dims, any_number=any_number)} if datatype else {}),
        only_input="x" if only else None,
    ),
    st.none() | st.sampled_from(Datatype),
    st.just((-1,)),
    st.booleans(),
    st.booleans(),
)
ROWS = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def requests(draw):
    text, _ = draw(st.one_of(arrays(ROWS), arrays(ROWS), arrays(SHAPES), broken()))
    more = draw(st.sampled_from(("", "", "", "", ',"a":1', ',"instances":[[1]]', ',"inputs":[[1]]', *ODD)))
    key = draw(st.sampled_from(("instances", "instances", "instances", "inst\\u0061nces", "inputs")))
    return f'{{"{key}":{text}{more}}}'.encode()


@given(requests(), EXPECTATIONS)
def test_a_request_is_read_or_refused_as_the_careful_way_does(body, expectation):
    same(body, expectation)


@example(b"", HALVES, 0, 0, b"")
@example(asked([[1]]), HALVES, 0, 0, b"\xef\xbb\xbf")
@given(
    body=requests(), expectation=EXPECTATIONS, at=st.integers(0, 60), gone=st.integers(0, 2), put=st.binary(max_size=2)
)
def test_so_it_is_with_any_byte_of_it_changed(body, expectation, at, gone, put):
    same(body[:at] + put + body[at + gone :], expectation)
