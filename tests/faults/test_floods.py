"""Much of what costs its sender nothing: connections, handshakes that stall, frames; the server goes on for others."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from collections.abc import Callable, Iterator, Sequence

import h2.errors
import h2.events
import pytest

from tests.faults.models import FILES
from tests.fuzz import frames
from tests.fuzz.target import descriptors, resident, unharmed
from tests.server.http2 import Http2
from tests.serving import Server
from tests.tls import secured

_LIVE = b"GET /v2/health/live HTTP/1.1\r\nhost: h\r\n\r\n"
_MANY = 1000
_READ = b"are read"
_GRAPHS = ("echo.yaml", "wait.yaml", "large.yaml")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Sequence[str]:
    return secured(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with unharmed(tmp_path_factory.mktemp("floods"), FILES, graphs=_GRAPHS) as running:
        with Http2(running.port) as client:
            client.ask(1, b"/v2/health/live")
            assert client.body(1) == b'{"live":true}'
        yield running


def memory(server: Server) -> int:
    return resident(server) if sys.platform == "linux" else 0


@contextlib.contextmanager
def connections(server: Server, count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as opened:
        yield [
            opened.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30)) for _ in range(count)
        ]


def test_a_thousand_connections_at_once_are_answered_each(server):
    files, before = descriptors(server) if sys.platform == "linux" else 0, memory(server)
    with connections(server, _MANY) as wires:
        for wire in wires:
            wire.sendall(_LIVE)
        for wire in wires:
            assert wire.recv(65536).endswith(b'{"live":true}')
        assert memory(server) - before < 64 << 20
    if sys.platform == "linux":
        server.wait_until("they are closed", lambda: descriptors(server) <= files)


def test_a_thousand_that_stop_in_the_middle_of_a_head_hold_up_nobody(server):
    before = memory(server)
    with connections(server, _MANY) as wires:
        for wire in wires:
            wire.sendall(_LIVE[:-2])
        assert server.get("/v2/health/live").status_code == 200
        assert memory(server) - before < 64 << 20


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00"], ids=["nothing", "five bytes"])
def test_a_thousand_handshakes_that_stall_hold_up_nobody(tmp_path, certificate, said):
    with (
        unharmed(tmp_path, FILES, *certificate, graphs=["echo.yaml"]) as server,
        connections(server, _MANY) as wires,
    ):
        for wire in wires:
            wire.sendall(said)
        assert server.get("/v2/health/live").status_code == 200


def _resets(stream: int) -> bytes:
    """CVE-2023-44487: asked and taken back at once, so that no more are open than may be."""
    body = frames.frame(0, 1, stream, b'{"instances": ["x"]}')
    asks = frames.headers(stream, frames.asking(b"/v1/models/wait:predict", b"POST"), end=False)
    return asks + body + frames.frame(3, 0, stream, b"\0\0\0\x08")


FLOODS: dict[str, Callable[[int], bytes]] = {
    "requests that are taken back": _resets,
    "PING": lambda _: frames.frame(6, 0, 0, b"12345678"),
    "SETTINGS": lambda _: frames.frame(4, 0, 0, struct.pack(">HI", 4, 65_535)),
    "PRIORITY": lambda stream: frames.frame(2, 0, stream, struct.pack(">IB", 0, 1)),
    "frames that nobody knows": lambda _: frames.frame(99, 0, 0, b"x" * 50),
}


def keeps_up(client: Http2, times: int) -> bool:
    """Waits until the server has read what was sent, so many times by now. False once it has closed instead.

    More than a little that is unread when it closes would reset the connection before its last word is through.
    """
    while sum(isinstance(own, h2.events.PingAckReceived) and own.ping_data == _READ for own in client.events) < times:
        try:
            data = client.wire.recv(65536)
        except ConnectionResetError:
            return False
        if not data:
            return False
        client.events += client.h2.receive_data(data)
    return True


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_of_frames_ends_its_connection_and_no_other(server, kind):
    """RFC 9113, 10.5: ENHANCE_YOUR_CALM."""
    before = memory(server)
    with Http2(server.port) as beside, Http2(server.port) as client:
        client.wire.sendall(client.h2.data_to_send())
        times = 0
        while keeps_up(client, times) and times < 600:
            streams = range(100 * times + 1, 100 * times + 101, 2)
            client.wire.sendall(b"".join(map(FLOODS[kind], streams)) + frames.frame(6, 0, 0, _READ))
            times += 1
        beside.ask(1, b"/v2/health/live")
        assert beside.body(1) == b'{"live":true}'
        ended = [own.error_code for own in client.events if isinstance(own, h2.events.ConnectionTerminated)]
        assert ended == [h2.errors.ErrorCodes.ENHANCE_YOUR_CALM]
    server.wait_until(
        "none of them is worked on",
        lambda: 'requests_in_flight{model_name="wait"} 0.0\n' in server.get("/metrics").text,
    )
    assert memory(server) - before < 32 << 20


def test_frames_whose_answers_nobody_reads_are_not_kept(server):
    before = memory(server)
    with socket.create_connection(("127.0.0.1", server.port), timeout=0.5) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with contextlib.suppress(OSError):
            deaf.sendall(frames.opening())
            for _ in range(100):
                deaf.sendall(frames.frame(6, 0, 0, b"12345678") * 5000)
        assert server.get("/v2/health/live").status_code == 200
        assert memory(server) - before < 32 << 20
