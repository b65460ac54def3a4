"""What a client does to its own connection, HTTP/2 above all: other streams, other connections and a stop go on."""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest

from tests.conformance.zoo import APP, FILES
from tests.serving import Server, serving

Header = tuple[bytes, bytes]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    files = {"app.py": APP, "echo.yaml": FILES["echo.yaml"]}
    with serving(tmp_path_factory.mktemp("connection"), files, graphs=["echo.yaml"]) as server:
        yield server
        assert server.stop() == 0
        assert "Traceback" not in server.stderr


class Http2:
    """A client that lets everything out."""

    def __init__(self, port: int, window: int | None = None) -> None:
        self.wire = socket.create_connection(("127.0.0.1", port), timeout=30)
        config = h2.config.H2Configuration(
            header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.h2 = h2.connection.H2Connection(config)
        if window is not None:
            shut = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window}
            self.h2.local_settings = h2.settings.Settings(client=True, initial_values=shut)
        self.h2.initiate_connection()
        self.events: list[h2.events.Event] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wire.close()

    def ask(self, stream: int, path: bytes, method: bytes = b"GET", *, end: bool = True) -> None:
        fields = [(b":method", method), (b":path", path), (b":scheme", b"http"), (b":authority", b"h")]
        self.headers(stream, fields, end=end)

    def headers(self, stream: int, fields: Sequence[Header], *, end: bool = True) -> None:
        """``fields`` as they are."""
        self.h2.send_headers(stream, fields, end_stream=end)
        self.wire.sendall(self.h2.data_to_send())

    def until(self, stream: int, *kinds: type[h2.events.Event]) -> h2.events.Event:
        """The first event of these kinds on that stream."""
        while True:
            for event in self.events:
                if isinstance(event, kinds) and event.stream_id == stream:
                    return event
            data = self.wire.recv(65536)
            assert data, f"closed before {kinds} on stream {stream}: {self.events}"
            self.events += self.h2.receive_data(data)
            self.wire.sendall(self.h2.data_to_send())

    def status(self, stream: int) -> bytes:
        return dict(self.until(stream, h2.events.ResponseReceived).headers)[b":status"]

    def body(self, stream: int) -> bytes:
        self.until(stream, h2.events.StreamEnded)
        parts = (own for own in self.events if isinstance(own, h2.events.DataReceived) and own.stream_id == stream)
        return b"".join(own.data for own in parts)


@pytest.mark.parametrize(
    ("method", "path"),
    [(b"GET", "/v2/models/größe".encode()), (b"GET", b"\xff"), (b"G\xc3\x96", b"/v2")],
    ids=["non-ascii path", "path that is no UTF-8", "non-ascii method"],
)
def test_an_http2_request_that_cannot_be_read_fails_its_own_stream(server, method, path):
    with Http2(server.port) as client:
        client.ask(1, path, method)
        client.until(1, h2.events.StreamReset)
        client.ask(3, b"/v2/health/live")
        assert client.body(3) == b'{"live":true}'


def test_there_is_no_connect(server):
    with Http2(server.port) as client:
        client.headers(1, [(b":method", b"CONNECT"), (b":authority", b"h:80")], end=False)
        assert client.status(1) == b"501"
        client.ask(3, b"/v2/health/live")
        assert client.body(3) == b'{"live":true}'


def test_a_body_that_comes_after_its_reply_leaves_the_other_streams(server):
    with Http2(server.port) as client:
        client.headers(1, [(b":method", b"CONNECT"), (b":authority", b"h:80")], end=False)
        assert client.status(1) == b"501"
        client.h2.send_data(1, b"late", end_stream=True)
        client.ask(3, b"/v2/health/live")
        assert client.body(3) == b'{"live":true}'


def test_a_client_that_leaves_with_its_window_shut_takes_its_connection_along(server):
    with Http2(server.port, window=0) as client:
        client.ask(1, b"/v2/health/live")
        assert client.status(1) == b"200"
        client.wire.shutdown(socket.SHUT_WR)
        while client.wire.recv(65536):
            pass


def test_what_breaks_a_connection_is_one_line_without_a_traceback(tmp_path):
    with serving(tmp_path, {"app.py": APP, "echo.yaml": FILES["echo.yaml"]}, graphs=["echo.yaml"]) as server:
        upgrade = b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAAA\r\n"
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as wire:
            wire.sendall(b"GET / HTTP/1.1\r\nhost: h\r\n" + upgrade + b"\r\n")
            while wire.recv(65536):
                pass
        server.wait_for_log("a connection broke")
        (line,) = (line for line in server.stderr.splitlines() if "broke" in line)
        assert line.split("pipeline_serve: ")[1] == (
            "a connection broke: its client sent what HTTP does not know (InvalidFrameError)"
        )
        assert " WARNING " in line
        assert "Traceback" not in server.stderr


def test_a_websocket_that_is_asked_for_is_a_request_like_any_other(server):
    head = (
        b"GET /v2/health/live HTTP/1.1\r\nhost: h\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as wire:
        for _ in range(2):
            wire.sendall(head)
            answer = b""
            while not answer.endswith(b'{"live":true}'):
                answer += wire.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200 ")


def test_a_reply_that_nobody_takes_does_not_outlive_the_grace_period(tmp_path):
    """Neither in HTTP/2, whose window is shut, nor in HTTP/1.1, where the reply is larger than what is on its way."""
    body = b'{"inputs":{"rows":[%s]}}' % b",".join([b"[1.5,2.5]"] * 1_000_000)
    head = b"POST /v1/models/echo:predict HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n" % len(body)
    files = {"app.py": APP, "echo.yaml": FILES["echo.yaml"]}
    with serving(tmp_path, files, "--grace", "50ms", graphs=["echo.yaml"]) as server:
        with Http2(server.port, window=0) as shut, socket.socket() as deaf:
            shut.ask(1, b"/v2/health/live")
            assert shut.status(1) == b"200"
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.settimeout(30)
            deaf.connect(("127.0.0.1", server.port))
            deaf.sendall(head + body)
            server.wait_for_log("POST /v1/models/echo:predict 200")
            assert server.stop() == 0
        assert "grace period is over" in server.stderr
        assert "Traceback" not in server.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="counts the descriptors in /proc")
def test_a_client_that_is_gone_when_its_reply_comes_leaves_no_descriptor_though_it_has_asked_for_more(tmp_path):
    files = {"app.py": APP, "wait.yaml": FILES["wait.yaml"]}
    ask = b'POST /v1/models/wait:predict HTTP/1.1\r\nhost: h\r\ncontent-length: 20\r\n\r\n{"instances": ["%d"]}'
    with serving(tmp_path, files, graphs=["wait.yaml"]) as server:

        def opened() -> int:
            return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))

        wires = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(3)]
        for n, wire in enumerate(wires):
            wire.sendall(ask % n + b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
            server.wait_until("the step began", (tmp_path / f"{n}.began").exists)
        before = opened()
        for wire in wires:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            wire.close()
        for n in range(len(wires)):
            (tmp_path / f"{n}.go").touch()
        server.wait_until("the connections are closed", lambda: opened() <= before - len(wires))
