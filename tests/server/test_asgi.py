"""Requests over HTTP/1.1 as ASGI applications see them, over a connection in memory."""

from __future__ import annotations

import functools
import socket

import pytest
import trio
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import StreamingResponse

from server import asgi
from tests.server.test_http1 import GET, Talk, post, quietly

ABOUT = {"scheme": "http", "state": {}, "client": ("127.0.0.1", 5), "server": ("127.0.0.1", 80)}


def talk(app, *pieces, **how):
    return Talk(*pieces, answer=functools.partial(asgi.ask, app, about=ABOUT), **how)


async def whole_body(receive):
    body, more = b"", True
    while more:
        event = await receive()
        assert event["type"] == "http.request"
        body, more = body + event["body"], event["more_body"]
    return body


def answers(*parts, status=200, headers=(), read=True):
    async def app(scope, receive, send):
        if read:
            await whole_body(receive)
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        for n, part in enumerate(parts, 1):
            await send({"type": "http.response.body", "body": part, "more_body": n < len(parts)})

    return app


async def test_a_scope_tells_the_request():
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope)
        await answers(await whole_body(receive), read=False)(scope, receive, send)

    sent = post(b"abc", b"cookie: a=b", b"cookie: c=d").replace(b"/x ", b"/a%20b/%C3%BC?q=%20 ")
    assert [body for _, _, body in await talk(app, sent[:-2], sent[-2:]).run()] == [b"abc"]
    assert scopes == [
        {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "POST",
            "path": "/a b/ü", "raw_path": b"/a%20b/%C3%BC", "query_string": b"q=%20", "root_path": "", "extensions": {},
            "headers": [(b"host", b"h"), (b"content-length", b"3"), (b"cookie", b"a=b; c=d")], **ABOUT,
        }
    ]  # fmt: skip


async def test_a_reply_in_one_part_has_a_length_and_lines_of_one_name_stay_apart():
    app = answers(b"yes", headers=[(b"set-cookie", b"a=b"), (b"Set-Cookie", b"c=d"), (b"date", b"theirs")])
    own = talk(app, GET)
    await quietly(own)
    head = b"HTTP/1.1 200 OK\r\nset-cookie: a=b\r\nset-cookie: c=d\r\ncontent-length: 3\r\ndate: now\r\n\r\n"
    assert own.memory.text == head + b"yes"


async def test_one_in_several_is_chunked_or_has_the_length_that_the_application_tells():
    own = talk(answers(b"one", b"", b"two"), GET)
    await quietly(own)
    assert own.memory.text.endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
    found = await talk(answers(b"one", b"two", headers=[(b"content-length", b"6")]), GET * 2).run()
    assert [body for _, _, body in found] == [b"onetwo"] * 2
    own = talk(answers(b"one", b"two"), b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
    await quietly(own)
    assert own.memory.text.endswith(b"connection: close\r\ndate: now\r\n\r\nonetwo")


@pytest.mark.parametrize(
    ("status", "told", "has_length"), [(204, [], False), (304, [], False), (204, [b"0"], False), (304, [b"9"], True)]
)
async def test_a_status_without_a_body_has_none(status, told, has_length):
    own = talk(answers(b"no", status=status, headers=[(b"content-length", length) for length in told]), GET * 2)
    await quietly(own)
    assert own.memory.text.count(b"HTTP/1.1 %d " % status) == 2
    assert own.memory.text.endswith(b"\r\n\r\n")
    assert (b"content-length: 9\r\n" in own.memory.text) == has_length == (b"content-length" in own.memory.text)


async def test_each_request_has_a_copy_of_the_state_of_the_lifespan():
    seen = []

    async def app(scope, receive, send):
        seen.append(dict(scope["state"]))
        scope["state"]["user"] = scope["path"]
        await answers(b"yes")(scope, receive, send)

    own = Talk(GET * 2, answer=functools.partial(asgi.ask, app, about={**ABOUT, "state": {"pool": 1}}))
    assert len(await own.run()) == 2
    assert seen == [{"pool": 1}] * 2


async def test_head_has_the_length_and_not_the_body():
    own = talk(answers(b"", headers=[(b"content-length", b"9")]), GET.replace(b"GET", b"HEAD") * 2)
    await quietly(own)
    assert own.memory.text == b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\ndate: now\r\n\r\n" * 2


async def test_an_application_that_closes_is_the_last(autojump_clock):
    (only,) = await talk(answers(b"yes", headers=[(b"connection", b"close")]), GET * 2).run()
    assert only[1]["connection"] == "close"


@pytest.mark.parametrize(
    ("app", "fails"),
    [
        (answers(), False),
        (answers(b"yes", headers=[(b"x", b"a\r\nb: c")]), True),
        (answers(b"yes", headers=[(b"a b", b"c")]), True),
        (answers(b"yes", headers=[(b"content-length", b"x")]), True),
    ],
)
async def test_one_that_does_not_answer_or_not_in_http_is_a_500_and_the_log_says_why(app, fails, caplog):
    found = await talk(app, GET * 2).run()
    assert [(status, body) for status, _, body in found] == [(500, b'{"error":"there was no answer"}')] * 2
    assert ("the application failed" in caplog.text) is fails


@pytest.mark.parametrize("parts", [(b"much too long",), (b"short",)])
async def test_one_whose_length_is_wrong_is_cut(parts, caplog):
    own = talk(answers(*parts, headers=[(b"content-length", b"7")]), GET * 2)
    await quietly(own)
    assert own.memory.text.count(b"HTTP/1.1 200 OK") <= 1


async def test_one_that_fails_later_is_cut_and_the_log_says_why(caplog):
    async def breaks(scope, receive, send):
        await answers(b"one", b"two", b"three")(scope, receive, send_two(send))

    def send_two(send):
        left = [0, 1, 2]

        async def sending(event):
            if not left:
                raise ValueError("late")
            left.pop()
            await send(event)

        return sending

    own = talk(breaks, GET * 2)
    await quietly(own)
    assert own.memory.text.endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n")
    assert "ValueError: late" in caplog.text


@pytest.mark.parametrize(
    ("sent", "status"),
    [(post(b"ab", length=3), 400), (post(b"zz\r\n", b"transfer-encoding: chunked", length=-1), 400)],
)
async def test_a_body_that_cannot_be_had_is_a_disconnect_and_its_own_reply(autojump_clock, sent, status):
    events = []

    async def app(scope, receive, send):
        while (event := await receive())["type"] == "http.request":
            pass
        events.append(event)
        await answers(b"late", read=False)(scope, receive, send)

    (only,) = await talk(app, sent).run()
    assert (only[0], events) == (status, [{"type": "http.disconnect"}])


async def test_after_the_reply_the_client_is_gone_to_the_application():
    events = []

    async def app(scope, receive, send):
        await answers(b"yes")(scope, receive, send)
        events.append(await receive())
        await send({"type": "http.response.body", "body": b"more"})

    assert len(await talk(app, GET).run()) == 1
    assert events == [{"type": "http.disconnect"}]


async def test_a_client_that_leaves_cancels_it(autojump_clock):
    cancelled = []

    async def app(scope, receive, send):
        try:
            await trio.sleep_forever()
        finally:
            cancelled.append(True)

    own = talk(app, GET)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(own.run)
        await trio.testing.wait_all_tasks_blocked()
        own.state.told(gone=True)
    assert cancelled == [True]


async def test_starlettes_own_middleware_and_streams_work():
    class Adds(BaseHTTPMiddleware):
        async def dispatch(self, request, call_next):
            reply = await call_next(request)
            reply.headers["x-added"] = "yes"
            return reply

    async def parts():
        yield b"one"
        yield b"two"

    async def inner(scope, receive, send):
        await whole_body(receive)
        await StreamingResponse(parts())(scope, receive, send)

    own = talk(Adds(inner), post(b"abc") * 2)
    await quietly(own)
    assert own.memory.text.count(b"x-added: yes\r\n") == 2
    assert own.memory.text.endswith(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")


def test_a_socket_without_an_address_has_none():
    one, other = socket.socketpair()
    with one, other:
        assert asgi.addresses(one) == {"client": None, "server": None}
    with socket.socket() as lonely:
        assert asgi.addresses(lonely) == {"client": None, "server": None}
