"""Clients that send or take a byte at a time, against a real server whose clock runs twenty times as fast."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import h2.events
import h2.exceptions
import pytest

from tests.faults.models import FILES, GRAPHS, asked
from tests.fuzz.http1 import Wire
from tests.fuzz.target import resident, unharmed
from tests.server.http2 import Http2
from tests.serving import PATIENCE, Server

pytestmark = pytest.mark.slow
# The same phases, each shorter, with the same bytes in them.
_HURRIED = """
import server.reaper as reaper
import server.worker as worker

slow = reaper.patience
reaper._TICK, reaper.RATE = reaper._TICK / 20, reaper.RATE * 20
worker.patience = lambda idle: {phase: seconds / 20 for phase, seconds in slow(idle * 20).items()}

from server.cli import main

main()
"""
_ROWS = {"instances": [[1, 2]]}
_LARGE = 20_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("slow")
    with unharmed(folder, FILES, graphs=GRAPHS, command=(sys.executable, "-c", _HURRIED)) as running:
        with Http2(running.port) as client:
            client.ask(1, b"/v2/health/live")
            assert client.body(1) == b'{"live":true}'
        yield running


def dripped(wire: socket.socket, data: bytes) -> bytes:
    """What is answered while these bytes are sent one at a time, which must be before the last of them."""
    wire.settimeout(0.02)
    answer = b""
    for byte in data:
        try:
            wire.sendall(bytes([byte]))
            part = wire.recv(65536)
        except TimeoutError:
            continue
        except ConnectionError:
            return answer
        answer += part
        if not part or answer.endswith(b"}"):
            return answer
    raise AssertionError(f"it took every byte, and answered {answer!r}")


def connect(server: Server, buffer: int | None = None) -> socket.socket:
    wire = socket.socket()
    if buffer is not None:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    wire.settimeout(PATIENCE)
    wire.connect(("127.0.0.1", server.port))
    return wire


def inside(server: Server) -> float:
    """How many the model with one place works on."""
    return float(server.get("/metrics").text.partition('requests_in_flight{model_name="single"} ')[2].split()[0])


def test_a_head_at_a_byte_a_time_is_a_408(server):
    with connect(server) as wire:
        answer = dripped(wire, b"GET /v2/health/live HTTP/1.1\r\nhost: h\r\nx: " + b"y" * 10_000)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("framing", ["sized", "chunked"])
def test_a_body_at_a_byte_a_time_is_a_408_and_gives_its_place_back(server, framing):
    """The model has one place, which the slow one has while it sends; others find none, until it is a 408."""
    head = b"POST /v1/models/single:predict HTTP/1.1\r\nhost: h\r\n"
    with connect(server) as wire:
        if framing == "sized":
            wire.sendall(head + b"content-length: 10000\r\n\r\n")
            rest = b" " * 10_000
        else:
            wire.sendall(head + b"transfer-encoding: chunked\r\n\r\n")
            rest = b"1\r\n \r\n" * 2000
        server.wait_until("it has the place", lambda: inside(server) == 1)
        assert server.post("/v1/models/single:predict", _ROWS).status_code == 503
        assert dripped(wire, rest).startswith(b"HTTP/1.1 408 ")
        assert server.post("/v1/models/single:predict", _ROWS).status_code == 200


def test_a_body_at_a_byte_a_time_is_a_408_in_http2_too(server):
    with Http2(server.port) as client:
        client.ask(1, b"/v1/models/single:predict", b"POST", end=False)
        client.settled()
        with contextlib.suppress(h2.exceptions.ProtocolError):
            for _ in range(50):
                client.h2.send_data(1, b" ")
                client.wire.sendall(client.h2.data_to_send())
                time.sleep(0.02)
        assert client.status(1) == b"408"
    server.wait_until("its place is free", lambda: server.post("/v1/models/single:predict", _ROWS).status_code == 200)


def is_held(server: Server, wire: socket.socket) -> bool:
    """Whether the server has its end of that connection open, as Linux tells."""
    ours, theirs = f":{server.port:04X}", f":{wire.getsockname()[1]:04X}"
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines())
    return any(row[1].endswith(ours) and row[2].endswith(theirs) and row[3] == "01" for row in rows)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_client_that_takes_nothing_of_its_reply_is_cut(server):
    with connect(server, 4096) as wire:
        wire.sendall(asked("large", str(_LARGE)))
        assert wire.recv(1)
        assert is_held(server, wire)
        server.wait_until("it is cut", lambda: not is_held(server, wire))
        taken = 1
        with contextlib.suppress(OSError):
            while part := wire.recv(1 << 20):
                taken += len(part)
    assert taken < _LARGE


@pytest.mark.parametrize("model", ["large", "flood"])
def test_one_that_takes_nothing_over_http2_is_cut(server, model):
    """Its window is shut: the server may send nothing, and keeps little of what is made for it, for a while."""
    before = resident(server) if sys.platform == "linux" else 0
    with Http2(server.port, window=0) as client:
        instance = str(_LARGE) if model == "large" else '"shut"'
        head, _, body = asked(model, instance).partition(b"\r\n\r\n")
        client.ask(1, head.split()[1], b"POST", end=False)
        client.h2.send_data(1, body, end_stream=True)
        client.wire.sendall(client.h2.data_to_send())
        assert client.status(1) == b"200"
        client.until(1, h2.events.StreamReset)
        if sys.platform == "linux" and model == "flood":
            assert resident(server) - before < 32 << 20
        client.ask(3, b"/v2/health/live")
        assert client.status(3) == b"200"


def test_many_that_read_their_streams_slowly_hold_little(server):
    """What is made while it is sent is not made faster than it is taken."""
    before = resident(server) if sys.platform == "linux" else 0
    with contextlib.ExitStack() as opened:
        wires = [opened.enter_context(connect(server, 4096)) for _ in range(50)]
        for n, wire in enumerate(wires):
            wire.sendall(asked("flood", f'"slow{n}"'))
        for wire in wires:
            assert wire.recv(1)
        if sys.platform == "linux":
            assert resident(server) - before < 128 << 20
        for n in range(len(wires)):
            server.wait_until("it is cut", (server.folder / f"slow{n}.over").exists)


def test_large_replies_that_nobody_takes_are_let_go(server):
    before = resident(server) if sys.platform == "linux" else 0
    with contextlib.ExitStack() as opened:
        wires = [opened.enter_context(connect(server, 4096)) for _ in range(10)]
        for wire in wires:
            wire.sendall(asked("large", str(_LARGE)))
        if sys.platform == "linux":
            server.wait_until("they are let go", lambda: resident(server) - before < 64 << 20)
        with Wire(server.port) as beside:
            beside.send(asked("echo", "[1, 2]"))
            assert beside.answer("POST").status == 200
