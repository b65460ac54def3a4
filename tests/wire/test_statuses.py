"""Every code has its status in every codec, and every status is an error again at the client."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    WrongAnswer,
)
from pipeline.tensors.message import AskLive, AskModel, AskModelReady, Infer, InferRequest
from pipeline.wire import v1, v2
from pipeline.wire.statuses import STATUS, error_of, error_reply
from tests.wire.calls import reply

# protocols.md, "Errors"; 405 from the contract's "Routing details".
TABLE = {
    Code.INVALID_ARGUMENT: 400,
    Code.NOT_FOUND: 404,
    Code.METHOD_NOT_ALLOWED: 405,
    Code.TOO_LARGE: 413,
    Code.UNSUPPORTED_MEDIA: 415,
    Code.UNIMPLEMENTED: 501,
    Code.RESOURCE_EXHAUSTED: 503,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: 504,
    Code.CANCELLED: 499,
    Code.BAD_UPSTREAM: 502,
    Code.INTERNAL: 500,
}
CODECS = pytest.mark.parametrize("codec", [v1, v2])


def test_the_table_is_whole():
    assert dict(STATUS) == TABLE
    assert set(TABLE) == set(Code)


@CODECS
@pytest.mark.parametrize("code", Code)
def test_every_code_goes_to_the_client_and_comes_back(codec, code):
    headers = {"retry-after": "3"} if code is Code.RESOURCE_EXHAUSTED else {}
    sent = error_reply(InferError(code, "what – happened", headers=headers))
    assert sent.status == TABLE[code]
    assert sent.headers["content-type"] == "application/json"
    assert json.loads(b"".join(sent.body)) == {"error": "what – happened"}
    with pytest.raises(InferError) as caught:
        codec.decode_reply(sent, AskLive())
    assert (caught.value.code, caught.value.message, caught.value.status) == (code, "what – happened", TABLE[code])
    assert caught.value.headers == headers


@CODECS
@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (InvalidInput("bad thing"), 400, "bad thing"),
        (ModelNotFound("nope"), 404, "Model with name nope does not exist."),
        (ModelNotFound("m", version="2"), 404, "Model with name m and version 2 does not exist."),
        (ModelNotReady("nr"), 503, "Model with name nr is not ready."),
        (ModelNotReady("dummy", "detail here"), 503, "Model with name dummy is not ready. detail here"),
        (ServerNotReady(), 503, "Server is not ready."),
        (InferenceError("it failed"), 500, "it failed"),
        (InferenceError("teapot", 418), 418, "teapot"),
        (InferenceError("x", 200), 500, "x"),
        (InferenceError("x", 99), 500, "x"),
        (InferenceError("x", 1000), 500, "x"),
        (InferenceError("x", "418"), 500, "x"),
        (InferenceError(ValueError("an object")), 500, "an object"),
        (InferenceError("half \ud800"), 500, "half ?"),
        (DeadlineExceeded("too late"), 504, "too late"),
        (WrongAnswer("the author's"), 500, "the author's"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_are_kserves_body_under_their_status(codec, error, status, text):
    sent = error_reply(error)
    assert sent.status == status
    assert b"".join(sent.body) == json.dumps({"error": text}, separators=(",", ":"), ensure_ascii=False).encode()


@CODECS
def test_a_full_server_says_when_to_come_again(codec):
    sent = error_reply(Overloaded("Model m", retry_after=7))
    assert (sent.status, sent.headers["retry-after"]) == (503, "7")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, Code.INVALID_ARGUMENT),
        (422, Code.INVALID_ARGUMENT),
        (429, Code.INVALID_ARGUMENT),
        (503, Code.UNAVAILABLE),
        (599, Code.INTERNAL),
    ],
)
def test_a_status_of_no_code_is_the_callers_or_the_servers_and_passes_through(status, code):
    error = error_of(status, "text", {"server": "other"})
    assert (error.code, error.status, error.headers) == (code, status, {})


@CODECS
@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (502, b"<html>Bad Gateway</html>", "HTTP status 502"),
        (404, b"", "HTTP status 404"),
        (500, b"[1]", "HTTP status 500"),
        (400, {"detail": "FastAPI's"}, "HTTP status 400"),
        (400, {"error": {"code": 1}}, "HTTP status 400"),
        (400, {"error": ""}, ""),
    ],
)
def test_an_error_without_our_body_keeps_its_status(codec, status, body, text):
    with pytest.raises(InferError) as caught:
        codec.decode_reply(reply(status, body), AskLive())
    assert (caught.value.status, caught.value.message) == (status, text)


@CODECS
@given(st.integers(400, 599), st.binary(max_size=20))
def test_any_reply_of_an_error_is_that_error(codec, status, body):
    with pytest.raises(InferError) as caught:
        codec.decode_reply(reply(status, body), AskLive())
    assert caught.value.status == status


@pytest.mark.parametrize(
    "command", [Infer(InferRequest(model="m", inputs={}), "predict"), AskModel("m"), AskModelReady("m")]
)
@pytest.mark.parametrize(
    ("status", "headers", "of_a_model", "of_the_server"),
    [
        (400, {}, InvalidInput, InvalidInput),
        (404, {}, ModelNotFound, InferError),
        (413, {}, InferError, InferError),
        (429, {"retry-after": "3"}, Overloaded, Overloaded),
        (500, {}, InferenceError, InferenceError),
        (501, {}, InferError, InferError),
        (502, {}, InferError, InferError),
        (503, {}, ModelNotReady, ServerNotReady),
        (503, {"retry-after": "3"}, Overloaded, Overloaded),
        (504, {}, DeadlineExceeded, DeadlineExceeded),
    ],
)
def test_an_error_is_of_the_class_that_the_server_raised(command, status, headers, of_a_model, of_the_server):
    for asked, kind in ((command, of_a_model), (AskLive(), of_the_server), (None, of_the_server)):
        error = error_of(status, "its words", headers, asked)
        assert type(error) is kind
        assert (error.message, error.status, error.headers) == ("its words", status, headers)


DATE = "Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize("again", ["0", "7", "120", " 3 ", DATE])
@pytest.mark.parametrize("status", [429, 503])
def test_when_to_come_again_goes_along(status, again):
    error = error_of(status, "full", {"retry-after": again})
    assert (error.code, error.headers) == (Code.RESOURCE_EXHAUSTED, {"retry-after": again.strip()})


@pytest.mark.parametrize(
    "again",
    ["", "-5", "1.5", "soon", "1, 2", "http://internal/", "9" * 60_000, "7\r\nx: y", "\N{ARABIC-INDIC DIGIT FIVE}",
     f"{DATE}x"],
)  # fmt: skip
def test_what_is_neither_seconds_nor_a_date_goes_no_further(again):
    error = error_of(503, "full", {"retry-after": again})
    assert (error.code, error.headers) == (Code.UNAVAILABLE, {})
