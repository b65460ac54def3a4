"""A remote that misbehaves in every way that a socket can, behind ``handle``: the status, what is told and left."""

from __future__ import annotations

import json
import logging
import socket
import struct
import threading

import pytest
import trio

from pipeline.observe import RemoteTurned
from pipeline.repository import Repository
from pipeline_serve import Pipeline
from server.handle import handle
from server.service import Service
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
V1, V2 = "/v1/models/far:predict", "/v2/models/far/infer"
# Calls that meet a fault before the one that goes well: what one left open would be three.
ROUNDS = 3
# An idle connection, whose both ends are in this process.
IDLE = 2


def hanging(first: bytes = b""):
    """Reads the request, sends a part of an answer and nothing more; its client closes."""

    def behave(connection):
        read_request(connection)
        connection.sendall(first)

    return behave


def answering_with_the_end(reply: bytes):
    """Answers and closes in one packet: a next call, made in between, would be lost on that connection."""

    def behave(connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        answering_and_closing(reply)(connection)

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
UNREADABLE = 'step "predict": the server that it calls gave an answer that cannot be read'
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
        answering_with_the_end(OK + b"content-length: 5\r\n\r\n" + GOOD[-21:]), 502, UNREADABLE,
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


# ---- the same over version 2, whose tensors come as raw bytes behind the JSON


def tensor(size=4, datatype="FP32", shape=(1,), **more) -> bytes:
    entry = {"name": "y", "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": size}, **more}
    return json.dumps({"model_name": "far", "outputs": [entry]}).encode()


def binary(head: bytes, tail: bytes, said: object = None) -> bytes:
    """A reply with a tail; ``said``: how long it says that its JSON is."""
    length = len(head) if said is None else said
    return answer(head + tail, head=f"inference-header-content-length: {length}\r\n")


RAW = struct.pack("<f", 1.5)
GOOD_V2 = binary(tensor(), RAW)
BINARY_FAULTS = {
    "hangs inside the tail": (hanging(GOOD_V2[:-2]), 504, SLOW),
    "closes inside the tail": (answering_and_closing(GOOD_V2[:-2]), 502, LOST),
    "has less tail than its tensor": (answering(binary(tensor(), RAW[:2]), GOOD_V2), 502, UNREADABLE),
    "has more tail than its tensor": (answering(binary(tensor(), RAW * 2), GOOD_V2), 502, UNREADABLE),
    "has no tail": (answering(binary(tensor(), b""), GOOD_V2), 502, UNREADABLE),
    "has a tail and does not say so": (answering(answer(tensor() + RAW), GOOD_V2), 502, UNREADABLE),
    "says that its JSON is longer than all": (answering(binary(tensor(), RAW, 9999), GOOD_V2), 502, UNREADABLE),
    "says that its JSON is shorter": (answering(binary(tensor(), RAW, 20), GOOD_V2), 502, UNREADABLE),
    "says that its JSON is below zero": (answering(binary(tensor(), RAW, -1), GOOD_V2), 502, UNREADABLE),
    "says no number": (answering(binary(tensor(), RAW, "all"), GOOD_V2), 502, UNREADABLE),
    "says two numbers": (answering(binary(tensor(), RAW, "8, 9"), GOOD_V2), 502, UNREADABLE),
    "has a size that is a text": (answering(binary(tensor("4"), RAW), GOOD_V2), 502, UNREADABLE),
    "has a size that is none": (answering(binary(tensor(-4), RAW), GOOD_V2), 502, UNREADABLE),
    "has another shape than bytes": (answering(binary(tensor(shape=(3,)), RAW), GOOD_V2), 502, UNREADABLE),
    "has a shape of no memory": (answering(binary(tensor(shape=(2**62, 8)), RAW), GOOD_V2), 502, UNREADABLE),
    "has a datatype of nobody": (answering(binary(tensor(datatype="FP31"), RAW), GOOD_V2), 502, UNREADABLE),
    "has texts longer than all": (answering(binary(tensor(datatype="BYTES"), b"\xff" * 4), GOOD_V2), 502, UNREADABLE),
    "is noise behind its JSON's length": (
        answering(binary(b"\xff" * 20, bytes(range(256)), 20), GOOD_V2), 502, UNREADABLE,
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    """A call goes by the proxies of the environment, and what is called here is on this machine."""
    for name, text in LOCAL.items():
        monkeypatch.setenv(name, text)


@pytest.fixture
def front(write):
    """A service whose one step calls that URL."""

    def front(url, path=V1, deadline="20s", more=""):
        call = f'{{call: "{url}{path}", params: {{max_reply: 1MiB}}{more}}}'
        folder = write("graph.yaml", f"name: m\ndeadline: {deadline}\nsteps:\n  predict: {call}\n")
        pipeline = Pipeline.from_file(folder / "graph.yaml")
        return pipeline, Service(Repository([pipeline]), ready="all", name="n", version="9")

    return front


async def ask(service, headers=None):
    async def body() -> bytes:
        return ROWS

    reply = await handle(service, "POST", "/v1/models/m:predict", headers or {}, body)
    return reply.status, reply.headers, json.loads(b"".join(reply.body))


def until(well: threading.Event, behave, good):
    """``behave``, and ``good`` for the connections that are made once all is ``well``."""

    def chosen(connection):
        return (good if well.is_set() else behave)(connection)

    return chosen


EVERY = [*((V1, fault) for fault in FAULTS), *((V2, fault) for fault in BINARY_FAULTS)]


@pytest.mark.parametrize(("path", "fault"), EVERY)
def test_whatever_a_remote_does_the_status_is_right_nothing_stays_open_and_the_next_call_goes_well(
    front, path, fault, caplog
):
    behave, expected, message = (FAULTS if path == V1 else BINARY_FAULTS)[fault]
    well = threading.Event()
    with raw_server(until(well, behave, answering(GOOD if path == V1 else GOOD_V2))) as server:
        pipeline, service = front(server.url, path)
        # Only what hangs needs a short one.
        sent = {"x-request-id": "asked", **({"x-request-timeout": "300ms"} if message == SLOW else {})}

        async def run():
            before = open_files()
            async with pipeline:
                first = await ask(service, sent)
                for _ in range(ROUNDS - 1):
                    await ask(service, sent)
                well.set()
                last = await ask(service)
                # While it is open still, or what closes it would close what was left.
                await trio.to_thread.run_sync(wait_for_files, before + IDLE)
            await trio.to_thread.run_sync(wait_for_files, before)
            return first, last

        (code, headers, body), last = trio.run(run)
    assert (code, body) == (expected, {"error": message})
    assert headers.get("retry-after") == ("7" if "for a while" in fault or "429" in fault else None)
    assert (last[0], last[2]) == (200, {"predictions": [1.5]})
    shown = json.dumps([dict(headers), body])
    assert "127.0.0.1" not in shown
    assert "secret" not in shown
    lines = [record for record in caplog.records if record.name == "pipeline_serve"]
    if message != SLOW:
        line = lines[0]
        assert (line.levelno, line.request_id, line.exc_info) == (logging.WARNING, "asked", None)
        assert server.url in line.getMessage()
        assert "\n" not in line.getMessage()


# ---- whether it is ready, asked of one that misbehaves


def said(body: bytes, line: str = "200 OK", head: str = ""):
    """Answers so, whatever it is asked, and closes: the next question meets another connection."""
    return answering_and_closing(answer(body, status=line, head=f"connection: close\r\n{head}"))


PROBES = {
    "closes at once": lambda connection: connection.shutdown(socket.SHUT_RDWR),
    "resets": resetting,
    "hangs inside the body": hanging(HEAD + b'{"rea'),
    "is noise": answering_and_closing(bytes(range(256)) * 300),
    "has endless headers": endless(OK, b"x-a: b\r\n" * 1000),
    "has an endless body": endless(OK + b"\r\n", b"x" * 4096),
    "says more than it sends": answering_and_closing(OK + b'content-length: 50\r\n\r\n{"ready":true}'),
    "is in gzip": said(b'{"ready":true}', head="content-encoding: gzip\r\n"),
    "is a redirect": said(b'{"ready":true}', "302 Found", "location: /login\r\n"),
    "is a 404": said(b"<h1>no such\r\n page</h1>" * 10_000, "404 Not Found"),
    "is a 503 of many lines": said(json.dumps({"error": "loading\nFAKE LINE " * 5000}).encode(), "503 Busy"),
    "is no JSON": said(b"<p>"),
    "is no text": said(b'{"ready":"\xff\xfe"}'),
    "is a null": said(b"null"),
    "is a list": said(b"[true]"),
    "nests deeper than anybody reads": said(b"[" * 500_000),
    "nests deeper than Python reads": said(b'{"ready": NaN, "x": ' + b"[" * 100_000),
    "says so as a text": said(b'{"ready":"true"}'),
    "has a JSON length that lies": said(b'{"ready":true}', head="inference-header-content-length: 99\r\n"),
    "has bytes behind its JSON": said(b'{"ready":true}\xff', head="inference-header-content-length: 5\r\n"),
}
OF_V1 = ("is a 404", "is no JSON", "is no text", "is a null", "is a list", "says so as a text")


def ready(connection):
    """Is ready, and answers."""
    while True:
        first = read_request(connection).partition(b"\r\n")[0]
        asks = b"POST" not in first
        connection.sendall(answer(b'{"ready":true}') if asks else GOOD if b"/v1/" in first else GOOD_V2)


@pytest.mark.parametrize(("path", "probe"), [*((V2, probe) for probe in PROBES), *((V1, probe) for probe in OF_V1)])
def test_whatever_a_probe_meets_is_a_no_that_is_told_and_the_model_comes_back(front, path, probe):
    well = threading.Event()
    told, hear = trio.open_memory_channel(10)

    def observe(event):
        if isinstance(event, RemoteTurned):
            told.send_nowait(event.reason)

    with raw_server(until(well, PROBES[probe], ready)) as server:
        pipeline, service = front(server.url, path, more=", ready: true")
        pipeline.observers.append(observe)

        async def run():
            before = open_files()
            async with pipeline:
                no, why = await ask(service), await hear.receive()
                well.set()
                yes = await hear.receive()
                answered = await ask(service)
                await trio.to_thread.run_sync(wait_for_files, before + IDLE)
            await trio.to_thread.run_sync(wait_for_files, before)
            return no, why, yes, answered

        no, why, yes, answered = trio.run(run)
    assert (no[0], "is not ready" in no[2]["error"]) == (503, True)
    assert (yes, answered[0], answered[2]) == (None, 200, {"predictions": [1.5]})
    assert why.startswith((server.url, "no answer within")) or f" {server.url}" in why
    assert (len(why) < 1000, "\n" in why) == (True, False)


# ---- what is told, and connections


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
                    with trio.CancelScope() as scope:
                        nursery.start_soon(leave, scope)
                        await ask(service)
                    left = open_files()  # with nothing awaited since
                await trio.to_thread.run_sync(server.wait_until_left)
                return left, await ask(service)

        async def leave(scope):
            await trio.to_thread.run_sync(server.wait_until_came)
            under_way.append(open_files())
            scope.cancel()

        under_way = []
        left, (code, _, body) = trio.run(run)
    # The remote's end of it closes after ours: one less is ours.
    assert left < under_way[0]
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


TOKEN = "Ym9iOmh1bnRlcjI="
REPEATING = {
    "in a location": lambda request: answer(b"", status="307 Go", head="location: http://bob:hunter2@internal/\r\n"),
    "in an error page": lambda request: answer(b"x" * 300 + request, status="400 Bad"),
    "in a page that is no JSON": lambda request: answer(b"x" * 300 + request),
    "as an encoding": lambda request: answer(head=f"content-encoding: Basic {TOKEN}\r\n"),
    "as an encoding with a name": lambda request: answer(head="content-encoding: hunter2\r\n"),
    "as no HTTP": lambda request: request,
    "in its status": lambda request: answer(status=f"2x0 Basic {TOKEN}"),
}


@pytest.mark.parametrize("how", REPEATING)
@pytest.mark.parametrize("whose", ["the step's", "the caller's"])
def test_no_credential_is_in_a_line_though_the_server_repeats_it(front, caplog, how, whose):
    def repeating(connection):
        connection.sendall(REPEATING[how](read_request(connection)))

    caplog.set_level(logging.DEBUG, "pipeline_serve")
    with raw_server(repeating) as server:
        if whose == "the step's":
            pipeline, service = front(server.url.replace("//", "//bob:hunter2@"))
        else:
            pipeline, service = front(server.url, more=", forward: [authorization]")

        async def run():
            async with pipeline:
                return await ask(service, {"authorization": f"Basic {TOKEN}"})

        reply = trio.run(run)
    assert reply[0] in (400, 502)
    shown = caplog.text + json.dumps([dict(reply[1]), reply[2]])
    assert "was answered" in shown or "no whole reply" in shown
    assert "hunter2" not in shown
    assert TOKEN not in shown


# ---- two real processes

APP = "async def far(x):\n    return x\n"


@pytest.fixture(scope="module")
def transformer(tmp_path_factory):
    """(a server in front of a remote that a test chooses by its port, the raw remote's listener)"""
    folder = tmp_path_factory.mktemp("transformer")
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    # Long enough for a busy machine to make the call.
    hung = f"name: hung\ndeadline: 5s\nsteps: {{predict: {{call: '{url}/v2/models/far/infer'}}}}\n"
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
    assert (reply.status_code, reply.json()) == (504, {"error": SLOW.replace("300 ms", "5 s")})


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
