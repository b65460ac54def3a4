"""Version 2 in JSON: requests and replies byte for byte, round trips of every tensor, and every refusal."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Code, InferError
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.message import (
    AskModel,
    InferRequest,
    InferResponse,
    Live,
    ModelMetadata,
    ModelReady,
    Models,
    Ready,
    ServerMetadata,
)
from pipeline.tensors.nested import tensor_of
from pipeline.tensors.signature import Expectation, Signature, parse_spec
from pipeline.tensors.tensor import Json, tensor
from pipeline.wire import v2
from tests.tensors.strategies import NAMES, TEXTS, has_infinity, same, tensors
from tests.wire.calls import answered, asked, body_of, decoded, refusal, told

X = {"name": "x", "shape": [2], "datatype": "FP32", "data": [1.5, 2]}
OPTIONS = v2.Options()
NAMED = st.dictionaries(NAMES, tensors(), max_size=3)
PARAMETERS = st.dictionaries(
    NAMES.filter(lambda name: name not in ("timeout", "binary_data_output")),
    st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | TEXTS,
    max_size=3,
)


def one(**changes):
    """A request with one input, changed; ``...`` takes a key away."""
    entry = {key: value for key, value in (X | changes).items() if value is not ...}
    return {"inputs": [entry]}


def asking(**more):
    return {"inputs": [X], **more}


# ---- both sides


@given(
    inputs=NAMED.filter(lambda sent: not any(map(has_infinity, sent.values()))),
    id=TEXTS.filter(bool),
    outputs=st.lists(NAMES, unique=True, max_size=3),
    parameters=PARAMETERS,
    timeout=st.none() | st.integers(1, 10**10).map(lambda microseconds: microseconds / 1e6),
    verb=st.sampled_from(["predict", "explain"]),
)
def test_what_a_client_asks_is_what_the_server_reads(inputs, id, outputs, parameters, timeout, verb):
    request, _ = asked(v2, inputs, verb=verb, id=id, outputs=tuple(outputs), parameters=parameters, timeout=timeout)
    assert list(request.inputs) == list(inputs)
    assert all(same(sent, request.inputs[name]) for name, sent in inputs.items())
    assert (request.id, list(request.outputs), request.timeout) == (id, outputs, timeout)
    assert {key: value for key, value in request.parameters.items() if key != "timeout"} == parameters


@given(outputs=NAMED, id=TEXTS, version=TEXTS, parameters=PARAMETERS)
def test_what_the_server_answers_is_what_the_client_reads(outputs, id, version, parameters):
    response = told(v2, outputs, OPTIONS, id=id, version=version, parameters=parameters)
    assert isinstance(response, InferResponse)
    assert list(response.outputs) == list(outputs)
    assert all(same(sent, response.outputs[name], infinities=False) for name, sent in outputs.items())
    assert (response.id, response.version, response.parameters) == (id, version, parameters)


@given(NAMED)
def test_reading_and_writing_again_changes_no_byte(inputs):
    first = answered(v2, inputs, OPTIONS)
    second = answered(v2, told(v2, inputs, OPTIONS).outputs, OPTIONS)
    assert first == second


@pytest.mark.parametrize("datatype", Datatype)
@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (1,) * 8], ids=str)
def test_every_datatype_travels_in_every_kind_of_shape(datatype, shape):
    array = np.full(shape, b"1" if datatype is Datatype.BYTES else 1).astype(datatype.dtype)
    sent = type(tensor(np.zeros(1)))(datatype, array)
    assert same(sent, asked(v2, {"x": sent})[0].inputs["x"])
    assert same(sent, told(v2, {"x": sent}, OPTIONS).outputs["x"])


# ---- replies, byte for byte


@pytest.mark.parametrize(
    ("outputs", "more", "body"),
    [
        (
            {"y": tensor(np.array([[1, 2], [3, 4]], dtype=np.int8))},
            {"id": "7", "version": "1"},
            (
                '{"model_name":"m","model_version":"1","id":"7","parameters":null,"outputs":'
                '[{"name":"y","shape":[2,2],"datatype":"INT8","parameters":null,"data":[1,2,3,4]}]}'
            ),
        ),
        (
            {
                "a": tensor_of(["ä", ""]),
                "b": tensor_of([True]),
                "c": tensor(np.array([0.1, np.nan, np.inf], dtype=np.float32)),
            },
            {"id": "x"},
            (
                '{"model_name":"m","model_version":null,"id":"x","parameters":null,"outputs":'
                '[{"name":"a","shape":[2],"datatype":"BYTES","parameters":null,"data":["ä",""]},'
                '{"name":"b","shape":[1],"datatype":"BOOL","parameters":null,"data":[true]},'
                '{"name":"c","shape":[3],"datatype":"FP32","parameters":null,"data":[0.1,null,null]}]}'
            ),
        ),
        (
            {"s": Json({"predictions": [1, None]})},
            {"id": "x", "parameters": {"p": 1}},
            (
                '{"model_name":"m","model_version":null,"id":"x","parameters":{"p":1},"outputs":'
                r'[{"name":"s","shape":[1],"datatype":"BYTES","parameters":null,"data":["{\"predictions\":[1,null]}"]}]}'
            ),
        ),
        (
            {"z": tensor(np.zeros((0, 3))), "s": tensor(np.float64(2).reshape(()))},
            {"id": "x"},
            (
                '{"model_name":"m","model_version":null,"id":"x","parameters":null,"outputs":'
                '[{"name":"z","shape":[0,3],"datatype":"FP64","parameters":null,"data":[]},'
                '{"name":"s","shape":[],"datatype":"FP64","parameters":null,"data":[2.0]}]}'
            ),
        ),
        ({}, {"id": "x"}, '{"model_name":"m","model_version":null,"id":"x","parameters":null,"outputs":[]}'),
    ],
)
def test_an_inference_response_has_kserves_keys_order_and_nulls(outputs, more, body):
    assert answered(v2, outputs, OPTIONS, **more).decode() == body


SIGNATURE = Signature({"x": parse_spec("FP32[n,4]"), "t": parse_spec("BYTES[-1]?")}, {"y": parse_spec("INT64[n]")})


@pytest.mark.parametrize(
    ("result", "body"),
    [
        (Live(live=True), '{"live":true}'),
        (Ready(ready=True), '{"ready":true}'),
        (ModelReady("m", ready=True), '{"name":"m","ready":true}'),
        (Models(("a", "b")), '{"models":["a","b"]}'),
        (
            ServerMetadata("pipeline-serve", "0.1.0"),
            '{"name":"pipeline-serve","version":"0.1.0","extensions":["binary_tensor_data","model_repository","explain"]}',
        ),
        (
            ModelMetadata("m", ("1",), "", SIGNATURE),
            (
                '{"name":"m","versions":["1"],"platform":"","inputs":[{"name":"x","datatype":"FP32","shape":[-1,4]},'
                '{"name":"t","datatype":"BYTES","shape":[-1]}],"outputs":[{"name":"y","datatype":"INT64","shape":[-1]}]}'
            ),
        ),
    ],
)
def test_every_other_answer_has_the_contracts_keys_in_order(result, body):
    reply = v2.encode(result, OPTIONS)
    assert (reply.status, reply.headers) == (200, {"content-type": "application/json"})
    assert b"".join(reply.body).decode() == body


def test_bytes_that_are_no_text_are_refused_as_json():
    with pytest.raises(InferError, match="ask for it in binary") as caught:
        answered(v2, {"y": tensor_of([b"\xff"])}, OPTIONS)
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_metadata_of_a_server_that_knows_more_is_read_as_far_as_we_do():
    body = {
        "name": "m",
        "versions": None,
        "inputs": [{"name": "x", "datatype": "FP128", "shape": [1]}],
        "platform": None,
    }
    reply = v2.Reply(200, {}, (body_of(body),))
    assert v2.decode_reply(reply, AskModel("m")).signature == Signature()


# ---- requests


def test_a_request_is_read_whole():
    body = asking(
        id="7",
        parameters={"timeout": 1500, "p": "q", "f": 1.5, "b": True},
        unknown={"any": ["thing"]},
        outputs=[{"name": "b"}, {"name": "a", "parameters": {"binary_data": False, "c": 1}}, {"name": "b"}],
    )
    request, _ = decoded(v2, body, headers={"x-a": "b"})
    assert (request.model, request.version, request.id, list(request.outputs)) == ("m", "1", "7", ["b", "a"])
    assert request.timeout == 0.0015
    assert request.parameters == body["parameters"]
    assert request.headers == {"x-a": "b"}
    assert request.body == body
    assert request["x"].tolist() == [1.5, 2.0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"outputs": [{"name": "y", "parameters": {"classification": 2}}]}, 'output "y" has the parameter'),
        ({"outputs": [{"name": "y", "parameters": {"shared_memory_region": "r"}}]}, "there is no shared memory"),
        ({"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "parameters": {"shared_memory_region": "r"}}]},
         'input "x" is in shared memory, which this server has none of; send its data'),
    ],
)  # fmt: skip
def test_what_tritons_clients_can_ask_and_nothing_here_does_is_refused(change, says):
    assert says in refusal(v2, asking(**change))
    decoded(v2, asking(outputs=[{"name": "y", "parameters": {"classification": 0}}]))


def test_a_request_holds_its_json_only_where_a_step_may_look_at_it():
    assert decoded(v2, asking(), Expectation(reads_body=False))[0].body is None


@pytest.mark.parametrize("id", [..., None, ""])
def test_a_missing_or_empty_id_is_the_calls(id):
    body = asking() if id is ... else asking(id=id)
    assert decoded(v2, body)[0].id == "call-id"


@pytest.mark.parametrize("outputs", [..., None, []])
def test_no_outputs_means_all(outputs):
    assert decoded(v2, asking() if outputs is ... else asking(outputs=outputs))[0].outputs == ()


@pytest.mark.parametrize(
    ("parameters", "timeout"),
    [
        (None, None),
        ({}, None),
        ({"timeout": 0}, None),
        ({"timeout": 1}, 1e-6),
        ({"timeout": 2_000_000}, 2.0),
        ({"timeout": 2**64 - 1}, 1.8446744073709552e13),
    ],
    ids=str,
)
def test_a_timeout_is_microseconds_and_0_is_no_wish(parameters, timeout):
    assert decoded(v2, asking(parameters=parameters))[0].timeout == timeout


@pytest.mark.parametrize("timeout", ["soon", "5", -1, 1.5, True, [5], {}, 2**64, 1e300, -(2**70)])
def test_an_unparsable_timeout_is_refused(timeout):
    assert "timeout" in refusal(v2, asking(parameters={"timeout": timeout}))


@pytest.mark.parametrize(
    "media",
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/ld+json",
        "text/plain",
        "application/octet-stream",
        None,
    ],
)
def test_a_body_is_json_whatever_its_type_says(media):
    headers = {"content-type": media} if media else {}
    assert decoded(v2, asking(), headers=headers)[0]["x"].tolist() == [1.5, 2.0]
    text = refusal(v2, b"\x00\x01", headers=headers)
    assert text.startswith("Unrecognized request format: ")
    assert ("inference-header-content-length" in text) == (media == "application/octet-stream")


@pytest.mark.parametrize(
    "flags",
    [{"parameters": {"binary_data_output": False}}, {"outputs": [{"name": "y", "parameters": {"binary_data": False}}]}],
)
def test_no_to_binary_is_what_we_do(flags):
    assert decoded(v2, asking(**flags))[0]["x"].tolist() == [1.5, 2.0]


@pytest.mark.parametrize("datatype", ["fp32", "Fp32", "FP32"])
def test_datatypes_are_read_in_any_case(datatype):
    assert decoded(v2, one(datatype=datatype))[0].inputs["x"].datatype is Datatype.FP32


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"null", "an object, got nothing"),
        (b"[]", "an object, got a list"),
        (b"5", "an object, got a number"),
        (b'"x"', "got a text"),
        ({}, '"inputs" to be a list of tensors, got nothing'),
        ({"inputs": None}, "got nothing"),
        ({"inputs": {}}, "got an object"),
        ({"inputs": "x"}, "got a text"),
        ({"inputs": [5]}, "inputs[0] is an object with name, shape, datatype and data, got a number"),
        ({"inputs": [X, [X]]}, "inputs[1] is an object"),
        ({"inputs": [X, X]}, 'input "x" is sent twice'),
        (one(name=...), "inputs[0]: its name is a text, and not empty; got None"),
        (one(name=""), "not empty; got ''"),
        (one(name=5), "got 5"),
        (one(name=["x"]), "got a list"),
        (one(datatype=...), "one of BOOL, UINT8"),
        (one(datatype="FP33"), 'got "FP33"'),
        (one(datatype=32), "got a number"),
        (one(datatype=None), "got nothing"),
        (one(datatype=""), 'got ""'),
        (one(shape=...), 'input "x": its shape is a list of whole numbers from 0, got nothing'),
        (one(shape=2), "got a number"),
        (one(shape=[-1]), "got -1 in it"),
        (one(shape=[2.0]), "got 2.0 in it"),
        (one(shape=["2"]), "got '2' in it"),
        (one(shape=[True]), "got True in it"),
        (one(shape=[None]), "got None in it"),
        (one(shape=[[2]]), "got a list in it"),
        (one(shape={"0": 2}), "got an object"),
        (one(shape=[2**62, 4]), "larger than any array"),
        (one(shape=[2**62, 4, 0], data=[]), "larger than any array"),
        (one(shape=[0, 2**63]), "larger than any array"),
        (one(shape=[2**64 - 1]), "larger than any array"),
        (one(shape=[2**70]), "in it"),
        (one(shape=[2**40]), "expected 1099511627776 elements, got 2"),
        (one(shape=[1] * 65), "65 dimensions"),
        (one(shape=[1] * 10**5), "100000 dimensions"),
        (one(data=...), "'data' field is missing for input 'x' for model 'm'"),
        (one(data=None), "got None"),
        (one(data=5), "got 5"),
        (one(data={}), "got an object"),
        (one(data="12"), "got '12'"),
        (one(data=[[1, 2]]), "got nesting [1,2]"),
        (one(data=[1]), "expected 2 elements, got 1"),
        (one(data=[1, "2"]), "element 1 is '2', which is no FP32"),
        (one(data=[1, False]), "element 1 is False"),
        (one(data=[1, {}]), "element 1 is an object"),
        (one(datatype="INT32", data=[1, 1.7]), "element 1 is 1.7, which is no INT32"),
        (one(datatype="UINT8", data=[0, 300]), "300, which does not fit UINT8"),
        (one(datatype="INT64", data=[0, None]), "element 1 is None"),
        (one(datatype="BOOL", data=[True, 1]), "element 1 is 1"),
        (one(datatype="INT64", data=[0, 2**63]), "does not fit INT64"),
        (one(datatype="FP16", data=[0, 1e6]), "does not fit FP16"),
        (one(datatype="BYTES", data=["a", 1]), "element 1 is 1, which is no BYTES"),
        (one(parameters=5), 'the parameters of input "x" are an object, got a number'),
        (one(parameters={"binary_data_size": 8}), "a tensor is in one form"),
        (one(parameters={"a": None}), 'parameter "a" of input "x" is a number, a text or a boolean, got nothing'),
        (asking(id=5), '"id" is a text, got a number'),
        (asking(id=[]), '"id" is a text'),
        (asking(parameters=[]), "the parameters of the request are an object"),
        (asking(parameters={"a": None}), 'parameter "a" of the request'),
        (asking(parameters={"a": {}}), "got an object"),
        (asking(parameters={"a": []}), "got a list"),
        (asking(parameters={"binary_data_output": "yes"}), "is true or false, got 'yes'"),
        (asking(outputs={}), '"outputs" to be a list, got an object'),
        (asking(outputs=["y"]), "outputs[0] is an object with a name, got a text"),
        (asking(outputs=[{}]), "outputs[0] is an object with a name"),
        (asking(outputs=[{"name": 5}]), "outputs[0]"),
        (asking(outputs=[{"name": "y", "parameters": 5}]), "the parameters of outputs[0]"),
        (
            asking(outputs=[{"name": "y", "parameters": {"binary_data": 1}}]),
            '"binary_data" of outputs[0] is true or false, got 1',
        ),
    ],
)
def test_every_wrong_type_at_every_key_is_named(body, named):
    assert named in refusal(v2, body)


LONG = "secret " * 100_000


@pytest.mark.parametrize(
    "body",
    [
        one(name=LONG, shape=[1]),
        one(name=LONG, datatype="no"),
        one(name="\n" * 1000, data=...),
        one(datatype=LONG),
        one(shape=LONG),
        one(shape=[LONG]),
        one(data=LONG),
        one(data=[1, LONG]),
        one(data=[{LONG: LONG}, 1]),
        one(shape=[1] * 64, data=[1, LONG]),
        one(shape=[3] * 30),
        {"inputs": [X | {"name": LONG}] * 2},
        asking(id=[LONG]),
        asking(parameters={LONG: None}),
        asking(parameters={"timeout": LONG}),
        asking(parameters={"binary_data_output": LONG}),
        asking(outputs=[LONG]),
        asking(outputs=[{"name": [LONG]}]),
        LONG,
        [LONG],
        {LONG: LONG},
    ],
    ids=range(21),
)
def test_no_refusal_echoes_the_body_or_spans_lines(body):
    text = refusal(v2, body)
    assert text.count("secret") <= 6
    assert "\n" not in text


SANE = {
    "id": "a",
    "parameters": {"timeout": 5, "p": 1},
    "outputs": [{"name": "y", "parameters": {"binary_data": False}}],
    "inputs": [X, {"name": "t", "shape": [1, 2], "datatype": "BYTES", "data": [["a", "b"]], "parameters": {"p": 1}}],
}
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.sampled_from(["name", "data"]), inner, max_size=3)
    ),
    max_leaves=5,
)


def _places(value, at=()):
    yield at
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _places(inner, (*at, key))


@given(st.sampled_from(list(_places(SANE))[1:]), ANY)
def test_anything_in_the_place_of_anything_is_read_or_refused_in_few_words(place, value):
    body = copy.deepcopy(SANE)
    inner = body
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    try:
        request, options = decoded(v2, body)
    except InferError as error:
        assert error.code in (Code.INVALID_ARGUMENT, Code.UNIMPLEMENTED)
        assert 0 < len(error.message) < 500
    else:
        assert isinstance(request, InferRequest)
        json.loads(answered(v2, request.inputs, options, id=request.id))


@pytest.mark.parametrize(
    ("shape", "good"),
    [
        ([2**16, 0], True), ([2**16 + 1, 0], False), ([2**40, 0, 3], False),
        ([0, 2**40], True), ([256, 256, 0], True), ([257, 256, 0], False),
    ],
)  # fmt: skip
def test_rows_without_elements_are_bounded(shape, good):
    entry = {"name": "x", "datatype": "FP32", "shape": shape, "data": []}
    if good:
        assert decoded(v2, {"inputs": [entry]})[0]["x"].shape == tuple(shape)
    else:
        assert "has no elements in more than 65536 rows" in refusal(v2, {"inputs": [entry]})


def test_parameters_of_the_request_and_of_its_inputs_are_kept_as_sent():
    tensor_ = {"datatype": "INT64", "shape": [1], "data": [1]}
    inputs = [{"name": "x", "parameters": {"content_type": "np", "n": 1.5}, **tensor_}, {"name": "y", **tensor_}]
    request, _ = decoded(v2, {"parameters": {"p": True}, "inputs": inputs})
    assert request.input_parameters == {"x": {"content_type": "np", "n": 1.5}}
    assert (request.parameters, request.plain) == ({"p": True}, False)
