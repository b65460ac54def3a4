"""Replies that are sent while they are made: in virtual time over a wire that remembers, then by a real server."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator

import h2.events
import networkx as nx
import pytest
import trio

from pipeline.errors import InvalidInput
from pipeline.observe import RequestDone
from pipeline.repository import Repository
from pipeline_serve import Context, Pipeline, Raw, Step
from server.handle import handle
from server.service import Service
from tests.server.http2 import Http2
from tests.serving import Server, serving

ROWS = b'{"instances": [1]}'
PREDICT = "/v1/models/m:predict"


class Wire:
    """What was sent, and when."""

    def __init__(self, slow: float = 0) -> None:
        self.sent = []
        self._slow = slow

    async def begin(self, status, headers, /):
        self.sent.append((trio.current_time(), status, headers))

    async def send(self, part, /):
        await trio.sleep(self._slow)
        self.sent.append((trio.current_time(), part))

    async def end(self):
        self.sent.append("end")

    @property
    def parts(self):
        return [own[1] for own in self.sent[1:] if own != "end"]


def streaming(*parts, error=None, **top):
    closed = []

    async def all_of(parts):
        try:
            for part in parts:
                await trio.sleep(1)
                yield part
            if error is not None:
                raise error
        finally:
            closed.append(True)

    async def run(rows: list, context: Context):
        context.answer.headers |= {"content-type": "text/event-stream", "x-a": "b"}
        return Raw(all_of(parts))

    dag = nx.DiGraph()
    dag.add_node("answer", step=Step(run=run))
    pipeline = Pipeline("m", dag, **top)
    service = Service(Repository([pipeline]), ready="all", name="n", version="9")
    return pipeline, service, closed


async def ask(service, wire, path=PREDICT, body=ROWS, **headers):
    async def read_body():
        return body

    return await handle(service, "POST", path, {"x-request-id": "r1", **headers}, read_body, wire)


async def test_each_part_goes_out_as_it_is_made_and_the_head_with_the_first(autojump_clock):
    pipeline, service, closed = streaming("a", b"", b"b")
    told, wire, start = [], Wire(), trio.current_time()
    service.on_answer.append(told.append)
    async with pipeline:
        reply = await ask(service, wire, **{"accept-encoding": "gzip"})
    head = {"content-type": "text/event-stream", "x-a": "b", "x-request-id": "r1"}
    assert wire.sent == [(start + 1, 200, head), (start + 1, b"a"), (start + 3, b"b"), "end"]
    assert (list(reply.body), closed) == ([], [True])
    assert [(own.status, own.size, own.whole) for own in told] == [(200, 2, True)]


async def test_without_a_wire_and_for_an_empty_stream_the_reply_is_whole(autojump_clock):
    pipeline, service, closed = streaming("a", b"b")
    async with pipeline:
        reply = await ask(service, None)
    assert (b"".join(reply.body), reply.headers["content-type"]) == (b"ab", "text/event-stream")
    pipeline, service, closed = streaming()
    wire = Wire()
    async with pipeline:
        reply = await ask(service, wire)
    assert (reply.status, b"".join(reply.body), wire.sent, closed) == (200, b"", [], [True])


async def test_without_a_wire_a_stream_is_kept_up_to_the_largest_body(autojump_clock):
    pipeline, service, closed = streaming(*["x" * 1000] * 5)
    service.max_body = 3_000
    async with pipeline:
        reply = await ask(service, None)
    assert (reply.status, closed) == (501, [True])
    assert b"more than 3000 bytes" in b"".join(reply.body)


async def test_what_fails_before_the_first_part_is_an_ordinary_reply(autojump_clock):
    pipeline, service, closed = streaming(error=InvalidInput("no"))
    wire = Wire()
    async with pipeline:
        reply = await ask(service, wire)
        assert (reply.status, b"".join(reply.body)) == (400, b'{"error":"no"}')
        two = b'{"inputs": [{"name": "x", "datatype": "INT64", "shape": [1], "data": [1]}]}'
        reply = await ask(service, wire, "/v2/models/m/infer", two)
    assert (reply.status, closed) == (501, [True])
    assert json.loads(b"".join(reply.body))["error"].startswith('model "m" answers with a stream')
    assert wire.sent == []


@pytest.mark.parametrize(
    ("error", "top", "says", "parts"),
    [
        (KeyError("the secret"), {}, "POST /v1/models/m:predict failed: KeyError", [b"a", b"b"]),
        (InvalidInput("no"), {}, "POST /v1/models/m:predict failed: InvalidInput", [b"a", b"b"]),
        (None, {"deadline": "1500ms"}, "failed: the request took longer than its deadline of 1.5 s", [b"a"]),
    ],
    ids=["a bug", "an error of ours", "the deadline"],
)
async def test_what_fails_later_cuts_it_short_and_is_logged_and_told(
    autojump_clock, caplog, error, top, says, parts
):  # fmt: skip
    pipeline, service, closed = streaming("a", b"b", error=error, **top)
    told, done, wire = [], [], Wire()
    service.on_answer.append(told.append)
    pipeline.observers.append(lambda event: done.append(event) if isinstance(event, RequestDone) else None)
    with caplog.at_level(logging.WARNING):
        async with pipeline:
            await ask(service, wire)
    assert (wire.parts, wire.sent[-1] != "end", closed) == (parts, True, [True])
    assert [(own.id, own.status, own.size, own.whole) for own in told] == [("r1", 200, len(parts), False)]
    assert [own.code is not None for own in done] == [True]
    assert [(record.request_id, says in record.getMessage()) for record in caplog.records] == [("r1", True)]


async def test_a_client_that_takes_its_time_slows_the_step_and_the_deadline_holds(autojump_clock):
    pipeline, service, closed = streaming("a", b"b", b"c", deadline="12s")
    wire, start = Wire(slow=4), trio.current_time()
    async with pipeline:
        await ask(service, wire)
    assert (trio.current_time() - start, wire.parts, closed) == (12, [b"a", b"b"], [True])


async def test_a_client_that_leaves_cancels_the_step_and_its_bytes_are_told(autojump_clock):
    pipeline, service, closed = streaming("a", b"b", b"c", limit=1, queue=0)
    told, wire = [], Wire()
    service.on_answer.append(told.append)
    async with pipeline:
        with trio.move_on_after(2.5):
            await ask(service, wire)
        assert (wire.parts, closed) == ([b"a", b"b"], [True])
        assert [(own.status, own.size, own.whole) for own in told] == [(499, 2, False)]
        assert pipeline.admission.try_acquire()
        pipeline.admission.release()


# ---- a real server

FIELDS = [(b":method", b"POST"), (b":path", PREDICT.encode()), (b":scheme", b"http"), (b":authority", b"h")]
APP = """
from pathlib import Path

import trio
from pipeline_serve import Raw

HERE = Path(__file__).parent


async def parts(kind):
    try:
        yield "one\\n"
        if kind == "breaks":
            raise KeyError("the secret")
        while kind.startswith("floods"):
            yield b"x" * 65536
        if kind == "waits":
            await trio.sleep_forever()
        yield b"two\\n"
    finally:
        (HERE / f"{kind}.closed").touch()


async def answer(kind: str):
    return Raw(parts(kind))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    files = {"app.py": APP, "m.yaml": "limit: 8\nsteps: {answer: app.py:answer}"}
    with serving(tmp_path_factory.mktemp("stream"), files, graphs=["m.yaml"]) as server:
        yield server
        assert server.stop() == 0
        assert "ASGI" not in server.stderr


def request(kind: str, version: str = "1.1", more: str = "") -> bytes:
    body = json.dumps({"instances": [kind]}).encode()
    head = f"POST {PREDICT} HTTP/{version}\r\nhost: h\r\ncontent-length: {len(body)}\r\nx-request-id: {kind}\r\n"
    return f"{head}{more}\r\n".encode() + body


def exchanged(server: Server, kind: str, version: str = "1.1") -> bytes:
    """All that comes until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as wire:
        wire.sendall(request(kind, version))
        return b"".join(iter(lambda: wire.recv(65536), b""))


def closed(server: Server, kind: str) -> None:
    server.wait_until(f"{kind} is closed", (server.folder / f"{kind}.closed").exists)


def test_over_http_1_1_it_is_chunked_and_the_connection_is_used_again(server):
    with server.client() as client:
        for _ in range(2):
            reply = client.post(PREDICT, json={"instances": ["ends"]})
            assert (reply.status_code, reply.content) == (200, b"one\ntwo\n")
            assert reply.headers["transfer-encoding"] == "chunked"
            assert "content-type" not in reply.headers
        port = reply.extensions["network_stream"].get_extra_info("client_addr")
        assert client.get("/").extensions["network_stream"].get_extra_info("client_addr") == port


def test_http_1_0_has_no_chunks_and_gets_it_whole_with_its_length(server):
    head, _, body = exchanged(server, "ends", "1.0").partition(b"\r\n\r\n")
    assert body == b"one\ntwo\n"
    assert b"\r\ncontent-length: 8\r\n" in head + b"\r\n"


def test_one_that_breaks_ends_without_its_last_chunk_and_the_log_says_why(server):
    reply = exchanged(server, "breaks")
    assert reply.endswith(b"\r\n4\r\none\n\r\n")
    server.wait_for_log(" 4 B, broken off [breaks]")
    assert "POST /v1/models/m:predict failed: KeyError [breaks]" in server.stderr
    (line,) = [own for own in server.stderr.splitlines() if " 4 B, broken off [breaks]" in own]
    assert " 200 " in line


def test_a_client_that_leaves_ends_the_step(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as wire:
        wire.sendall(request("waits"))
        received = b""
        while b"one" not in received:
            received += wire.recv(65536)
    closed(server, "waits")


def test_a_client_that_reads_no_more_is_cut_at_the_deadline(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as wire:
        wire.sendall(request("floods", more="x-request-timeout: 300ms\r\n"))
        closed(server, "floods")
        server.wait_for_log("failed: the request took longer than its deadline of 300 ms")
        received = b"".join(iter(lambda: wire.recv(1 << 20), b""))
    assert not received.endswith(b"0\r\n\r\n")


def test_over_http_2_a_client_that_takes_no_more_loses_its_stream_at_the_deadline(server):
    with Http2(server.port) as client:
        client.headers(1, [*FIELDS, (b"x-request-timeout", b"300ms")], end=False)
        client.h2.send_data(1, b'{"instances": ["floods-h2"]}', end_stream=True)
        client.wire.sendall(client.h2.data_to_send())
        assert client.status(1) == b"200"
        # No window is given back: the stream stands still, and another goes on.
        client.ask(3, b"/v2/health/live")
        assert client.status(3) == b"200"
        client.until(1, h2.events.StreamReset)
    closed(server, "floods-h2")


def test_over_http_2_one_that_breaks_resets_its_stream_and_no_other(server):
    with Http2(server.port) as client:
        for stream, kind in ((1, "breaks"), (3, "ends")):
            client.headers(stream, [*FIELDS, (b"x-request-id", f"h2-{kind}".encode())], end=False)
            client.h2.send_data(stream, json.dumps({"instances": [kind]}).encode(), end_stream=True)
            client.wire.sendall(client.h2.data_to_send())
        assert client.status(1) == b"200"
        client.until(1, h2.events.StreamReset)
        assert (client.status(3), client.body(3)) == (b"200", b"one\ntwo\n")
