"""What every protocol file offers: the shape of a codec, its routes, and that both sides of it agree."""

from __future__ import annotations

import inspect

import pytest

from pipeline.errors import Code, InferError, InvalidInput
from pipeline.tensors.message import (
    AskLive,
    AskModel,
    AskModelReady,
    AskModels,
    AskReady,
    AskServer,
    Infer,
    InferRequest,
    Live,
    ModelMetadata,
    ModelReady,
    Models,
    Ready,
    ServerMetadata,
)
from pipeline.tensors.nested import tensor_of
from pipeline.tensors.signature import Expectation, Signature, parse_spec
from pipeline.tensors.tensor import Json
from pipeline.wire import repository, v1, v2
from pipeline.wire.codec import Call, Codec, codecs
from server.routes import Routes
from tests.wire.calls import reply

SIGNATURE = Signature({"x": parse_spec("FP32[-1,4]")}, {"y": parse_spec("BYTES[-1]")})
ANSWERS = [
    (v1, AskLive(), Live(live=True)),
    (v1, AskModels(), Models(("a", "b"))),
    (v1, AskModels(), Models(())),
    (v1, AskModelReady("m"), ModelReady("m", ready=True)),
    (v2, AskLive(), Live(live=True)),
    (v2, AskReady(), Ready(ready=True)),
    (v2, AskServer(), ServerMetadata("pipeline-serve", "0.1.0")),
    (v2, AskModels(), Models(("a", "b"))),
    (v2, AskModel("m"), ModelMetadata("m", ("1", "2"), "", SIGNATURE)),
    (v2, AskModel("m", "2"), ModelMetadata("m", ("2",), "p", Signature())),
    (v2, AskModelReady("m"), ModelReady("m", ready=True)),
    (v2, AskModelReady("m", "2"), ModelReady("m", ready=True)),
]


def test_every_file_with_routes_is_a_codec_under_its_own_name():
    assert codecs() == {"v1": v1, "v2": v2, "repository": repository}


@pytest.mark.parametrize("codec", [v1, v2])
def test_a_codec_has_every_function_with_the_protocols_arity(codec):
    for name, wanted in inspect.getmembers(Codec, inspect.isfunction):
        if not name.startswith("_"):
            inspect.signature(getattr(codec, name)).bind(*list(inspect.signature(wanted).parameters)[1:])


@pytest.mark.parametrize("codec", [v1, v2])
def test_a_route_runs_a_model_or_asks_the_server(codec):
    for route in codec.ROUTES:
        assert route.verb is not None or callable(route.asks)
        assert route.method == ("POST" if route.verb else "GET")


@pytest.mark.parametrize(("codec", "command", "result"), ANSWERS, ids=lambda value: getattr(value, "__name__", None))
def test_what_a_client_asks_and_is_told_is_what_the_server_was_asked_and_said(codec, command, result):
    call = codec.encode_request(command, None)
    match = Routes().match(call.method, call.path)
    names = {name: text for name, text in (("model", match.model), ("version", match.version)) if text}
    assert match.codec is codec
    assert match.route.asks(**names) == command

    back = codec.decode_reply(codec.encode(result, None), command)
    told = ("name", "names", "live", "ready", "version", "versions", "platform", "signature")
    assert type(back) is type(result)
    assert [getattr(back, name, None) for name in told] == [getattr(result, name, None) for name in told]


@pytest.mark.parametrize("codec", [v1, v2])
@pytest.mark.parametrize("verb", ["predict", "explain"])
@pytest.mark.parametrize("version", ["", "7"])
def test_an_inference_goes_to_the_route_of_its_verb(codec, verb, version):
    call = codec.encode_request(Infer(InferRequest(model="a b", version=version, inputs={}), verb), None)
    match = Routes().match(call.method, call.path)
    assert (match.codec, match.route.verb, match.model) == (codec, verb, "a b")
    assert match.version == ("" if codec is v1 else version)
    assert call.headers["content-type"] == "application/json"


@pytest.mark.parametrize("codec", [v1, v2])
def test_a_callers_own_content_type_does_not_name_ours(codec):
    request = InferRequest(model="m", inputs={}, headers={"content-type": "text/plain", "x-request-id": "7"})
    call = codec.encode_request(Infer(request, "predict"), None)
    assert call.headers == {"content-type": "application/json", "x-request-id": "7"}


@pytest.mark.parametrize(
    ("codec", "result", "text"),
    [
        (v1, Live(live=False), "Server is not live."),
        (v2, Live(live=False), "Server is not live."),
        (v2, Ready(ready=False), "Server is not ready."),
        (v1, ModelReady("m", ready=False), "Model with name m is not ready."),
        (v2, ModelReady("m", ready=False), "Model with name m is not ready."),
    ],
)
def test_what_is_not_ready_is_an_error_in_kserves_words(codec, result, text):
    with pytest.raises(InferError) as caught:
        codec.encode(result, None)
    assert (caught.value.code, caught.value.message) == (Code.UNAVAILABLE, text)


@pytest.mark.parametrize(
    ("side", "value"),
    [
        ("encode", Ready(ready=True)),
        ("encode", ServerMetadata("n", "v")),
    ],
)
def test_what_a_protocol_does_not_have_is_said_by_name(side, value):
    with pytest.raises(InferError, match=f"version 1 of the protocol has no {type(value).__name__}"):
        getattr(v1, side)(value, None)


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (AskReady(), "readiness of a server, only of a model"),
        (AskServer(), "metadata"),
        (AskModel("m"), "metadata"),
    ],
)
def test_what_a_protocol_cannot_be_asked_is_said_with_the_one_that_can(command, what):
    told = f'version 1 of the protocol has no {what}; protocol="v2" has'
    with pytest.raises(InvalidInput) as caught:
        v1.encode_request(command)
    assert caught.value.reason == told
    with pytest.raises(InvalidInput) as caught:
        v1.decode_reply(reply(200, b"{}"), command)
    assert caught.value.reason == told


X = {"name": "x", "datatype": "FP32", "shape": [1]}
PREDICT = Infer(InferRequest(model="m", inputs={}), "predict")
ASKED = [(codec, command) for codec, command, _ in ANSWERS] + [(v1, PREDICT), (v2, PREDICT)]
HOSTILE = [
    b"",
    b"<html>",
    b"null",
    b"[]",
    b"1",
    b'"text"',
    b"{}",
    b'{"outputs": [NaN]}',
    {"models": 5},
    {"models": [1]},
    {"models": None},
    {"versions": 1},
    {"versions": [1]},
    {"platform": []},
    {"name": 5},
    {"version": {}},
    {"inputs": 5},
    {"inputs": [5]},
    {"inputs": [{}]},
    {"inputs": [X | {"name": 1}]},
    {"inputs": [X | {"shape": ["n"]}]},
    {"inputs": [X | {"datatype": 5}]},
    {"inputs": [X | {"shape": 5}]},
    {"outputs": 5},
    {"outputs": [5]},
    {"outputs": [X]},
    {"outputs": [X | {"data": [1, 2]}]},
    {"outputs": [X | {"data": [1]}] * 2},
    {"outputs": [X | {"parameters": {"binary_data_size": 4}}]},
    {"outputs": [], "id": 5},
    {"outputs": [], "parameters": 5},
    {"outputs": [], "model_version": 1},
]


@pytest.mark.parametrize(("codec", "command"), ASKED, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_a_reply_that_is_not_of_the_protocol_is_the_answering_servers_fault(codec, command, body):
    try:
        codec.decode_reply(reply(200, body), command)
    except InferError as error:
        assert error.code is Code.BAD_UPSTREAM
        assert error.message.startswith("the reply is unreadable: ")
        assert len(error.message) < 500


def test_a_call_is_taken_apart_by_position():
    assert Call("GET", "/").body == b""
    assert Expectation().takes_tensors


@pytest.mark.parametrize("binary", [True, False])
def test_a_client_may_prefer_binary_and_gets_it_where_the_protocol_has_it(binary):
    infer = Infer(InferRequest(model="m", inputs={"x": tensor_of([1, 2])}), "predict")
    media = {codec: codec.encode_request(infer, codec.preferring(binary)).headers["content-type"] for codec in (v1, v2)}
    assert media == {v1: "application/json", v2: "application/octet-stream" if binary else "application/json"}


@pytest.mark.parametrize("codec", [v1, v2])
@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize(
    "more",
    [
        {"inputs": {"x": Json({"a": object()})}},
        {"inputs": {"x": Json([2**70])}},
        {"inputs": {"x": Json(["\ud800"])}},
        {"inputs": {"x": tensor_of([1])}, "parameters": {"p": object()}},
        {"inputs": {"x": tensor_of([1])}, "parameters": {"p": 2**70}},
    ],
    ids=range(5),
)
def test_what_json_cannot_say_is_the_clients_fault(codec, binary, more):
    infer = Infer(InferRequest(model="m", **more), "predict")
    with pytest.raises(InferError) as caught:
        codec.encode_request(infer, codec.preferring(binary))
    assert type(caught.value) is InvalidInput


def test_outputs_are_not_dropped_in_silence():
    with pytest.raises(InvalidInput, match="version 1 of the protocol chooses no outputs"):
        v1.encode_request(Infer(InferRequest(model="m", inputs={}, outputs=("y",)), "predict"), None)


@pytest.mark.parametrize("command", [AskLive(), AskReady(), AskModelReady("m")])
def test_tritons_empty_yes_is_a_yes_and_nothing_else_is(command):
    result = v2.decode_reply(reply(200, b""), command)
    assert getattr(result, "live", True)
    assert getattr(result, "ready", True)
    for status, body in ((200, b" "), (204, b"")):
        with pytest.raises(InferError):
            v2.decode_reply(reply(status, body), command)
    with pytest.raises(InferError):
        v2.decode_reply(reply(200, b""), AskServer())


def test_a_server_names_its_extensions():
    told = v2.decode_reply(v2.encode(ServerMetadata("n", "v"), None), AskServer())
    assert told == ServerMetadata("n", "v", v2.EXTENSIONS)


def test_a_length_of_json_that_the_request_came_with_does_not_go_on():
    request = InferRequest(model="m", inputs={}, headers={"inference-header-content-length": "7", "x-a": "b"})
    assert v2.encode_request(Infer(request, "predict"), None).headers == {
        "x-a": "b",
        "content-type": "application/json",
    }


@pytest.mark.parametrize("codec", [v1, v2])
@pytest.mark.parametrize("body", [{"name": 1}, {"models": None}, {"models": [1]}, []])
def test_a_list_of_models_that_is_none_is_not_an_empty_one(codec, body):
    with pytest.raises(InferError) as caught:
        codec.decode_reply(reply(200, body), AskModels())
    assert caught.value.code is Code.BAD_UPSTREAM


@pytest.mark.parametrize(("codec", "not_its_own"), [(v1, ("inputs", "instances")), (v2, ("list", "object", "none"))])
def test_parameters_go_on_to_another_server_but_for_those_of_one_exchange(codec, not_its_own):
    scalars = {"factor": 3, "rate": 0.5, "lang": "de", "exact": False, "timeouts": 1, "inputs": "a", "instances": 2}
    of_one_hop = {"timeout": 5, "binary_data": True, "binary_data_output": True, "binary_data_size": 4}
    given = {**scalars, **of_one_hop, "list": [1], "object": {"a": 1}, "none": None}
    left = {*of_one_hop, *not_its_own}
    assert codec.travelling(given) == {name: value for name, value in given.items() if name not in left}
