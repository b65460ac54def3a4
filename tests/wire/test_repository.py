"""The repository extension, both ways: what is asked, what is answered, and what others' servers leave out."""

from __future__ import annotations

import json

import pytest

from pipeline.errors import Code, InferError, InvalidInput, ModelNotFound, ModelNotReady
from pipeline.tensors.message import (
    AskIndex,
    AskLive,
    Index,
    Live,
    Loaded,
    LoadModel,
    ModelState,
    Unloaded,
    UnloadModel,
)
from pipeline.tensors.signature import Expectation
from pipeline.wire import repository
from pipeline.wire.codec import Call, Reply
from server.routes import Routes

COMMANDS = [AskIndex(), AskIndex(ready=True), LoadModel("m"), UnloadModel("a.b-c")]
RESULTS = {
    AskIndex(): Index((ModelState("m", "1", "READY"), ModelState("n", "", "UNAVAILABLE", "no weights"))),
    LoadModel("m"): Loaded("m"),
    UnloadModel("m"): Unloaded("m"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_what_a_client_asks_is_what_a_server_reads(command):
    call = repository.encode_request(command)
    match = Routes().match(call.method, call.path)
    assert match.codec is repository
    assert repository.decode(call, match.route, match.model, "", Expectation()) == (command, None)


@pytest.mark.parametrize(("command", "result"), RESULTS.items())
def test_what_a_server_answers_is_what_a_client_reads(command, result):
    assert repository.decode_reply(repository.encode(result, None), command) == result


@pytest.mark.parametrize(
    ("result", "body"),
    [
        (Index((ModelState("m", "1", "READY"),)), '[{"name":"m","version":"1","state":"READY","reason":""}]'),
        (Loaded("m"), '{"name":"m","load":true}'),
        (Unloaded("m"), '{"name":"m","unload":true}'),
    ],
)  # fmt: skip
def test_the_keys_are_those_of_the_contract_in_order(result, body):
    assert b"".join(repository.encode(result, None).body).decode() == body


def decoded(what: str, body: bytes):
    match = Routes().match("POST", f"/v2/repository/{what}")
    return repository.decode(Call("POST", "", {}, body), match.route, match.model, "", Expectation())[0]


@pytest.mark.parametrize(
    ("what", "body", "command"),
    [
        ("index", b"", AskIndex()),
        ("index", b"{}", AskIndex()),
        ("index", b'{"ready": false, "more": 1}', AskIndex()),
        ("index", b'{"ready": true}', AskIndex(ready=True)),
        ("models/m/load", b"", LoadModel("m")),
        ("models/m/load", b'{"parameters": null}', LoadModel("m")),
        ("models/m/load", b'{"parameters": {"other": 1}}', LoadModel("m")),
        ("models/m/unload", b'{"parameters": {"unload_dependents": true}}', UnloadModel("m")),
    ],
)
def test_a_body_may_say_little(what, body, command):
    assert decoded(what, body) == command


@pytest.mark.parametrize(
    ("what", "body", "says"),
    [
        ("index", b"{", "Unrecognized request format"),
        ("index", b"[]", "a request to the repository is an object, got a list"),
        ("index", b'{"ready": 1}', '"ready" is true or false, got a number'),
        ("models/m/load", b'{"parameters": "x"}', '"parameters" is an object'),
        ("models/m/load", b'{"parameters": {"config": "{}"}}', 'parameter "config": a load takes what lies in'),
        ("models/m/load", b'{"parameters": {"file:1/m.onnx": ""}}', 'parameter "file:1/m.onnx"'),
        ("models/m/unload", b'{"parameters": {"unload_dependents": "no"}}', '"unload_dependents" is true or false'),
    ],
)
def test_what_a_body_asks_that_there_is_not_is_told(what, body, says):
    with pytest.raises(InvalidInput) as caught:
        decoded(what, body)
    assert says in str(caught.value)


def test_what_triton_leaves_out_is_empty():
    body = json.dumps([{"name": "m"}, {"name": "n", "version": "2", "state": "READY"}, {"name": "o", "state": "ODD"}])
    assert repository.decode_reply(Reply(200, {}, (body.encode(),)), AskIndex()) == Index(
        (ModelState("m", "", "UNAVAILABLE"), ModelState("n", "2", "READY"), ModelState("o", "", "UNAVAILABLE"))
    )
    assert repository.decode_reply(Reply(200), LoadModel("m")) == Loaded("m"), "and a load is answered with nothing"


@pytest.mark.parametrize("body", [b"{}", b"[1]", b'[{"name": 1}]', b"", b"<html>"])
def test_an_index_that_cannot_be_read_is_the_answering_servers_fault(body):
    with pytest.raises(InferError) as caught:
        repository.decode_reply(Reply(200, {}, (body,)), AskIndex())
    assert caught.value.code is Code.BAD_UPSTREAM


@pytest.mark.parametrize(
    ("status", "kind"), [(404, ModelNotFound), (503, ModelNotReady), (400, InvalidInput), (500, InferError)]
)
def test_an_error_is_that_of_the_server(status, kind):
    with pytest.raises(kind, match="its words"):
        repository.decode_reply(Reply(status, {}, (b'{"error": "its words"}',)), LoadModel("m"))


def test_nothing_else_is_asked_of_a_repository():
    with pytest.raises(InvalidInput, match="no word for AskLive"):
        repository.encode_request(AskLive())
    with pytest.raises(AssertionError):
        repository.encode(Live(live=True), None)
    assert repository.preferring(True) is None
    assert repository.travelling({"a": 1}) == {}
