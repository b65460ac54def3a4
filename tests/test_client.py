"""The client against a real server, in every protocol and form, on trio and on asyncio; and against raw replies."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import json
import math
import pickle
import socket
import threading
from functools import partial

import anyio
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from pipeline import exchange
from pipeline.client import Client
from pipeline.errors import (
    Code,
    DeadlineExceeded,
    InferenceError,
    InferError,
    InvalidInput,
    ModelNotFound,
    ModelNotReady,
    Overloaded,
    ServerNotReady,
)
from pipeline.pipeline import Pipeline
from pipeline.tensors import bfloat16
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.signature import parse_spec
from pipeline.tensors.tensor import Json, Tensor, byte_strings, frozen
from pipeline.wire.codec import codecs, inferring
from tests.conformance.zoo import FILES, GRAPHS, LOADING
from tests.raw import answer, answering, answering_and_closing, raw_server, read_request
from tests.serving import serving
from tests.tensors.strategies import same, tensors

SAME = """
def same(x):
    return x


def half(x):
    return x / 2


def both(a, b):
    return {"a": a, "b": b}
"""
ZOO = {
    **FILES,
    "same.py": SAME,
    "same.yaml": "steps: {same: 'same.py:same'}",
    "both.yaml": "schema: {inputs: {a: 'FP32[n]', b: 'INT64[n]'}, outputs: {a: 'FP32[n]', b: 'INT64[n]'}}\n"
    "steps: {both: 'same.py:both'}",
    "halves.yaml": "steps: {whole: 'same.py:same', half: {run: 'same.py:half', inputs: request}}\n"
    "output: {predict: whole, explain: half}\n",
}
FORMS = [("v1", False), ("v2", False), ("v2", True)]
NAMES = itertools.count()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(
        tmp_path_factory.mktemp("zoo"), ZOO, graphs=[*GRAPHS, "same.yaml", "both.yaml", "halves.yaml"]
    ) as server:
        yield server


@pytest.fixture(params=["trio", "asyncio"])
def run(request):
    return partial(anyio.run, backend=request.param)


@pytest.fixture(params=FORMS, ids=["v1", "v2-json", "v2-binary"])
def form(request):
    protocol, binary = request.param
    return {"protocol": protocol, "binary": binary}


def client(url, **how):
    return Client(url, trust_env=False, **how)


def asking(run, url, ask, **how):
    """What ``ask(client)`` returns."""

    async def go():
        async with client(url, **how) as there:
            return await ask(there)

    return run(go)


def refusal(run, url, ask, kind=InferError, **how):
    async def go(there):
        with pytest.raises(kind) as caught:
            await ask(there)
        assert type(caught.value) in (kind, exchange.NotConnected)  # which is one where nobody was reached
        return caught.value

    return asking(run, url, go, **how)


# ---- explanations


def test_an_explanation_comes_from_the_graphs_own_output(run, server, form):
    async def ask(there):
        sent = {"x": np.array([[1.0, 3.0]])}
        return await there.explain("halves", sent, id="7"), await there.infer("halves", sent)

    explained, predicted = asking(run, server.url, ask, **form)
    assert explained.id == "7"
    names = ("explanations", "predictions") if form["protocol"] == "v1" else ("half", "whole")
    assert explained[names[0]].tolist() == [[0.5, 1.5]]
    assert predicted[names[1]].tolist() == [[1.0, 3.0]]


# ---- tensors there and back


def made(datatype, shape):
    count = math.prod(shape)
    match datatype:
        case Datatype.BYTES:
            return Tensor(datatype, frozen(byte_strings([b"\xff\x00\xfe" * n for n in range(count)], shape)))
        case Datatype.BF16:
            return Tensor(datatype, frozen(bfloat16.from_float32(np.arange(count, dtype=np.float32)).reshape(shape)))
        case _:
            return Tensor(datatype, frozen(np.arange(count).astype(datatype.dtype).reshape(shape)))


@pytest.mark.parametrize("datatype", Datatype)
@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (3,), (2, 3), (1,) * 8], ids=str)
def test_every_datatype_travels_there_and_back_in_binary(run, server, datatype, shape):
    sent = made(datatype, shape)
    response = asking(run, server.url, lambda there: there.infer("same", {"x": sent}, id="7"))
    assert same(sent, response.outputs["same"])
    assert (response.model, response.id, response.version) == ("same", "7", "1")
    assert not response["same"].flags.writeable


@pytest.mark.parametrize("datatype", [datatype for datatype in Datatype if datatype is not Datatype.BYTES])
@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (2, 3)], ids=str)
def test_every_datatype_but_bytes_that_are_no_text_travels_as_json(run, server, datatype, shape):
    sent = made(datatype, shape)
    response = asking(run, server.url, lambda there: there.infer("same", {"x": sent}), binary=False)
    assert same(sent, response.outputs["same"])


@pytest.mark.parametrize("datatype", Datatype)
@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (2, 3)], ids=str)
def test_every_value_travels_in_the_protocol_of_rows(run, server, datatype, shape):
    sent = made(datatype, shape)
    response = asking(run, server.url, lambda there: there.infer("same", {"x": sent}, id="7"), protocol="v1")
    (name,) = response.outputs
    assert name == ("predictions" if shape else "outputs")
    assert response[name].tolist() == sent.numbers.tolist()
    assert response[name].shape == shape
    assert response.id == "7"


def test_bytes_that_are_no_text_are_refused_as_json_with_the_way_out(run, server):
    error = refusal(run, server.url, lambda there: there.infer("same", {"x": b"\xff"}), InvalidInput, binary=False)
    assert error.message == 'input "x" is BYTES that are not UTF-8, which JSON cannot carry; send it in binary'


@pytest.mark.parametrize(("protocol", "binary"), FORMS[:2], ids=["v1", "v2-json"])
@pytest.mark.parametrize("given", [np.array([np.inf, 1.0]), np.float32(-np.inf), [1.5, math.inf]], ids=repr)
def test_what_would_arrive_as_another_number_is_not_sent(run, protocol, binary, given):
    ask = lambda there: there.infer("m", {"x": given})  # noqa: E731
    error = refusal(run, "http://127.0.0.1:1", ask, InvalidInput, protocol=protocol, binary=binary)
    assert error.message == (
        'input "x" holds an infinity, which JSON cannot carry; '
        'version 2 of the protocol in binary can (protocol="v2", binary=True)'
    )


def test_nan_is_null_on_the_way_and_read_back_as_nan(run, server, form):
    response = asking(run, server.url, lambda there: there.infer("same", {"x": np.array([np.nan, 1.0])}), **form)
    (output,) = response.outputs
    assert np.array_equal(response[output], [np.nan, 1.0], equal_nan=True)


@pytest.mark.parametrize("shape", [(0, 4), (2, 0, 3)], ids=str)
def test_a_shape_that_lists_cannot_tell_is_not_sent_in_the_protocol_of_rows(run, server, shape):
    ask = lambda there: there.infer("same", {"x": np.zeros(shape, "f4")})  # noqa: E731
    error = refusal(run, server.url, ask, InvalidInput, protocol="v1")
    assert "which nested lists cannot tell; version 2 of the protocol carries it" in error.message
    assert asking(run, server.url, ask, binary=False)["same"].shape == shape


@pytest.mark.parametrize(
    ("given", "comes"),
    [
        ([1, 2], [1, 2]),
        (2.5, 2.5),
        ("text", b"text"),
        (["a", b"b"], [b"a", b"b"]),
        (np.arange(6).reshape(2, 3)[:, ::2], [[0, 2], [3, 5]]),
        (np.array([1.5], dtype=">f4"), [1.5]),
        (True, True),
    ],
    ids=repr,
)
def test_values_are_given_as_to_a_pipeline(run, server, given, comes):
    assert asking(run, server.url, lambda there: there.infer("same", {"x": given}))["same"].tolist() == comes


def test_json_is_one_text_in_one_protocol_and_itself_in_the_other(run, server, form):
    response = asking(run, server.url, lambda there: there.infer("who", {"rows": Json([{"a": 1}])}, id="7"), **form)
    if form["protocol"] == "v1":
        assert response["predictions"] == {"id": "7", "remaining": True, "tenant": None}
    else:
        assert json.loads(response["who"].tolist()[0]) == {"id": "7", "remaining": True, "tenant": None}


def test_arrays_of_a_binary_answer_are_views_of_the_reply(run, server):
    async def ask(there):
        return await there.infer("both", {"a": np.ones(50, "f4"), "b": np.arange(50)})

    response = asking(run, server.url, ask)

    def owner(array):
        while isinstance(array, np.ndarray):
            array = array.base
        return array.obj

    assert isinstance(owner(response["a"]), bytearray)
    assert owner(response["a"]) is owner(response["b"])
    with pytest.raises(ValueError, match="read-only"):
        response["a"][0] = 2
    with pytest.raises(ValueError, match="WRITEABLE"):
        response["a"].flags.writeable = True


def test_what_is_large_comes_back_whole(run, server, form):
    sent = np.arange(400_000, dtype=np.float64)
    response = asking(run, server.url, lambda there: there.infer("same", {"x": sent}), **form)
    (output,) = response.outputs
    assert np.array_equal(response[output], sent)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=tensors(texts=False))
def test_any_tensor_travels_there_and_back_in_binary(server, sent):
    response = asking(anyio.run, server.url, lambda there: there.infer("same", {"x": sent}))
    assert same(sent, response.outputs["same"])


# ---- what else an inference carries


def test_outputs_are_chosen_by_name_and_come_in_the_callers_order(run, server):
    async def ask(there):
        inputs = {"a": np.ones(2, "f4"), "b": [1, 2]}
        return [
            list((await there.infer("both", inputs, outputs=outputs)).outputs)
            for outputs in (None, [], "b", ["b", "a"])
        ]

    assert asking(run, server.url, ask) == [["a", "b"], ["a", "b"], ["b"], ["b", "a"]]


def test_a_protocol_that_chooses_no_outputs_says_so(run, server):
    error = refusal(
        run, server.url, lambda there: there.infer("same", {"x": 1}, outputs=["x"]), InvalidInput, protocol="v1"
    )
    assert error.message == "version 1 of the protocol chooses no outputs; it answers all of them"


def test_headers_go_with_the_client_and_with_the_call(run, server, form):
    async def ask(there):
        told = []
        for headers in (None, {"X-Tenant": "mine", "content-length": "7", "transfer-encoding": "chunked"}):
            (answered,) = (await there.infer("who", {"rows": [1]}, headers=headers)).outputs.values()
            told.append(answered.value if isinstance(answered, Json) else json.loads(answered.array.tolist()[0]))
        return [one["tenant"] for one in told]

    assert asking(run, server.url, ask, headers={"x-tenant": "ours"}, **form) == ["ours", "mine"]


def test_a_version_is_asked_for_where_the_protocol_can(run, server):
    async def ask(there):
        return [
            (await there.infer("versions", {"rows": [1]}, version=version))["answer"].tolist()
            for version in ("", "1", 2)
        ]

    assert asking(run, server.url, ask) == [2, 1, 2]
    error = refusal(
        run, server.url, lambda there: there.infer("versions", {"rows": [1]}, version=1), InvalidInput, protocol="v1"
    )
    assert "name no version; leave 1 out" in error.message


def test_the_id_is_the_callers_or_a_new_one_and_in_the_servers_log(run, server, form):
    async def ask(there):
        return [(await there.infer("same", {"x": [1]}, id=own)).id for own in ("my-id-7", "with space", None, None)]

    ids = asking(run, server.url, ask, **form)
    assert ids[:2] == ["my-id-7", "with space"]
    assert len({*ids}) == 4
    server.wait_for_log("my-id-7")
    server.wait_for_log(ids[2])


def test_an_id_in_the_headers_is_the_id_of_the_call_or_of_every_call_of_the_client(run, server, form):
    async def ask(there):
        how = [{}, {"id": "own"}, {"id": 5}, {"headers": {"X-Request-Id": "mine"}}]
        return [(await there.infer("same", {"x": [1]}, **one)).id for one in how]

    assert asking(run, server.url, ask, headers={"x-request-id": "ours"}, **form) == ["ours", "own", "5", "mine"]
    server.wait_for_log("ours")
    server.wait_for_log("mine")


@pytest.mark.parametrize(("timeout", "sent"), [(30, b"29."), (None, b"7s")])
def test_the_clients_own_deadline_is_told_rather_than_the_callers_header(run, timeout, sent):
    seen = []
    with raw_server(answering(answer(), seen=seen)) as there:
        how = {"headers": {"x-request-timeout": "7s"}, "timeout": timeout}
        asking(run, there.url, lambda there: there.live(), **how)
    assert b"x-request-timeout: " + sent in seen[0].lower()
    assert seen[0].lower().count(b"x-request-timeout") == 1


def test_parameters_reach_the_server(run):
    seen = []
    reply = answer(b'{"outputs":[]}')
    with raw_server(answering(reply, seen=seen)) as there:
        asking(run, there.url, lambda there: there.infer("m", {}, parameters={"k": 5}), binary=False)
    assert json.loads(seen[0].partition(b"\r\n\r\n")[2])["parameters"] == {"k": 5}


# ---- questions


def test_health_metadata_and_models(run, server):
    async def ask(there):
        return (
            await there.live(), await there.ready(), await there.ready("echo"), await there.ready("versions", 2),
            await there.metadata(), await there.metadata("echo"), await there.models(),
        )  # fmt: skip

    live, ready, model, version, itself, echo, models = asking(run, server.url, ask)
    assert (live, ready, model, version) == (True,) * 4
    assert (itself.name, itself.extensions) == ("pipeline-serve", ("binary_tensor_data", "model_repository", "explain"))
    assert (echo.name, echo.versions, echo.signature.inputs) == ("echo", ("1",), {"rows": parse_spec("FP32[-1,2]")})
    assert models[:2] == ("block", "wait")


def test_health_and_models_in_the_protocol_of_rows(run, server):
    async def ask(there):
        return await there.live(), await there.ready("echo"), await there.models()

    live, ready, models = asking(run, server.url, ask, protocol="v1")
    assert (live, ready, models[:2]) == (True, True, ("block", "wait"))
    error = refusal(run, server.url, lambda there: there.metadata(), InvalidInput, protocol="v1")
    assert error.message == 'version 1 of the protocol has no metadata; protocol="v2" has'


def test_what_loads_or_failed_to_is_not_ready(run, tmp_path):
    with serving(tmp_path, LOADING, graphs=["echo.yaml", "blocks.yaml", "breaks.yaml"], wait="bound") as server:
        server.wait_until("blocks is loading", (tmp_path / "load.began").exists)
        server.wait_until("echo is ready", lambda: asking(anyio.run, server.url, lambda there: there.ready("echo")))

        async def ask(there):
            return await there.live(), await there.ready(), await there.ready("blocks")

        assert asking(run, server.url, ask) == (True, False, False)
        error = refusal(run, server.url, lambda there: there.infer("blocks", {"rows": [1]}), ModelNotReady)
        assert error.message == "Model with name blocks is not ready."
        (tmp_path / "load.go").touch()
        server.wait_until("blocks is ready", lambda: asking(anyio.run, server.url, lambda there: there.ready("blocks")))


def test_triton_says_yes_with_nothing_in_it(run):
    with raw_server(answering(answer(b""))) as there:

        async def ask(there):
            return await there.live(), await there.ready(), await there.ready("m")

        assert asking(run, there.url, ask) == (True, True, True)


@pytest.mark.parametrize("head", ["", "retry-after: 3\r\n"])
def test_not_now_is_no_and_anything_else_an_error(run, head):
    with raw_server(answering(answer(b"", status="503 Not Now", head=head))) as there:

        async def ask(there):
            return await there.live(), await there.ready(), await there.ready("m")

        assert asking(run, there.url, ask) == (False, False, False)
    with raw_server(answering(answer(b"", status="500 No"))) as there:
        refusal(run, there.url, lambda there: there.ready(), InferenceError)
    assert refusal(run, "http://127.0.0.1:1", lambda there: there.ready()).code is Code.BAD_UPSTREAM


# ---- errors


@pytest.mark.parametrize(
    ("ask", "kind", "status", "text"),
    [
        (lambda there: there.infer("nope", {"x": 1}), ModelNotFound, 404, "Model with name nope does not exist."),
        (lambda there: there.ready("nope"), ModelNotFound, 404, "Model with name nope does not exist."),
        (lambda there: there.infer("fail", {"kind": "invalid"}), InvalidInput, 400, "the words of the author"),
        (lambda there: there.infer("fail", {"kind": "inference"}), InferenceError, 500, "the words of the author"),
        (lambda there: there.infer("fail", {"kind": "teapot"}), InvalidInput, 418, "short and stout"),
        (lambda there: there.infer("fail", {"kind": "todo"}), InferError, 501, "not this one"),
        (lambda there: there.infer("brief", {"name": "brief"}), DeadlineExceeded, 504, "its deadline of 50 ms"),
        (lambda there: there.explain("same", {"x": 1}), InferError, 501, "Could not find explainer_host."),
    ],
    ids=["model", "ready", "invalid", "inference", "status", "unimplemented", "deadline", "explain"],
)
def test_an_error_is_the_servers_own_in_its_class(run, server, form, ask, kind, status, text):  # noqa: PLR0917
    error = refusal(run, server.url, ask, kind, **form)
    assert (error.status, text in error.message) == (status, True), error.message
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.message, again.status) == (kind, error.message, status)


def test_an_error_of_the_servers_own_has_the_request_id_for_its_log(run, server, form):
    error = refusal(
        run, server.url, lambda there: there.infer("fail", {"kind": "bug"}, id="id-of-a-bug"), InferenceError, **form
    )
    assert "under request id id-of-a-bug" in error.message
    server.wait_for_log("id-of-a-bug")


@pytest.mark.parametrize(
    ("status", "head", "kind", "code"),
    [
        (503, "retry-after: 7\r\n", Overloaded, Code.RESOURCE_EXHAUSTED),
        (429, "retry-after: 7\r\n", Overloaded, Code.RESOURCE_EXHAUSTED),
        (503, "", ModelNotReady, Code.UNAVAILABLE),
        (413, "", InferError, Code.TOO_LARGE),
        (401, "", InvalidInput, Code.INVALID_ARGUMENT),
        (502, "", InferError, Code.BAD_UPSTREAM),
    ],
)
def test_statuses_and_retry_after_are_kept(run, form, status, head, kind, code):
    with raw_server(answering(answer(b'{"error":"why"}', status=f"{status} X", head=head))) as there:
        error = refusal(run, there.url, lambda there: there.infer("m", {"x": 1}), kind, **form)
    assert (error.code, error.status, error.message) == (code, status, "why")
    assert error.headers == ({"retry-after": "7"} if head else {})


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (502, InferError, Code.BAD_UPSTREAM),
        (404, ModelNotFound, Code.NOT_FOUND),
        (503, ModelNotReady, Code.UNAVAILABLE),
    ],
)
def test_an_error_that_is_not_of_the_protocol_is_named_with_its_url(run, form, status, kind, code):
    with raw_server(answering(answer(b"<html>Bad Gateway</html>", status=f"{status} X"))) as there:
        error = refusal(run, there.url, lambda there: there.infer("m", {"x": 1}), kind, **form)
    path = "/v1/models/m:predict" if form["protocol"] == "v1" else "/v2/models/m/infer"
    told = f"POST {there.url}{path} was answered with HTTP status {status}, in no words of the protocol"
    assert (error.code, error.status, error.message) == (code, status, told)


def test_a_server_that_is_not_ready_is_told_from_a_model_that_is_not(run):
    with raw_server(answering(answer(b"", status="503 X"))) as there:
        refusal(run, there.url, lambda there: there.metadata(), ServerNotReady)
        refusal(run, there.url, lambda there: there.metadata("m"), ModelNotReady)


UNREADABLE = [b"", b"null", b"[]", b"<html>", b'{"outputs":5}', b'{"outputs":[{"name":"x"}]}', b"\xff\xfe"]


@pytest.mark.parametrize("body", UNREADABLE, ids=repr)
def test_a_reply_that_is_not_of_the_protocol_is_named_with_its_url(run, body):
    with raw_server(answering(answer(body))) as there:
        error = refusal(run, there.url, lambda there: there.infer("m", {"x": 1}))
    assert error.code is Code.BAD_UPSTREAM
    assert error.message.startswith(f"POST {there.url}/v2/models/m/infer: the reply is unreadable: ")
    assert error.message.endswith("; is it a server of this protocol?")


@pytest.mark.parametrize(
    ("size", "head"),
    [(4, 12), (400, 10), (8, 10**9), (8, -1), (0, 10)],
    ids=["too short", "too long", "past the end", "negative", "none"],
)
def test_a_binary_reply_accounts_for_every_byte(run, size, head):
    entry = {"name": "x", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}
    body = json.dumps({"outputs": [entry]}).encode()
    length = len(body) if head in (10, 12) else head
    reply = answer(body + bytes(size), head=f"inference-header-content-length: {length}\r\n")
    with raw_server(answering(reply)) as there:
        error = refusal(run, there.url, lambda there: there.infer("m", {"x": 1}))
    assert error.code is Code.BAD_UPSTREAM


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda there: there.infer("", {}), "a model is named"),
        (lambda there: there.infer("a/b", {}), "a model is named"),
        (lambda there: there.infer("..", {}), "a model is named"),
        (lambda there: there.infer("m", {}, version="1/../2"), "a version is"),
        (lambda there: there.ready(version="1"), "name the model too"),
        (lambda there: there.metadata(version="1"), "name the model too"),
        (lambda there: there.infer("m", [1]), "inputs is a map by name"),
        (lambda there: there.infer("m", {"x": object()}), 'input "x" is a object'),
        (lambda there: there.infer("m", {"x": {"a": object()}}), 'input "x" is no JSON'),
        (lambda there: there.infer("m", {"x\ud800": 1}), "the request is no JSON"),
        (lambda there: there.infer("m", {}, parameters={"p": [1]}), 'parameter "p" of the request is a number'),
        (lambda there: there.infer("m", {}, parameters={"p": 2**70}), "the request is no JSON"),
        (lambda there: there.infer("m", {}, headers={"x": "a\r\nb: c"}), 'header "x"'),
        (lambda there: there.infer("m", {}, headers={"x y": "a"}), 'header "x y"'),
        (lambda there: there.infer("m", {}, headers={"x": "ä"}), 'header "x"'),
        (lambda there: there.infer("m", {}, timeout=-1), "timeout: a number of seconds from 0, not -1"),
        (lambda there: there.infer("m", {}, timeout="soon"), "timeout: "),
        (lambda there: there.infer("m", {}, timeout=math.nan), "timeout: "),
        (lambda there: there.infer("m", {}, timeout=[]), "timeout: "),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_sent(run, ask, says):
    assert says in refusal(run, "http://127.0.0.1:1", ask, InvalidInput).message


@pytest.mark.parametrize("protocol", ["v1", "v2"])
def test_what_is_no_json_is_the_callers_fault_in_every_protocol(run, protocol):
    ask = lambda there: there.infer("m", {"x": {"a": object()}})  # noqa: E731
    assert "is no JSON" in refusal(run, "http://127.0.0.1:1", ask, InvalidInput, protocol=protocol).message


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"protocol": "v3"}, "protocol is v1 or v2, not 'v3'"),
        ({"timeout": "5"}, "timeout: 5 has no unit"),
        ({"timeout": -1}, "timeout: a number of seconds from 0"),
        ({"url": "localhost:8080"}, "like http://localhost:8080"),
        ({"connections": 0}, "connections is a whole number from 1, not 0"),
        ({"connections": 1.5}, "connections is a whole number from 1, not 1.5"),
        ({"max_reply": -1}, "max_reply is a whole number from 1, not -1"),
        ({"max_reply": "1"}, "max_reply: 1 has no unit"),
        ({"max_reply": "0B"}, "max_reply is a whole number from 1, not 0"),
    ],
)
def test_settings_are_checked_at_once(how, says):
    with pytest.raises(ValueError, match=says):
        Client(**{"url": "http://127.0.0.1:1", **how})


@pytest.mark.parametrize("url", [None, 8080, b"http://localhost"])
def test_an_address_that_is_no_text_is_refused_in_words(url):
    with pytest.raises(TypeError, match=r"the URL of a server is a text like http://localhost:8080 .*, not a "):
        Client(url)


def test_the_largest_reply_can_be_a_size_with_its_unit(run):
    with raw_server(answering(answer(b"[" + b" " * 2048))) as there:
        error = refusal(run, there.url, lambda there: there.models(), max_reply="1KiB")
    assert "is larger than 1024 bytes" in error.message


def test_without_async_the_way_out_is_the_blocking_face():
    there = client("http://127.0.0.1:1")
    with pytest.raises(TypeError, match=r"is async: .* or \"with Client\(…\)\.blocking\(\) as client\""), there:
        pass


def test_a_client_is_opened_once_and_can_be_opened_again(run, server):
    there = client(server.url)

    async def ask():
        with pytest.raises(RuntimeError, match="is not open"):
            await there.live()
        for _ in range(2):
            async with there:
                with pytest.raises(RuntimeError, match="is open already"):
                    async with there:
                        pass
                assert await there.live()

    run(ask)


# ---- deadline and cancellation


def silent(connection):
    read_request(connection)


def halfway(connection):
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf of it")


@pytest.mark.parametrize("behave", [silent, halfway])
@pytest.mark.parametrize("where", ["client", "call"])
def test_the_deadline_holds_though_the_server_ignores_it(run, behave, where):
    how, call = ({"timeout": "50ms"}, {}) if where == "client" else ({"timeout": None}, {"timeout": 0.05})
    with raw_server(behave) as there:
        error = refusal(run, there.url, lambda there: there.infer("m", {"x": 1}, **call), DeadlineExceeded, **how)
        there.wait_until_left()
    told = f"{there.url} gave no whole answer within 50 ms; timeout=… gives it more time"
    assert (error.code, error.message) == (Code.DEADLINE_EXCEEDED, told)


@pytest.mark.parametrize(("timeout", "sent"), [(None, False), (math.inf, False), (1e12, False), ("5s", True)])
def test_the_time_that_is_left_is_told_to_the_server(run, timeout, sent):
    seen = []
    with raw_server(answering(answer(), seen=seen)) as there:
        asking(run, there.url, lambda there: there.live(), timeout=timeout)
    assert (b"x-request-timeout: " in seen[0].lower()) is sent


def test_the_callers_own_scope_is_told_to_the_server_too(run, server):
    async def ask(there):
        with anyio.fail_after(30):
            return await there.infer("who", {"rows": [1]})

    response = asking(run, server.url, ask, timeout=None)
    assert json.loads(response["who"].tolist()[0])["remaining"] is True


def waiting(server):
    """(name, inputs) of a call that waits until it is told to go on."""
    name = f"client-{next(NAMES)}"
    return name, {"name": name}


def test_a_cancelled_call_cancels_the_step_that_runs(run, server, form):
    name, inputs = waiting(server)

    async def ask(there):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(there.infer, "wait", inputs)
            await anyio.to_thread.run_sync(
                server.wait_until, "the step began", (server.folder / f"{name}.began").exists
            )
            tasks.cancel_scope.cancel()
        # The client is open still, and asks on.
        await anyio.to_thread.run_sync(
            server.wait_until, "the step is cancelled", (server.folder / f"{name}.cancelled").exists
        )
        return (await there.infer("same", {"x": [1]})).model

    assert asking(run, server.url, ask, **form) == "same"


def test_a_task_of_asyncio_can_be_cancelled_by_its_own_means(server):
    name, inputs = waiting(server)

    async def ask():
        async with client(server.url) as there:
            task = asyncio.create_task(there.infer("wait", inputs))
            await asyncio.to_thread(server.wait_until, "the step began", (server.folder / f"{name}.began").exists)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(there.infer("wait", waiting(server)[1]), 0.05)
            return await there.live()

    assert asyncio.run(ask())
    server.wait_until("the step is cancelled", (server.folder / f"{name}.cancelled").exists)


def deaf(port):
    """Passes everything on to the real server, but for the word that tells it the deadline."""

    def behave(connection):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as upstream:
            request = read_request(connection)
            upstream.sendall(request.replace(b"x-request-timeout", b"x-ignored-timeout"))

            def back():
                try:
                    while part := upstream.recv(65536):
                        connection.sendall(part)
                except OSError:
                    pass

            thread = threading.Thread(target=back, daemon=True)
            thread.start()
            while part := connection.recv(65536):
                upstream.sendall(part)
            upstream.shutdown(socket.SHUT_RDWR)
            thread.join()

    return behave


def test_past_its_deadline_a_call_leaves_and_the_step_that_runs_is_cancelled(run, server):
    name, inputs = waiting(server)
    with raw_server(deaf(server.port)) as between:

        async def ask(there):
            with pytest.raises(DeadlineExceeded, match="gave no whole answer within 300 ms"):
                await there.infer("wait", inputs, timeout="300ms")
            await anyio.to_thread.run_sync(
                server.wait_until, "the step is cancelled", (server.folder / f"{name}.cancelled").exists
            )

        asking(run, between.url, ask)


def test_a_full_server_is_overloaded_and_many_calls_get_each_its_own_answer(run, server):
    async def ask(there):
        told = {}

        async def one(number):
            told[number] = (await there.infer("same", {"x": [number]}))["same"].tolist()

        async with anyio.create_task_group() as tasks:
            for number in range(150):
                tasks.start_soon(one, number)
        return told

    assert asking(run, server.url, ask) == {number: [number] for number in range(150)}


def test_past_limit_and_queue_a_call_is_told_when_to_come_again(run, server):
    async def ask(there):
        told = []
        async with anyio.create_task_group() as tasks:

            async def one():
                try:
                    await there.infer("narrow", waiting(server)[1])
                except Overloaded as error:
                    told.append(error)
                    tasks.cancel_scope.cancel()

            for _ in range(3):  # one inside, one in the queue, one too many
                tasks.start_soon(one)
        return told

    (error,) = asking(run, server.url, ask)
    assert error.headers == {"retry-after": "1"}
    assert "is at its limit and its queue is full" in error.message


# ---- explain


EXPLAINED = {
    "v1": b'{"explanations":[[0.5,0.25]]}',
    "v2": b'{"model_name":"m","outputs":[{"name":"e","shape":[1,2],"datatype":"FP32","data":[0.5,0.25]}]}',
}


@pytest.mark.parametrize("protocol", EXPLAINED)
def test_an_explanation_is_asked_for_on_its_own_path(run, protocol):
    seen = []
    with raw_server(answering(answer(EXPLAINED[protocol]), seen=seen)) as there:
        response = asking(run, there.url, lambda there: there.explain("m", {"x": [1.0]}), protocol=protocol)
    path = {"v1": b"/v1/models/m:explain", "v2": b"/v2/models/m/explain"}[protocol]
    assert seen[0].startswith(b"POST " + path + b" HTTP/1.1\r\n")
    (name,) = response.outputs
    assert name == {"v1": "explanations", "v2": "e"}[protocol]
    assert response[name].tolist() == [[0.5, 0.25]]


# ---- other ways to the server


def test_a_server_on_a_unix_socket(run, tmp_path):
    files = {"app.py": SAME, "same.yaml": "steps: {same: app.py:same}"}
    address = f"unix:{tmp_path}/s"
    with serving(tmp_path, files, "--host", address, graphs=["same.yaml"], wait="bound") as server:
        server.wait_until("it is ready", lambda: asking(anyio.run, address, lambda there: there.ready()))
        response = asking(run, address, lambda there: there.infer("same", {"x": [1, 2]}))
        assert response["same"].tolist() == [1, 2]


def test_the_connection_is_the_same_from_call_to_call(run):
    with raw_server(answering(answer())) as there:

        async def ask(there):
            return [await there.live() for _ in range(5)]

        asking(run, there.url, ask)
        assert there.connections == 1


def test_a_server_that_closes_early_harms_no_later_call(run):
    with raw_server(answering_and_closing(b"HTTP/1.1 200"), answering(answer())) as there:

        async def ask(there):
            with pytest.raises(InferError, match="got no whole reply"):
                await there.live()
            return await there.live()

        assert asking(run, there.url, ask)


# ---- the shape of it


def test_infer_takes_what_a_pipelines_infer_takes():
    ours, theirs = (inspect.signature(one).parameters for one in (Client.infer, Pipeline.infer))
    assert set(theirs) - {"verb"} == set(ours) - {"model", "version"}
    assert inspect.signature(Client.explain) == inspect.signature(Client.infer)


def test_every_protocol_says_how_it_wants_tensors():
    for codec in inferring(codecs()).values():
        for binary in (True, False):
            assert codec.preferring(binary) is not None


async def test_what_is_large_is_written_and_read_beside_the_loop(server, monkeypatch):
    trips = []
    run_sync = anyio.to_thread.run_sync

    async def counted(*arguments, **how):
        trips.append(how)
        return await run_sync(*arguments, **how)

    monkeypatch.setattr(anyio.to_thread, "run_sync", counted)
    async with client(server.url) as there:
        await there.infer("same", {"x": np.zeros(10)})
        assert trips == []
        assert (await there.infer("same", {"x": np.zeros(2**18)}))["same"].shape == (2**18,)
    assert [how["abandon_on_cancel"] for how in trips] == [True] * 2
