"""A remote that misbehaves in every way that a socket can, behind ``handle``: the status, what is told and left."""

from __future__ import annotations

import json
import logging
import socket
import threading

import pytest
import trio

from pipeline.repository import Repository
from pipeline_serve import Pipeline
from server.handle import Service, handle
from tests.raw import (
    answer,
    answering,
    answering_and_closing,
    open_files,
    raw_server,
    read_request,
    resetting,
    wait_for_files,
)
from tests.serving import serving

LOCAL = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
GOOD = answer(b'{"predictions":[1.5]}')
ROWS = b'{"instances": [1.5]}'
SECRET = b"the secret of the remote"


def hanging(first: bytes = b""):
    """Reads the request, sends a part of an answer and nothing more; its client closes."""

    def behave(connection):
        read_request(connection)
        connection.sendall(first)

    return behave


def endless(head: bytes, part: bytes):
    """Sends until nobody reads."""

    def behave(connection):
        read_request(connection)
        connection.sendall(head)
        while True:
            connection.sendall(part)

    return behave


def status(line: str, body: bytes = SECRET, head: str = ""):
    """Answers so once, and then well, on the same connection or another."""
    return answering(answer(body, status=line, head=head), GOOD)


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
HEAD = OK + b"content-length: 21\r\n\r\n"
LOST = 'step "predict": the server that it calls gave no answer that can be used'
UNREADABLE = 'step "predict": the answer of the server that it calls cannot be read'
SLOW = "the request took longer than its deadline of 300 ms"


def answered(number: int) -> str:
    return f'step "predict": the server that it calls answered {number}'


FAULTS = {
    "hangs before the answer": (hanging(), 504, SLOW),
    "hangs inside the head": (hanging(b"HTTP/1.1 200 OK\r\ncontent-le"), 504, SLOW),
    "hangs inside the body": (hanging(HEAD + b'{"pred'), 504, SLOW),
    "closes at once": (lambda connection: connection.shutdown(socket.SHUT_RDWR), 502, LOST),
    "closes before the status": (answering_and_closing(b""), 502, LOST),
    "closes inside the head": (answering_and_closing(b"HTTP/1.1 200 OK\r\ncontent-le"), 502, LOST),
    "closes inside the body": (answering_and_closing(GOOD[:-3]), 502, LOST),
    "resets": (resetting, 502, LOST),
    "is no HTTP": (answering_and_closing(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), 502, LOST),
    "is noise": (answering_and_closing(bytes(range(256)) * 300), 502, LOST),
    "has endless headers": (endless(OK, b"x-a: b\r\n" * 1000), 502, LOST),
    "has an endless body in chunks": (endless(CHUNKED, b"1000\r\n" + b"x" * 4096 + b"\r\n"), 502, LOST),
    "has an endless body": (endless(OK + b"\r\n", b"x" * 4096), 502, LOST),
    "says more than it sends": (answering_and_closing(OK + b"content-length: 50\r\n\r\n" + GOOD[-21:]), 502, LOST),
    "sends less than it said": (hanging(OK + b"content-length: 50\r\n\r\n" + GOOD[-21:]), 504, SLOW),
    "sends more than it said": (
        answering_and_closing(OK + b"content-length: 5\r\n\r\n" + GOOD[-21:]), 502, UNREADABLE,
    ),
    "is no JSON": (status("200 OK"), 502, UNREADABLE),
    "is empty": (status("204 No Content", b""), 502, UNREADABLE),
    "is in gzip": (status("200 OK", head="content-encoding: gzip\r\n"), 502, LOST),
    "is a redirect": (status("307 Temporary Redirect", head="location: http://secret/\r\n"), 502, LOST),
    "is a 304": (status("304 Not Modified", b""), 502, LOST),
    "is a 400": (status("400 Bad Request", b'{"error":"the secret of the remote"}'), 400, answered(400)),
    "is a 401": (status("401 Unauthorized"), 401, answered(401)),
    "is a 404": (status("404 Not Found"), 404, answered(404)),
    "is a 413": (status("413 Too Large"), 413, answered(413)),
    "is a 422": (status("422 Unprocessable"), 422, answered(422)),
    "is a 429": (status("429 Too Many Requests", head="retry-after: 7\r\n"), 429, answered(429)),
    "is a 500": (status("500 Internal Server Error"), 502, answered(500)),
    "is a 501": (status("501 Not Implemented"), 502, answered(501)),
    "is a 502": (status("502 Bad Gateway"), 502, answered(502)),
    "is a 503": (status("503 Service Unavailable"), 503, answered(503)),
    "is a 503 for a while": (status("503 Busy", head="Retry-After: 7\r\n"), 503, answered(503)),
    "is a 504": (status("504 Gateway Timeout"), 504, answered(504)),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    """A call goes by the proxies of the environment, and what is called here is on this machine."""
    for name, text in LOCAL.items():
        monkeypatch.setenv(name, text)


@pytest.fixture
def front(write):
    """A service whose one step calls that URL."""

    def front(url, deadline="20s", params="{max_reply: 1MiB}"):
        folder = write("graph.yaml", f"name: m\ndeadline: {deadline}\nsteps:\n  predict: "
                       f'{{call: "{url}/v1/models/far:predict", params: {params}}}\n')  # fmt: skip
        pipeline = Pipeline.from_file(folder / "graph.yaml")
        return pipeline, Service(Repository([pipeline]), ready="all", name="n", version="9")

    return front


async def ask(service, headers=None):
    async def body() -> bytes:
        return ROWS

    reply = await handle(service, "POST", "/v1/models/m:predict", headers or {}, body)
    return reply.status, reply.headers, json.loads(b"".join(reply.body))


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_a_remote_does_the_status_is_right_nothing_stays_open_and_the_next_call_goes_well(
    front, fault, caplog
):
    behave, expected, message = FAULTS[fault]
    with raw_server(behave, answering(GOOD)) as server:
        pipeline, service = front(server.url)
        # Only what hangs needs a short one.
        sent = {"x-request-id": "asked", **({"x-request-timeout": "300ms"} if message == SLOW else {})}

        async def run():
            async with pipeline:
                return await ask(service, sent), await ask(service)

        before = open_files()
        (code, headers, body), second = trio.run(run)
        wait_for_files(before)
    assert (code, body) == (expected, {"error": message})
    assert headers.get("retry-after") == ("7" if "for a while" in fault or "429" in fault else None)
    assert (second[0], second[2]) == (200, {"predictions": [1.5]})
    shown = json.dumps([dict(headers), body])
    assert "127.0.0.1" not in shown
    assert "secret" not in shown
    lines = [record for record in caplog.records if record.name == "pipeline_serve"]
    if message != SLOW:
        line = lines[0]
        assert (line.levelno, line.request_id, line.exc_info) == (logging.WARNING, "asked", None)
        assert server.url in line.getMessage()
        assert "\n" not in line.getMessage()


def test_the_body_and_the_status_of_the_remote_are_in_the_log(front, caplog):
    with raw_server(status("404 Not Found", b'{"detail":\n  "no such thing"}' + b" x" * 5000)) as server:
        pipeline, service = front(server.url)

        async def run():
            async with pipeline:
                await ask(service, {"x-request-id": "asked"})

        trio.run(run)
    (line,) = [record.getMessage() for record in caplog.records if record.name == "pipeline_serve"]
    start = 'POST /v1/models/m:predict failed: step "predict": the server that it calls answered 404'
    reason = f'(POST {server.url}/v1/models/far:predict was answered 404: {{"detail": "no such thing"}} x'
    assert line.startswith(f"{start} {reason}")
    assert len(line) < 1000


def test_nobody_listens(front, caplog):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    pipeline, service = front(url)

    async def run():
        async with pipeline:
            return await ask(service)

    before = open_files()
    code, _, body = trio.run(run)
    wait_for_files(before)
    assert (code, body) == (502, {"error": LOST})
    assert f"cannot connect to {url}" in caplog.text
    assert "Traceback" not in caplog.text


def test_nobody_accepts(front):
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    address = listener.getsockname()
    # The backlog is full: the next connection is neither made nor refused.
    waiting = [socket.socket() for _ in range(4)]
    for own in waiting:
        own.setblocking(False)
        own.connect_ex(address)
    pipeline, service = front(f"http://127.0.0.1:{address[1]}", deadline="300ms")

    async def run():
        async with pipeline:
            return await ask(service)

    before = open_files()
    code, _, body = trio.run(run)
    wait_for_files(before)
    for own in (listener, *waiting):
        own.close()
    assert (code, body) == (504, {"error": SLOW})


def test_a_caller_that_leaves_closes_the_connection_of_the_call(front):
    with raw_server(hanging(), answering(GOOD)) as server:
        pipeline, service = front(server.url, deadline="60s")

        async def run():
            async with pipeline:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(ask, service)
                    await trio.to_thread.run_sync(server.wait_until_came)
                    nursery.cancel_scope.cancel()
                await trio.to_thread.run_sync(server.wait_until_left)
                return await ask(service)

        code, _, body = trio.run(run)
    assert (code, body) == (200, {"predictions": [1.5]})


def test_a_connection_that_the_remote_closed_while_it_was_idle_is_replaced(front):
    closed = threading.Event()

    def closing(connection):
        answering_and_closing(GOOD)(connection)
        closed.set()

    with raw_server(closing, answering(GOOD)) as server:
        pipeline, service = front(server.url)

        async def run():
            async with pipeline:
                first = await ask(service)
                await trio.to_thread.run_sync(closed.wait)
                return first[0], (await ask(service))[0]

        assert trio.run(run) == (200, 200)
        assert server.connections == 2


def test_a_call_is_sent_once_though_its_connection_was_lost(front):
    """A remote that has read a request may have done what it asks for."""
    seen = []

    def losing(connection):
        answered = False
        while True:
            seen.append(read_request(connection))
            if answered:
                return connection.shutdown(socket.SHUT_RDWR)
            connection.sendall(GOOD)
            answered = True

    with raw_server(losing, answering(GOOD)) as server:
        pipeline, service = front(server.url)

        async def run():
            async with pipeline:
                return [(await ask(service))[0] for _ in range(3)]

        assert trio.run(run) == [200, 502, 200]
        assert len(seen) == 2


# ---- two real processes

APP = "async def far(x):\n    return x\n"


@pytest.fixture(scope="module")
def transformer(tmp_path_factory):
    """(a server in front of a remote that a test chooses by its port, the raw remote's listener)"""
    folder = tmp_path_factory.mktemp("transformer")
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    hung = f"name: hung\ndeadline: 300ms\nsteps: {{predict: {{call: '{url}/v2/models/far/infer'}}}}\n"
    with serving(tmp_path_factory.mktemp("predictor"), {"app.py": APP, "far.yaml": "steps: {far: app.py:far}\n"},
                 graphs=["far.yaml"]) as predictor:  # fmt: skip
        front = f"name: front\ndeadline: 30s\nsteps: {{predict: {{call: '{predictor.url}/v2/models/far/infer'}}}}\n"
        files = {"front.yaml": front, "hung.yaml": hung}
        with serving(folder, files, graphs=["front.yaml", "hung.yaml"], env=LOCAL) as server:
            yield server, predictor, listener


def test_a_hung_predictor_is_a_504_on_time_and_sees_the_connection_close(transformer):
    server, _, listener = transformer
    with raw_server(hanging(), listener=listener) as remote:
        reply = server.post("/v1/models/hung:predict", {"instances": [1]})
        remote.wait_until_left()
    assert (reply.status_code, reply.json()) == (504, {"error": SLOW})


def test_a_killed_predictor_is_a_502_and_no_url_is_told(transformer):
    server, predictor, _ = transformer
    good = server.post("/v1/models/front:predict", {"instances": [1]})
    assert (good.status_code, good.json()) == (200, {"predictions": [1]})
    predictor.process.kill()
    predictor.process.wait()
    reply = server.post("/v1/models/front:predict", {"instances": [1]})
    assert (reply.status_code, reply.json()) == (502, {"error": LOST})
    server.wait_for_log(f"cannot connect to {predictor.url}")
    assert "Traceback" not in server.stderr
