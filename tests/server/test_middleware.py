"""Middleware around an app: in which order, what it may answer itself, and what it raises."""

from __future__ import annotations

import asyncio
import json

import pytest
from starlette.middleware.cors import CORSMiddleware

from server.middleware import Middleware
from tests.server.marks import Marks

ORIGIN = (b"origin", b"https://page.example")


class Raises:
    def __init__(self, app, do):
        self.app, self.do = app, do

    async def __call__(self, scope, receive, send):
        await self.do(self.app, scope, receive, send)


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ours"})


async def ask(own, method="GET", *headers):
    """(status, headers, body) of one call, and what was sent of it where the app raised."""
    events = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(event):
        events.append(event)

    scope = {"type": "http", "method": method, "path": "/x", "query_string": b"", "headers": list(headers)}
    await own(scope, receive, send)
    start, *bodies = events
    return start["status"], start["headers"], b"".join(event["body"] for event in bodies)


def around(*added):
    own = Middleware()
    for cls, options in added:
        own.add_middleware(cls, **options)
    with own.around(app) as outermost:
        return outermost


def test_without_middleware_the_app_is_itself():
    assert around() is app


async def test_what_is_added_last_is_outermost():
    _, headers, _ = await ask(around((Marks, {"name": "first"}), (Marks, {"name": "last"})))
    assert [text for name, text in headers if name == b"x-passed"] == [b"first", b"last"]


async def test_starlettes_cors_answers_a_preflight_and_marks_replies():
    own = around((CORSMiddleware, {"allow_origins": ["https://page.example"], "allow_methods": ["POST"]}))
    status, headers, body = await ask(own, "GET", ORIGIN)
    assert (status, body) == (200, b"ours")
    assert (b"access-control-allow-origin", b"https://page.example") in headers
    status, headers, body = await ask(own, "OPTIONS", ORIGIN, (b"access-control-request-method", b"POST"))
    assert (status, body) == (200, b"OK")
    assert (b"access-control-allow-methods", b"POST") in headers


async def test_what_a_middleware_raises_is_a_500_with_the_request_id_and_the_log_has_the_reason(caplog):
    async def broken(app, scope, receive, send):
        raise ValueError("secret")

    status, headers, body = await ask(around((Raises, {"do": broken})), "GET", (b"x-request-id", b"mine"))
    assert status == 500
    assert "under request id mine" in json.loads(body)["error"]
    assert b"secret" not in body
    assert dict(headers)[b"content-length"] == str(len(body)).encode()
    assert dict(headers)[b"x-request-id"] == b"mine"
    assert "middleware, at GET /x failed: ValueError" in caplog.text


async def test_a_status_that_a_middleware_raises_is_the_replys():
    class Refused(Exception):
        status_code, detail = 401, "who are you?"

    async def refuses(app, scope, receive, send):
        raise Refused

    status, _, body = await ask(around((Raises, {"do": refuses})))
    assert (status, json.loads(body)) == (401, {"error": "who are you?"})


@pytest.mark.parametrize("wait", [lambda: asyncio.sleep(1), lambda: asyncio.Event().wait()], ids=["sleep", "event"])
async def test_one_that_is_written_for_asyncio_is_told_to_be_written_with_anyio(caplog, wait):
    async def waits(app, scope, receive, send):
        await wait()

    status, _, _ = await ask(around((Raises, {"do": waits})))
    assert status == 500
    assert "a middleware is written for asyncio; here it runs on trio, so write it with anyio" in caplog.text


async def test_what_fails_after_the_reply_began_is_the_connections_end():
    async def breaks(app, scope, receive, send):
        await app(scope, receive, send)
        raise ValueError("late")

    with pytest.raises(ValueError, match="late"):
        await ask(around((Raises, {"do": breaks})))


def test_nothing_is_added_while_a_server_serves():
    own = Middleware()
    with own.around(app), pytest.raises(RuntimeError, match="before the server starts"):
        own.add_middleware(Marks, name="late")
    own.add_middleware(Marks, name="for the next one")


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError(), GeneratorExit()])
async def test_what_would_end_the_process_is_a_500(error, caplog):
    async def leave(app, scope, receive, send):
        raise error

    status, _, body = await ask(around((Raises, {"do": leave})))
    assert (status, json.loads(body)["error"].startswith("Internal server error")) == (500, True)
    assert f"a middleware raised {type(error).__name__}" in caplog.text


async def test_the_app_is_called_once_for_a_request(caplog):
    async def again(app, scope, receive, send):
        await app(dict(scope), receive, send)
        await app(scope, receive, send)

    own = around((Raises, {"do": again}))
    with pytest.raises(RuntimeError, match="calls the app twice"):
        await ask(own)
    # And once for each.
    assert (await ask(around((Marks, {"name": "a"}))))[0] == 200


def test_the_app_is_no_place_for_routes():
    with pytest.raises(AttributeError, match="takes add_middleware alone, and routes of one's own are not served"):
        Middleware().get("/x")
    assert not hasattr(Middleware(), "state")
