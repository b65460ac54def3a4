"""A request as KServe's models see it, and their answers as values."""

import json

import numpy as np
import pytest

from pipeline.engine.step import Answering
from pipeline.errors import WrongAnswer
from pipeline.tensors import message
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.message import Infer
from pipeline.tensors.signature import Expectation
from pipeline.tensors.tensor import Json, Raw, Tensor, tensor
from pipeline.wire import v1, v2
from pipeline.wire.codec import Call, Route
from pipeline_serve.kserve import InferInput, InferOutput, InferRequest, InferResponse
from pipeline_serve.kserve.dialect import KServe, infer_request

SEES_ALL = Expectation(takes_json=True, takes_bytes=True, reads_body=True)


def sent(codec, body, headers=None, tail=b""):
    whole = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = {"inference-header-content-length": str(len(whole))} if tail else {}
    call = Call("POST", "/", {**(headers or {"content-type": "application/json"}), **head}, whole + tail, "made")
    command, _ = codec.decode(call, Route("POST", "/", "predict"), "m", "", SEES_ALL)
    assert isinstance(command, Infer)
    return command.request


def test_version_1_is_the_body_as_it_was_sent():
    body = {"instances": [[1, 2], [3]], "more": True}
    assert KServe().payload(sent(v1, body)) == body
    assert KServe().payload(sent(v1, [1, "two"])) == [1, "two"]
    assert KServe().payload(sent(v1, b"\xff\xd8", {"content-type": "image/jpeg"})) == b"\xff\xd8"


def test_version_2_is_kserves_request_with_the_lists_as_they_were_sent():
    body = {
        "id": "7",
        "parameters": {"content_type": "pd"},
        "inputs": [
            {"name": "x", "shape": [2, 1], "datatype": "fp32", "data": [[1], [2]], "parameters": {"a": 1}},
            {"name": "t", "shape": [1], "datatype": "BYTES", "data": ["ö"]},
        ],
        "outputs": [{"name": "y", "parameters": {"binary_data": False}}],
    }
    request = KServe().payload(sent(v2, body))
    assert isinstance(request, InferRequest)
    assert (request.id, request.model_name, request.parameters) == ("7", "m", {"content_type": "pd"})
    x, t = request.inputs
    assert (x.name, x.shape, x.datatype, x.data, x.parameters) == ("x", [2, 1], "FP32", [[1], [2]], {"a": 1})
    assert (t.data, t.parameters) == (["ö"], {})
    assert [(each.name, each.binary_data) for each in request.request_outputs] == [("y", False)]


def test_a_request_without_an_id_or_parameters_has_the_id_that_was_made_and_none():
    request = KServe().payload(sent(v2, {"inputs": [{"name": "x", "shape": [1], "datatype": "INT8", "data": [1]}]}))
    assert (request.id, request.parameters, request.request_outputs) == ("made", None, None)


def test_binary_comes_without_its_size_and_is_ones_own_to_write_into():
    numbers = np.arange(4, dtype=np.float32)
    head = {"inputs": [{"name": "x", "shape": [4], "datatype": "FP32", "parameters": {"binary_data_size": 16, "a": 1}}]}
    decoded = sent(v2, head, {"content-type": "application/octet-stream"}, numbers.tobytes())
    (x,) = KServe().payload(decoded).inputs
    x.as_numpy()[:] = 7
    assert (x.data, x.parameters) == ([0, 1, 2, 3], {"a": 1})


def test_what_comes_in_process_and_is_no_tensor_is_its_text():
    request = message.InferRequest(model="m", inputs={"x": Json({"a": 1}), "y": Raw(b"\xff")}, outputs=("z",))
    asked = infer_request(request)
    assert [each.data for each in asked.inputs] == [['{"a":1}'], [b"\xff"]]
    assert [each.name for each in asked.request_outputs] == ["z"]


# ---- answers

PLAIN = message.InferRequest(model="m", inputs={}, body={}, plain=True)
TYPED = message.InferRequest(model="m", inputs={})


def answered(result, request=TYPED):
    answering = Answering()
    return KServe().answer(result, request, answering), answering


def test_a_response_is_tensors_by_name_with_what_goes_beside_them():
    y = InferOutput("y", [2], "INT64", parameters={"a": 1})
    y.set_data_from_numpy(np.array([1, 2]))
    response = InferResponse("1", "m", [y, InferOutput("t", [1], "BYTES", ["ö"])], parameters={"b": 2})
    values, answering = answered(response)
    assert values["y"].array.tolist() == [1, 2]
    assert values["t"].array.tolist() == ["ö".encode()]
    assert (answering.parameters, answering.output_parameters) == ({"b": 2}, {"y": {"a": 1}})


def test_a_dict_of_version_2_is_a_response_and_any_other_is_json():
    entry = {"name": "y", "shape": [2], "datatype": "FP32", "data": [1, 2]}
    values, _ = answered({"id": "1", "model_name": "m", "outputs": [entry]})
    assert values["y"].datatype is Datatype.FP32
    assert answered({"outputs": [1]})[0].value == {"outputs": [1]}
    assert answered({"outputs": [entry]}, PLAIN)[0].value == {"outputs": [entry]}


def test_to_version_1_a_response_is_its_body():
    y = InferOutput("y", [1], "INT64", [1])
    value, _ = answered(InferResponse("1", "m", [y]), PLAIN)
    assert value.value["outputs"] == [{"name": "y", "shape": [1], "datatype": "INT64", "data": [1]}]
    value, _ = answered(InferResponse("1", "m", [y], use_binary_outputs=True), PLAIN)
    assert value.data.endswith(b"\x01\0\0\0\0\0\0\0")


@pytest.mark.parametrize(
    ("result", "expected"), [(b"\xff", Raw(b"\xff")), ("ö", Raw("ö".encode())), ([1, None], Json([1, None]))]
)
def test_other_answers_are_what_they_are(result, expected):
    value, _ = answered(result, PLAIN)
    assert type(value) is type(expected)
    assert getattr(value, "data", None) == getattr(expected, "data", None)
    assert getattr(value, "value", None) == getattr(expected, "value", None)


def test_nothing_is_null_to_version_1_and_no_answer_to_version_2():
    assert answered(None, PLAIN)[0].value is None
    with pytest.raises(WrongAnswer):
        answered(None)


# ---- a predictor


def test_a_request_for_a_predictor_and_its_answer():
    x = InferInput("x", [2], "FP32", [1, 2], {"a": 1})
    asked = KServe().asked(InferRequest("other", [x], "7", parameters={"p": 1}))
    assert (asked.id, asked.parameters, asked.inputs["x"].array.tolist()) == ("7", {"p": 1}, [1, 2])
    assert KServe().asked({"instances": []}) is None
    came = message.InferResponse(
        model="m", outputs={"y": tensor(np.array([1.0, 2.0]))}, id="7", version="3", parameters={"q": 2}
    )
    answer = KServe().answered(came)
    assert (answer.id, answer.model_version, answer.parameters, answer.outputs[0].data) == ("7", "3", {"q": 2}, [1, 2])
    answer = KServe().answered(came)
    answer.outputs[0].as_numpy()[:] = 0
    assert came.outputs["y"].array.tolist() == [1, 2]


def test_a_tensor_goes_through_as_it_came():
    halves = Tensor(Datatype.FP16, np.ones(2, np.float16))
    asked = KServe().asked(infer_request(message.InferRequest(model="m", inputs={"x": halves})))
    assert asked.inputs["x"].array is halves.array or np.shares_memory(asked.inputs["x"].array, halves.array)
