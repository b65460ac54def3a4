"""Answers that go out as they are, in both protocols; and what is said of one that cannot."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipeline.errors import Code, InferError, InvalidInput, WrongAnswer
from pipeline.tensors.message import Infer, InferRequest, InferResponse
from pipeline.tensors.tensor import Json, Raw, tensor
from pipeline.wire import v1, v2
from tests.wire.calls import decoded

GIF = Raw(b"GIF89a")
HEADERS = {"content-type": "image/gif", "content-encoding": "gzip", "x-a": "b", "content-length": "99"}
BODIES = {
    v1: {"instances": [1]},
    v2: {"inputs": [{"name": "x", "datatype": "INT64", "shape": [1], "data": [1]}]},
}


def encoded(codec, outputs, **more):
    _, options = decoded(codec, BODIES[codec])
    return codec.encode(InferResponse(model="m", outputs=outputs, **more), options)


async def chunks():
    yield b"one"


@pytest.mark.parametrize("codec", BODIES)
def test_bytes_go_out_as_they_are_with_no_type_but_their_models(codec):
    plain = encoded(codec, {"x": GIF})
    assert (plain.status, plain.headers, list(plain.body)) == (200, {}, [b"GIF89a"])
    typed = encoded(codec, {"x": GIF}, headers=HEADERS)
    assert typed.headers == {"content-type": "image/gif", "content-encoding": "gzip", "x-a": "b"}


@pytest.mark.parametrize("codec", BODIES)
@pytest.mark.parametrize("other", [tensor(np.zeros(1)), Json({"a": 1}), GIF])
def test_beside_another_output_they_cannot(codec, other):
    with pytest.raises(WrongAnswer, match=r'output "x" is raw bytes \(6\), which goes out by itself, and there are 2'):
        encoded(codec, {"x": GIF, "y": other})


def test_a_stream_is_an_answer_of_version_1():
    stream = Raw(chunks())
    reply = encoded(v1, {"x": stream}, headers={"content-type": "text/event-stream"})
    assert (reply.headers, reply.body, reply.stream) == ({"content-type": "text/event-stream"}, (), stream.data)


def test_version_2_has_no_word_for_a_stream_and_says_who_has():
    with pytest.raises(InferError, match='model "m" answers with a stream; ask it with version 1 of the protocol') as e:
        encoded(v2, {"x": Raw(chunks())})
    assert e.value.code is Code.UNIMPLEMENTED


@pytest.mark.parametrize("codec", BODIES)
def test_no_protocol_carries_them_in(codec):
    request = InferRequest(model="m", inputs={"x": GIF})
    with pytest.raises(InvalidInput, match=r'input "x" is raw bytes \(6\), which no protocol carries'):
        codec.encode_request(Infer(request, "predict"), None)


def test_headers_of_an_answer_of_tensors_and_which_of_them_version_2_keeps():
    outputs = {"x": tensor(np.zeros(1))}
    one = encoded(v1, outputs, headers=HEADERS)
    assert one.headers == {"content-type": "image/gif", "x-a": "b"}
    two = encoded(v2, outputs, headers=HEADERS)
    assert two.headers == {"content-type": "application/json", "x-a": "b"}


def test_parameters_of_an_answer_and_of_its_outputs_stand_where_kserve_has_them():
    outputs = {"x": tensor(np.zeros(1)), "y": tensor(np.ones(1))}
    said = {"parameters": {"n": np.int64(1)}, "output_parameters": {"x": {"unit": "m"}, "gone": {"a": 1}}}
    body = json.loads(b"".join(encoded(v2, outputs, **said).body))
    assert list(body) == ["model_name", "model_version", "id", "parameters", "outputs"]
    assert body["parameters"] == {"n": 1}
    assert [own["parameters"] for own in body["outputs"]] == [{"unit": "m"}, None]

    wish = {**BODIES[v2], "parameters": {"binary_data_output": True}}
    _, options = decoded(v2, wish)
    reply = v2.encode(InferResponse(model="m", outputs=outputs, **said), options)
    head = json.loads(bytes(reply.body[0]))
    assert [own["parameters"] for own in head["outputs"]] == [
        {"unit": "m", "binary_data_size": 8}, {"binary_data_size": 8},
    ]  # fmt: skip
    assert head["parameters"] == {"n": 1}

    one = {**BODIES[v2], "outputs": [{"name": "y", "parameters": {"binary_data": True}}, {"name": "x"}]}
    _, options = decoded(v2, one)
    head = json.loads(bytes(v2.encode(InferResponse(model="m", outputs=outputs, **said), options).body[0]))
    assert list(head["outputs"][0]) == ["name", "shape", "datatype", "parameters", "data"]


def test_a_parameter_that_is_no_json_is_the_models_fault():
    with pytest.raises(WrongAnswer, match="the answer is no JSON"):
        encoded(v2, {"x": tensor(np.zeros(1))}, parameters={"p": object()})
