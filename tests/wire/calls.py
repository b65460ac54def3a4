"""How the tests of this folder speak to a codec: JSON in, JSON out, and the one thing a decoder may raise."""

from __future__ import annotations

import json

import pytest

from pipeline.errors import Code, InferError
from pipeline.tensors.message import Infer, InferRequest, InferResponse
from pipeline.tensors.signature import Expectation
from pipeline.wire import v1, v2
from pipeline.wire.codec import Call, Reply
from pipeline.wire.statuses import error_reply

ANYTHING = Expectation()
PREDICT = {v1: "/v1/models/m:predict", v2: "/v2/models/m/infer"}
ROUTE = {codec: next(route for route in codec.ROUTES if route.verb == "predict") for codec in PREDICT}


def body_of(value):
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def decoded(codec, body, expectation=ANYTHING, headers=None):
    """(request, options) of a predict request with that body: bytes, or a value to be written as JSON."""
    call = Call("POST", PREDICT[codec], headers or {}, body_of(body), "call-id")
    command, options = codec.decode(call, ROUTE[codec], "m", "1", expectation)
    assert command.verb == "predict"
    return command.request, options


def refusal(codec, body, expectation=ANYTHING, headers=None, code=Code.INVALID_ARGUMENT):
    """The text of the error that the decoder raises, which is short and of this code."""
    with pytest.raises(InferError) as caught:
        decoded(codec, body, expectation, headers)
    assert caught.value.code is code
    assert 0 < len(caught.value.message) < 500
    json.loads(b"".join(error_reply(caught.value).body))
    return caught.value.message


def answered(codec, outputs, options, **more):
    """The body of the answer with those outputs."""
    reply = codec.encode(InferResponse(model="m", outputs=outputs, **more), options)
    assert (reply.status, reply.headers) == (200, {"content-type": "application/json"})
    return b"".join(reply.body)


def asked(codec, inputs, expectation=ANYTHING, verb="predict", **more):
    """Client → server: the request as the server reads what the client of the same codec writes."""
    call = codec.encode_request(Infer(InferRequest(model="m", inputs=inputs, **more), verb), None)
    route = next(route for route in codec.ROUTES if route.verb == verb)
    command, options = codec.decode(call, route, "m", "1", expectation)
    return command.request, options


def told(codec, outputs, options, **more):
    """Server → client: the response as the client reads what the server of the same codec writes."""
    reply = codec.encode(InferResponse(model="m", outputs=outputs, **more), options)
    return codec.decode_reply(reply, Infer(InferRequest(model="m", inputs={}, id="asked"), "predict"))


def reply(status, body, **headers):
    return Reply(status, headers, (body_of(body),))
