"""Version 2 with a binary tail: golden bytes, round trips, precedence of the flags, and every byte accounted for."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Code, InferError, InvalidInput
from pipeline.tensors.message import Infer, InferRequest, InferResponse
from pipeline.tensors.signature import Expectation
from pipeline.tensors.tensor import Json, tensor
from pipeline.wire import v2
from pipeline.wire.codec import Call, Reply
from pipeline.wire.v2 import Options
from tests.tensors.strategies import NAMES, has_infinity, same, tensors

NAMED = st.dictionaries(NAMES, tensors(texts=False), max_size=4)
INFER = next(route for route in v2.ROUTES if route.verb == "predict")
FP32 = {"name": "x", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}
ONES = np.array([1.0, 2.0], np.float32).tobytes()


def call(body: object, tail: bytes = b"", length: object = None, **headers: str) -> Call:
    head = body if isinstance(body, bytes) else json.dumps(body).encode()
    announced = str(len(head) if length is None else length)
    return Call("POST", "/v2/models/m/infer", {"inference-header-content-length": announced, **headers}, head + tail)


def decoded(own: Call) -> tuple[InferRequest, Options]:
    command, options = v2.decode(own, INFER, "m", "1", Expectation())
    assert isinstance(command, Infer)
    return command.request, options


def refusal(own: Call) -> str:
    with pytest.raises(InferError) as caught:
        decoded(own)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert len(caught.value.message) < 300
    return caught.value.message


def reply(options: Options, **outputs: object) -> Reply:
    values = {name: tensor(value) if isinstance(value, np.ndarray) else value for name, value in outputs.items()}
    return v2.encode(InferResponse(model="m", outputs=values, id="7", version="1"), options)


# ---- both sides


@given(inputs=NAMED, chosen=st.sets(NAMES), data=st.data())
def test_what_a_client_sends_in_binary_a_server_reads(inputs, chosen, data) -> None:
    texts = [name for name, own in inputs.items() if own.datatype.name == "BYTES"]
    infinite = [name for name, own in inputs.items() if has_infinity(own)]
    options = Options(data.draw(st.booleans()), dict.fromkeys([*texts, *infinite], True))
    sent = v2.encode_request(Infer(InferRequest(model="m", inputs=inputs), "predict"), options)
    read, wanted = decoded(sent)
    assert read.inputs.keys() == inputs.keys()
    assert all(same(own, read.inputs[name]) for name, own in inputs.items())
    assert wanted.binary == options.binary


@given(outputs=NAMED)
def test_what_a_server_answers_in_binary_a_client_reads(outputs) -> None:
    answered = v2.encode(InferResponse(model="m", outputs=outputs, id="7", version="1"), Options(binary=True))
    back = v2.decode_reply(answered, Infer(InferRequest(model="m", inputs={}), "predict"))
    assert isinstance(back, InferResponse)
    assert back.outputs.keys() == outputs.keys()
    assert all(same(own, back.outputs[name]) for name, own in outputs.items())


# ---- the reply, byte for byte as KServe orders it


def test_a_binary_reply_is_its_json_and_then_the_tensors() -> None:
    own = reply(Options(binary=True), y=np.array([[1.0, 2.0]], np.float32), s=np.array([b"\xff"], object))
    head = (
        b'{"id":"7","model_name":"m","model_version":"1","outputs":['
        b'{"name":"y","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}},'
        b'{"name":"s","shape":[1],"datatype":"BYTES","parameters":{"binary_data_size":5}}]}'
    )
    assert [bytes(part) for part in own.body] == [head, ONES, b"\x01\0\0\0\xff"]
    assert own.headers == {
        "content-type": "application/octet-stream",
        "inference-header-content-length": str(len(head)),
    }


def test_json_and_binary_outputs_are_mixed_as_asked() -> None:
    own = reply(Options(binary=True, outputs={"a": False}), a=np.array([1]), b=np.array([2], np.int8), j=Json({"k": 1}))
    head, *tail = own.body
    assert json.loads(bytes(head))["outputs"] == [
        {"name": "a", "shape": [1], "datatype": "INT64", "data": [1]},
        {"name": "b", "shape": [1], "datatype": "INT8", "parameters": {"binary_data_size": 1}},
        {"name": "j", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 11}},
    ]
    assert b"".join(bytes(part) for part in tail) == b'\x02\x07\0\0\0{"k":1}'


def test_a_reply_without_binary_outputs_is_plain_json() -> None:
    own = reply(Options(binary=True, outputs={"a": False}), a=np.array([1]))
    assert own.headers == {"content-type": "application/json"}


def test_a_tensor_goes_out_from_its_own_memory() -> None:
    array = np.arange(2_000, dtype=np.float32)
    assert np.shares_memory(np.frombuffer(reply(Options(binary=True), y=array).body[1], np.uint8), array)


# ---- the request


def test_a_tensor_is_a_view_of_the_body() -> None:
    own = call({"inputs": [FP32]}, ONES)
    request, _ = decoded(own)
    assert request["x"].tolist() == [1.0, 2.0]
    assert np.shares_memory(request["x"], np.frombuffer(own.body, np.uint8))


@pytest.mark.parametrize("media", [None, "application/octet-stream", "application/json", "application/vnd.x+json"])
def test_the_header_alone_says_that_there_is_a_tail_20(media) -> None:
    headers = {"content-type": media} if media else {}
    assert decoded(call({"inputs": [FP32]}, ONES, **headers))[0]["x"].tolist() == [1.0, 2.0]


def test_json_and_binary_inputs_are_mixed_in_order() -> None:
    inputs = [FP32, {"name": "j", "shape": [1], "datatype": "INT8", "data": [3]}, FP32 | {"name": "z"}]
    request, _ = decoded(call({"inputs": inputs}, ONES + ONES[::-1][4:] + ONES[4:]))
    assert list(request.inputs) == ["x", "j", "z"]
    assert (request["j"].tolist(), request["z"].tolist()[1]) == ([3], 2.0)


def test_null_data_beside_a_size_is_no_data_as_kserves_client_writes_an_empty_tensor() -> None:
    empty = {"name": "e", "shape": [0, 3], "datatype": "FP32", "parameters": {"binary_data_size": 0}, "data": None}
    request, _ = decoded(call({"inputs": [empty, FP32 | {"data": None}]}, ONES))
    assert (request["e"].shape, request["x"].tolist()) == ((0, 3), [1.0, 2.0])


@pytest.mark.parametrize(
    ("flags", "binary"),
    [
        ({}, {"a": False, "b": False}),
        ({"parameters": {"binary_data_output": True}}, {"a": True, "b": True}),
        ({"outputs": [{"name": "a", "parameters": {"binary_data": True}}, {"name": "b"}]}, {"a": True, "b": False}),
        (
            {
                "parameters": {"binary_data_output": True},
                "outputs": [{"name": "a"}, {"name": "b", "parameters": {"binary_data": False}}],
            },
            {"a": True, "b": False},
        ),
    ],
)
def test_the_request_gives_the_default_and_an_output_wins_18(flags, binary) -> None:
    _, options = decoded(call({"inputs": [], **flags}))
    assert {name: options.is_binary(name) for name in binary} == binary


@pytest.mark.parametrize(
    ("own", "reason"),
    [
        (call({"inputs": [FP32]}, ONES[:7]), 'input "x" (FP32[2]): its binary_data_size is 8, and 7 bytes are left'),
        (call({"inputs": [FP32]}), "its binary_data_size is 8, and 0 bytes are left"),
        (call({"inputs": [FP32]}, ONES + b"!"), '1 bytes after input "x" (FP32[2]) belong to no tensor'),
        (call({"inputs": []}, b"!!"), "2 bytes after the JSON belong to no tensor"),
        (call({"inputs": [FP32, FP32 | {"name": "z"}]}, ONES), 'input "z" (FP32[2]): its binary_data_size is 8, and 0'),
        (call({"inputs": [FP32 | {"parameters": {"binary_data_size": 4}}]}, ONES), "expected 8 bytes, got 4"),
        (call({"inputs": [FP32 | {"parameters": {"binary_data_size": -8}}]}, ONES), "a whole number from 0, got -8"),
        (call({"inputs": [FP32 | {"parameters": {"binary_data_size": 8.0}}]}, ONES), "a whole number from 0, got 8.0"),
        (
            call({"inputs": [FP32 | {"parameters": {"binary_data_size": True}}]}, ONES),
            "a whole number from 0, got True",
        ),
        (call({"inputs": [FP32 | {"parameters": {"binary_data_size": "8"}}]}, ONES), "a whole number from 0, got '8'"),
        (
            call({"inputs": [FP32 | {"parameters": {"binary_data_size": 10**30}}]}, ONES),
            "a whole number from 0, got 1e+30",
        ),
        (call({"inputs": [FP32 | {"data": [1, 2]}]}, ONES), "a tensor is in one form"),
        (call({"inputs": [FP32 | {"parameters": {}}]}, ONES), "'data' field is missing for input 'x' for model 'm'"),
        (call({"inputs": [FP32 | {"datatype": "BOOL", "shape": [8]}]}, ONES), "a BOOL is a byte 0 or 1"),
        (call({"inputs": [FP32 | {"datatype": "BYTES", "shape": [1]}]}, ONES), "element 0 has"),
        (call({"inputs": [FP32]}, ONES, length=5), "Unrecognized request format"),
        (call({"inputs": [FP32]}, ONES, length=10**6), "is the length of the JSON, at most"),
        (call({"inputs": [FP32]}, ONES, length=-1), 'got "-1"'),
        (call({"inputs": [FP32]}, ONES, length="1e3"), 'got "1e3"'),
        (call({"inputs": [FP32]}, ONES, length="٣"), "is the length of the JSON"),
        (call({"inputs": [FP32]}, ONES, length=""), "is the length of the JSON"),
        (call({"inputs": [FP32]}, ONES, length="9" * 5000), "is the length of the JSON"),
        (call(b"", ONES, length=0), "Unrecognized request format"),
    ],
)
def test_every_byte_is_accounted_for_14(own: Call, reason: str) -> None:
    assert reason in refusal(own)


def test_an_unreadable_reply_is_the_answering_servers_fault() -> None:
    whole = reply(Options(binary=True), y=np.ones(2, np.float32))
    asked = Infer(InferRequest(model="m", inputs={}), "predict")
    for headers, body in [
        (whole.headers, whole.body[:1]),
        (whole.headers, [*whole.body, b"!"]),
        ({**whole.headers, "inference-header-content-length": "x"}, whole.body),
    ]:
        with pytest.raises(InferError) as caught:
            v2.decode_reply(Reply(200, headers, body), asked)
        assert caught.value.code is Code.BAD_UPSTREAM


@given(st.binary(max_size=60), st.integers(-2, 70))
def test_any_bytes_under_any_length_are_read_or_refused(body: bytes, length: int) -> None:
    try:
        decoded(call(body, length=length))
    except InvalidInput as error:
        assert len(error.message) < 300


@given(st.integers(0, 7), st.integers(0, 255), st.data())
def test_a_body_with_one_byte_changed_is_read_or_refused(kind: int, byte: int, data) -> None:
    own = call({"inputs": [FP32, FP32 | {"name": "s", "datatype": "BYTES", "shape": [1]}]}, ONES + b"\x04\0\0\0abcd")
    spot = data.draw(st.integers(0, len(own.body) - 1))
    changed = bytearray(own.body)
    match kind % 3:
        case 0:
            changed[spot] = byte
        case 1:
            changed.insert(spot, byte)
        case _:
            del changed[spot]
    try:
        decoded(Call(own.method, own.path, own.headers, bytes(changed)))
    except InferError as error:
        assert error.code is Code.INVALID_ARGUMENT
