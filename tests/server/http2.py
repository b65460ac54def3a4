"""An HTTP/2 client for tests that sends whatever it is told, and sees every event."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

import h2.config
import h2.connection
import h2.events
import h2.settings

from tests.tls import trusting

Header = tuple[bytes, bytes]


class Http2:
    """A client that lets everything out."""

    def __init__(self, port: int, window: int | None = None, *, secure: bool = False, upgrade: bool = False) -> None:
        self.wire = socket.create_connection(("127.0.0.1", port), timeout=30)
        # As every client does: or a small frame waits until what went before it is acknowledged, 40 ms on Linux.
        self.wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if secure:
            self.wire = trusting("h2").wrap_socket(self.wire)
        config = h2.config.H2Configuration(
            header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.h2 = h2.connection.H2Connection(config)
        if window is not None:
            shut = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window}
            self.h2.local_settings = h2.settings.Settings(client=True, initial_values=shut)
        self.events: list[h2.events.Event] = []
        if upgrade:
            self._upgrade()
        else:
            self.h2.initiate_connection()

    def __enter__(self) -> Self:
        return self

    def _upgrade(self) -> None:
        """Asks for ``/v2/health/live``, which becomes stream 1."""
        settings = self.h2.initiate_upgrade_connection()
        asked = b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: " + settings
        self.wire.sendall(b"GET /v2/health/live HTTP/1.1\r\nhost: h\r\n" + asked + b"\r\n\r\n")
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self.wire.recv(65536)
        head, _, rest = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        self.events += self.h2.receive_data(rest)
        self.wire.sendall(self.h2.data_to_send())

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
            # The server may have closed behind what it said.
            with suppress(BrokenPipeError, ConnectionResetError):
                self.wire.sendall(self.h2.data_to_send())

    def settled(self) -> None:
        """The server has read all that was sent so far."""
        self.h2.ping(b"12345678")
        self.wire.sendall(self.h2.data_to_send())
        while not any(isinstance(event, h2.events.PingAckReceived) for event in self.events):
            data = self.wire.recv(65536)
            assert data, f"closed: {self.events}"
            self.events += self.h2.receive_data(data)

    def farewell(self) -> bool:
        """Waits until the server closes the connection, as long as the socket's timeout; whether it said GOAWAY."""
        while data := self.wire.recv(65536):
            self.events += self.h2.receive_data(data)
        return any(isinstance(event, h2.events.ConnectionTerminated) for event in self.events)

    def status(self, stream: int) -> bytes:
        return dict(self.until(stream, h2.events.ResponseReceived).headers)[b":status"]

    def body(self, stream: int) -> bytes:
        self.until(stream, h2.events.StreamEnded)
        parts = (own for own in self.events if isinstance(own, h2.events.DataReceived) and own.stream_id == stream)
        return b"".join(own.data for own in parts)
