"""What each protocol says of itself, against its own codec: what fits a schema is decoded, what is encoded fits."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from pipeline.errors import InvalidInput
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.message import Infer, InferRequest, InferResponse
from pipeline.tensors.signature import Expectation, Signature, TensorSpec, check, parse_spec
from pipeline.wire import repository, repository_openapi, v1, v1_openapi, v2, v2_openapi
from pipeline.wire.codec import codecs
from pipeline.wire.openapi import Subject, descriptions
from tests.tensors.strategies import tensors
from tests.wire.calls import ROUTE, decoded

BOTH = pytest.mark.parametrize("description", [v1_openapi, v2_openapi])


def specs(**texts: str) -> dict[str, TensorSpec]:
    return {name: parse_spec(text) for name, text in texts.items()}


def expecting(*, names=None, takes_json=False, **inputs: str) -> Expectation:
    """As a graph whose schema declares these inputs; every one of them is read by name."""
    found = specs(**inputs)
    return Expectation(
        Signature(found), only_input=next(iter(found)) if len(found) == 1 else None, takes_json=takes_json,
        names=tuple(found) if names is None else names,
    )  # fmt: skip


def operation(description, expectation=None, outputs=None):
    return description.operation(ROUTE[description.CODEC], Subject("m", expectation or Expectation(), outputs))


def body_of(description, expectation):
    return validator(operation(description, expectation).body["application/json"]["schema"])


def reply_of(description, outputs):
    return validator(operation(description, outputs=outputs).reply["application/json"]["schema"])


def validator(schema):
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def accepted(codec, body, expectation) -> bool:
    """Whether a model whose schema declares what is expected would be asked; where none does, under any name."""
    try:
        request, _ = decoded(codec, body, expectation)
    except InvalidInput:
        return False
    specs, inputs = expectation.signature.inputs, request.inputs
    if len(specs) == len(inputs) == 1 and expectation.only_input is None:
        inputs = dict(zip(specs, inputs.values(), strict=True))
    named = not expectation.names or inputs.keys() <= set(expectation.names)
    return named and check(specs, inputs, "input") is None


def test_every_description_is_found_by_its_file_and_describes_each_route_of_its_codec():
    described = {"v1_openapi": v1_openapi, "v2_openapi": v2_openapi, "repository_openapi": repository_openapi}
    assert descriptions() == described
    assert codecs() == {"v1": v1, "v2": v2, "repository": repository}
    model = Subject("m", Expectation())
    names = [
        description.operation(route, model if "{model}" in route.template else None).name
        for description in descriptions().values()
        for route in description.CODEC.ROUTES
    ]
    assert len(names) == len(set(names)) == sum(len(codec.ROUTES) for codec in codecs().values())


ROWS = expecting(rows="FP32[n,2]")
TWO = expecting(a="INT8[n]", b="BYTES[n,1]", c="FP32[2]?")
SCALAR = expecting(s="BOOL[]")


@pytest.mark.parametrize(
    ("expectation", "body", "fits"),
    [
        (ROWS, {"instances": [[1, 2.5]]}, True),
        (ROWS, {"instances": [[1, None], [3, 4]], "signature_name": "x"}, True),
        (ROWS, {"instances": [{"rows": [1, 2]}]}, True),
        (ROWS, {"inputs": [[1, 2]]}, True),
        (ROWS, {"inputs": {"rows": [[1, 2]]}}, True),
        (ROWS, {"instances": [[1, 2, 3]]}, False),
        (ROWS, {"instances": []}, False),
        (ROWS, {"instances": [["a", "b"]]}, False),
        (ROWS, {"instances": [[1, True]]}, False),
        (ROWS, {"instances": [[1e39, 1]]}, False),
        (ROWS, {"instances": [[1, 2]], "inputs": [[1, 2]]}, False),
        (ROWS, {"instances": [{"row": [1, 2]}]}, False),
        (ROWS, {"rows": [[1, 2]]}, False),
        (ROWS, [[1, 2]], False),
        (TWO, {"instances": [{"a": 1, "b": ["x"]}, {"a": -128, "b": [{"b64": "/w=="}]}]}, True),
        (TWO, {"inputs": {"a": [1], "b": [["x"]], "c": [0, 1]}}, True),
        (TWO, {"instances": [{"a": 1}]}, False),
        (TWO, {"instances": [{"a": 128, "b": ["x"]}]}, False),
        (TWO, {"instances": [{"a": 1, "b": [{"b64": "?"}]}]}, False),
        (TWO, {"instances": []}, False),
        (TWO, {"instances": [[1, ["x"]]]}, False),
        (TWO, {"inputs": {"a": [1], "b": [["x"]], "d": 1}}, False),
        (SCALAR, {"inputs": True}, True),
        (SCALAR, {"inputs": {"s": False}}, True),
        (SCALAR, {"instances": [True]}, False),
        (Expectation(), {"instances": [1, 2]}, True),
        (Expectation(), {"instances": [[[[True]]]]}, True),
        (Expectation(), {"instances": [1, "a"]}, False),
        (Expectation(takes_json=True), {"any": "thing"}, True),
    ],
)
def test_rows_and_columns_fit_where_the_decoder_and_the_schema_of_the_graph_take_them(expectation, body, fits):
    assert body_of(v1_openapi, expectation).is_valid(body) is fits
    assert accepted(v1, body, expectation) is fits


def entry(name="rows", datatype="FP32", shape=(1, 2), data=(1, 2), **more):
    data = list(data) if isinstance(data, tuple) else data
    return {"name": name, "datatype": datatype, "shape": list(shape), "data": data, **more}


PAIR = [entry("a", "INT8", [1], [1]), entry("b", "BYTES", [1, 1], ["x"])]


@pytest.mark.parametrize(
    ("expectation", "body", "fits"),
    [
        (ROWS, {"inputs": [entry()]}, True),
        (ROWS, {"inputs": [entry(data=[[1, None]])], "id": None, "parameters": {"timeout": 5, "x": "y"}}, True),
        (ROWS, {"inputs": [entry()], "outputs": [{"name": "o", "parameters": {"binary_data": True}}]}, True),
        (ROWS, {"inputs": [entry(shape=[0, 2], data=[])], "outputs": None}, True),
        (ROWS, {"inputs": [entry(shape=[1, 3], data=[1, 2, 3])]}, False),
        (ROWS, {"inputs": [entry(name="row")]}, False),
        (ROWS, {"inputs": [entry(datatype="FP64")]}, False),
        (ROWS, {"inputs": [entry(data=[[1, "a"]])]}, False),
        (ROWS, {"inputs": [entry(parameters={"binary_data_size": 8})]}, False),
        (ROWS, {"inputs": [entry(), entry()]}, False),
        (ROWS, {"inputs": []}, False),
        (ROWS, {"inputs": [entry()], "parameters": {"binary_data_output": "yes"}}, False),
        (ROWS, {"inputs": [entry()], "parameters": {"x": None}}, False),
        (ROWS, {"inputs": [entry()], "id": 7}, False),
        (ROWS, {"inputs": [entry()], "outputs": ["o"]}, False),
        (ROWS, [], False),
        (TWO, {"inputs": PAIR}, True),
        (TWO, {"inputs": [*reversed(PAIR), entry("c", "FP32", [2], [1, 2])]}, True),
        (TWO, {"inputs": PAIR[:1]}, False),
        (SCALAR, {"inputs": [entry("s", "BOOL", [], True)]}, True),
        (SCALAR, {"inputs": [entry("s", "BOOL", [], [True])]}, True),
        (SCALAR, {"inputs": [entry("s", "BOOL", [1], [True])]}, False),
        (Expectation(), {"inputs": [entry("anything", "BYTES", [1], ["a"])]}, True),
        (Expectation(), {"inputs": [entry("anything", "BF16", [2, 1], [[1.5], [2]])]}, True),
        (Expectation(), {"inputs": [entry("anything", "TEXT", [1], ["a"])]}, False),
        (Expectation(), {"inputs": [entry("anything", "INT8", [1], [True])]}, False),
        (expecting(names=(), rows="FP32[n,2]"), {"inputs": [entry()]}, True),
        (expecting(names=(), rows="FP32[n,2]"), {"inputs": [entry("other")]}, False),
        (Expectation(Signature(specs(rows="FP32[n,2]"))), {"inputs": [entry("other")]}, True),
        (Expectation(Signature(specs(rows="FP32[n,2]"))), {"inputs": [entry(datatype="INT8")]}, False),
    ],
)
def test_tensors_fit_where_the_decoder_and_the_schema_of_the_graph_take_them(expectation, body, fits):
    assert body_of(v2_openapi, expectation).is_valid(body) is fits
    assert accepted(v2, body, expectation) is fits


def test_any_number_is_taken_where_the_model_converts():
    spec = TensorSpec(Datatype.FP64, ("n", 1), any_number=True)
    expectation = Expectation(Signature({"rows": spec}), only_input="rows")
    for datatype, data in (("FP64", [1.5]), ("INT8", [-3]), ("UINT64", [2**64 - 1])):
        body = {"inputs": [entry(datatype=datatype, shape=[1, 1], data=data)]}
        assert body_of(v2_openapi, expectation).is_valid(body)
        assert accepted(v2, body, expectation)
    assert not body_of(v2_openapi, expectation).is_valid({"inputs": [entry(datatype="INT8", shape=[1, 1], data=[0.5])]})
    assert body_of(v1_openapi, expectation).is_valid({"instances": [[1], [2.5]]})


OPEN = st.dictionaries(st.sampled_from("abcd"), tensors(), min_size=1, max_size=3)


@BOTH
@given(inputs=OPEN)
def test_what_a_client_writes_fits_what_is_said_of_a_model_that_takes_it(description, inputs):
    fitting = {name: TensorSpec(tensor.datatype, tensor.shape) for name, tensor in inputs.items()}
    only = next(iter(fitting)) if len(fitting) == 1 else None
    expectation = Expectation(Signature(fitting), only_input=only, names=tuple(fitting))
    try:
        call = description.CODEC.encode_request(Infer(InferRequest(model="m", inputs=inputs), "predict"), None)
    except InvalidInput:  # JSON has no infinities, and version 1 not every empty tensor
        return
    if accepted(description.CODEC, bytes(call.body), expectation):
        body_of(description, expectation).validate(json.loads(call.body))


@BOTH
@given(outputs=OPEN, rows=st.booleans())
def test_every_answer_fits_what_is_said_of_it(description, outputs, rows):
    options = v1.Options(rows=rows) if description is v1_openapi else None
    reply = description.CODEC.encode(InferResponse(model="m", outputs=outputs, version="1"), options)
    body = json.loads(b"".join(reply.body))
    for free in (False, True):
        known = {
            name: TensorSpec(tensor.datatype, tuple("n" if free else size for size in tensor.shape))
            for name, tensor in outputs.items()
        }
        reply_of(description, known).validate(body)
    reply_of(description, None).validate(body)


@pytest.mark.parametrize(
    ("body", "protocol"),
    [
        ({"instances": [1]}, v1_openapi),
        ({"inputs": {"a": [1]}}, v1_openapi),
        ({"inputs": [1, 2]}, v1_openapi),
        ({"inputs": [entry()]}, v2_openapi),
        ({"inputs": []}, v2_openapi),
        ({"instances": [1], "inputs": [1]}, None),
        ({"instances": 1}, None),
        ([1], None),
        ("inputs", None),
    ],
)
def test_a_body_is_of_one_protocol_at_most(body, protocol):
    assert [own for own in descriptions().values() if own.is_written_in(body)] == ([protocol] if protocol else [])
