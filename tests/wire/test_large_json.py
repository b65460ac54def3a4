"""Large bodies whose numbers are read without Python objects, and as all JSON is: the same tensors bit for bit, or the
same refusal."""

from __future__ import annotations

import json
import math

import numpy as np
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.tensors.datatype import Datatype
from pipeline.tensors.signature import Expectation, Signature, TensorSpec
from pipeline.wire import v1, v2
from pipeline.wire.codec import Call
from pipeline.wire.json_tensors import MOST_LISTS
from pipeline.wire.large_json import parse_with_numbers
from pipeline.wire.numbers import Numbers, quickest, with_orjson
from tests.wire.both_ways import answer, assert_same
from tests.wire.calls import ROUTE
from tests.wire.number_texts import NUMBERS, ODD, SHAPES, arrays, broken
from tests.wire.test_numbers import EVERY_READER

# JSON does not mind spaces, and they make a short array a long one.
LONG = " " * 5000
DATATYPES = st.sampled_from([datatype.name for datatype in Datatype if datatype.is_number]) | st.sampled_from(
    ("BOOL", "BYTES", "fp32", "FP128", "")
)


def padded(text):
    """The array with spaces before its last bracket, or wherever there is a place."""
    head, bracket, tail = text.rpartition("]")
    return f"{head}{LONG}{bracket}{tail}" if bracket else text + LONG


@st.composite
def v2_bodies(draw):
    entries = []
    for name in draw(st.lists(st.sampled_from("xyz"), min_size=1, max_size=3)):
        text, shape = draw(st.one_of(arrays(), arrays(), broken()))
        if draw(st.booleans()):
            text = padded(text)
        shape = draw(st.sampled_from((list(shape), list(shape), [math.prod(shape)], [2, 2], [0])))
        fields = [f'"name":"{name}"', f'"shape":{shape}', f'"datatype":"{draw(DATATYPES)}"', f'"data":{text}']
        if draw(st.integers(0, 3)) == 0:
            fields.append(draw(EXTRAS))
        entries.append("{" + ",".join(draw(st.permutations(fields))) + "}")
    fields = [f'"inputs":[{",".join(entries)}]', f'"id":"{LONG}"']
    if draw(st.integers(0, 3)) == 0:
        fields.append(draw(EXTRAS))
    return ("{" + ",".join(draw(st.permutations(fields))) + "}").encode()


EXTRAS = st.sampled_from(
    [
        f'"data":[1{LONG}]',
        f'"data":"[1{LONG}]"',
        f'"shape":[2{LONG}]',
        f'"parameters":{{"x":[1{LONG}]}}',
        f'"name":"\\"data\\":[1{LONG}]"',
        f'"x":[1{LONG}]',
        f'"x":{{"data":[1{LONG}]}}',
        '"x":NaN',
        '"x":"\ue0000"',
        '"data":"\ue0000"',
        '"data":"\\ue0000"',
        '"data":"\\uE0000"',
        '"x":"\\\\"',
        f'"x":"\\ud800{LONG}"',
        '"inputs":[]',
        f'"inputs":[1{LONG}]',
        f'"outputs":[1{LONG}]',
        f'"id":[1{LONG}]',
    ]
)


@EVERY_READER
@given(body=v2_bodies())
def test_version_2_answers_the_same(reader, body):
    assert_same(v2, body, reader, Expectation())


SPECS = st.none() | st.builds(
    TensorSpec, st.sampled_from(list(Datatype)), st.just((-1,)), st.just(False), any_number=st.booleans()
)


@st.composite
def v1_bodies(draw):
    def array():
        text, _ = draw(st.one_of(arrays(), arrays(), broken()))
        return padded(text) if draw(st.integers(0, 3)) else text

    match draw(st.integers(0, 3)):
        case 0 | 1:
            data = f'"instances":{array()}'
        case 2:
            data = f'"inputs":{array()}'
        case _:
            names = draw(st.lists(st.sampled_from(("x", "y", "b64")), min_size=1, max_size=3))
            data = '"inputs":{' + ",".join(f'"{name}":{array()}' for name in names) + "}"
    fields = [data, f'"signature_name":"{LONG}"']
    if draw(st.integers(0, 3)) == 0:
        fields.append(draw(EXTRAS | st.just(f'"instances":[1{LONG}]')))
    return ("{" + ",".join(draw(st.permutations(fields))) + "}").encode()


@EVERY_READER
@given(body=v1_bodies(), x=SPECS, only=st.booleans())
def test_version_1_answers_the_same(reader, body, x, only):
    signature = Signature({"x": x} if x else {})
    assert_same(v1, body, reader, Expectation(signature=signature, only_input="x" if only else None))


@EVERY_READER
@given(shape=SHAPES, elements=st.lists(NUMBERS | st.sampled_from(ODD), min_size=1, max_size=3), datatype=DATATYPES)
def test_one_odd_number_among_many_is_refused_by_its_position(reader, shape, elements, datatype):
    rows = ["1"] * 3000 + elements + ["2.5"] * 10
    entry = f'{{"name":"x","shape":[{len(rows)}],"datatype":"{datatype}","data":[{",".join(rows)}]}}'
    assert_same(v2, f'{{"inputs":[{entry}]}}'.encode(), reader, Expectation())


def entry(array, datatype="FP64", name="x"):
    return {"name": name, "shape": array.shape, "datatype": datatype, "data": array}


def dumped(value):
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def places(value):
    return [(value, "data")]


@EVERY_READER
def test_numbers_are_taken_out_of_large_bodies_only_and_from_the_places_only(reader):
    def read(body):
        return parse_with_numbers(body, reader, places)

    array = np.arange(5000.0)
    for body in (dumped({"data": array}), memoryview(dumped({"data": array}))):
        numbers = read(body)["data"]
        assert isinstance(numbers, Numbers)
        assert np.array_equal(numbers.array, array)
    listed = array.tolist()
    assert read(dumped({"data": array[:10]})) == {"data": listed[:10]}
    assert read(dumped({"rows": array})) == {"rows": listed}
    assert read(dumped({"data": array, "rows": array})) == {"data": listed, "rows": listed}
    assert read(dumped({"data": {"data": array}})) == {"data": {"data": listed}}
    assert read(dumped({"data": [array, "text"]})) == {"data": [listed, "text"]}


@EVERY_READER
def test_what_stands_for_the_numbers_is_no_text_of_the_callers(reader):
    array = dumped(np.arange(5000.0)).decode()
    for text in ('"\ue0000"', '"\\ue0000"', '"\\uE0000"', '"\\u0065"'):
        body = f'{{"rows":{array},"data":{text}}}'.encode()
        assert parse_with_numbers(body, reader, places) == json.loads(body)


@EVERY_READER
def test_every_tensor_of_a_request_is_read_so(reader):
    arrays = {
        "floats": (np.linspace(0, 1, 3000), "FP64"),
        "rows": (np.arange(6000).reshape(2000, 3), "INT32"),
        "texts": (["a"] * 3000, "BYTES"),
        "small": (np.arange(3), "INT64"),
    }
    entries = [
        {"name": name, "shape": np.shape(array), "datatype": datatype, "data": array}
        for name, (array, datatype) in arrays.items()
    ]
    seen = []

    def counting(pieces, dtype):
        seen.append(dtype)
        return reader(pieces, dtype)

    call = Call("POST", "/", {}, dumped({"inputs": entries}), "id", numbers=counting)
    command, _ = v2.decode(call, ROUTE[v2], "m", "1", Expectation(reads_body=False))
    assert seen == [np.float64, np.int64]
    inputs = command.request.inputs
    assert [*inputs] == [*arrays]
    for name in ("floats", "rows", "small"):
        assert np.array_equal(inputs[name].array, arrays[name][0])
    assert command.request.body is None


@EVERY_READER
@pytest.mark.parametrize("codec", [v1, v2])
def test_who_reads_the_body_as_it_was_sent_has_lists(reader, codec):
    array = np.arange(5000.0)
    body = {"instances": array} if codec is v1 else {"inputs": [entry(array)]}
    call = Call("POST", "/", {}, dumped(body), "id", numbers=reader)
    command, _ = codec.decode(call, ROUTE[codec], "m", "1", Expectation(reads_body=True))
    assert command.request.body == json.loads(dumped(body))


@EVERY_READER
def test_json_that_a_step_takes_has_lists(reader):
    call = Call("POST", "/", {}, dumped({"instances": np.arange(5000.0)}), "id", numbers=reader)
    expectation = Expectation(takes_json=True, takes_tensors=False, reads_body=False)
    command, _ = v1.decode(call, ROUTE[v1], "m", "1", expectation)
    assert command.request.inputs["instances"].value == np.arange(5000.0).tolist()


@pytest.mark.parametrize("more", [0, 1])
def test_lists_are_counted_those_of_numbers_too(more):
    """At the bound: the body, the list of inputs, its entry, the shape, and those of the data."""
    rows = MOST_LISTS - 5 + more
    body = b'{"inputs":[{"name":"x","datatype":"INT8","shape":[%d,1],"data":[%b]}]}' % (
        rows,
        b",".join([b"[1]"] * rows),
    )
    found = answer(v2, body, quickest(), Expectation(reads_body=False))
    if more:
        assert "more than 2097152 lists and objects" in found[-1]
    else:
        ((_, (datatype, shape, *_)),) = found[0]
        assert (datatype, shape) == (Datatype.INT8, (rows, 1))


@example(b"")
@example(b'"')
@example(b'{"data":')
@example(b'{"data":[')
@example(b'{"data":[1]')
@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused_as_ever(head):
    for body in (head + LONG.encode() * 2 + b"]}", head + LONG.encode() + b"]" + LONG.encode() + head):
        assert_same(v2, body, with_orjson, Expectation())
        assert_same(v1, body, with_orjson, Expectation())
