"""HTTP/1.1 over a raw socket: bytes out as they are, replies in, read strictly.

Every wait is bounded by the socket's timeout, and one that is not answered by then is a hang.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from tests.tls import trusting

PATIENCE = 20.0
"""Seconds without a byte after which the server hangs. It lingers for 5 of them by design."""
_STATUS = re.compile(rb"HTTP/1\.1 ([1-5]\d\d) [^\r\n]*")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e]*?)[ \t]*")
_BODILESS = (204, 304)


class Malformed(AssertionError):
    """What the server sent is no HTTP/1.1 reply."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One reply. ``headers`` in lower case; a name that comes twice is malformed."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        return self.headers.get("connection", "").lower() == "close"


class Wire:
    """A connection to a port of this machine."""

    def __init__(self, port: int, *, tls: bool = False) -> None:
        plain = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = trusting().wrap_socket(plain) if tls else plain
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> bool:
        """Whether it went out whole: the server may close before it has read all of it. Raises TimeoutError."""
        try:
            self._socket.sendall(data)
        except TimeoutError:
            raise
        except OSError:
            return False
        return True

    def half_close(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:  # it is closed already
            return

    def reset(self) -> None:
        """Closes with a RST, as a client that crashes does."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def answer(self, method: str) -> Answer | None:
        """The next final reply, None where the connection ends in place of one. Raises Malformed, TimeoutError."""
        while True:
            head = self._until(b"\r\n\r\n")
            if head is None:
                return None
            status, headers = _head(head)
            if status >= 200:
                break
        if method == "HEAD" or status in _BODILESS:
            return Answer(status, headers, b"")
        length = headers.get("content-length", "")
        if not re.fullmatch("[0-9]{1,12}", length) or "transfer-encoding" in headers:
            raise Malformed(f"a reply without one plain content-length: {head!r}")
        return Answer(status, headers, self._exactly(int(length)))

    def hear(self) -> None:
        """Waits until something has come, or nothing will. Raises TimeoutError."""
        if not self._buffer:
            self._more()

    def rest(self) -> bytes:
        """Everything until the server closes. Raises TimeoutError where it does not."""
        while self._more():
            pass
        rest, self._buffer = self._buffer, b""
        return rest

    def _until(self, end: bytes) -> bytes | None:
        while end not in self._buffer:
            if not self._more():
                if self._buffer:
                    raise Malformed(f"a reply that ends in its head: {self._buffer[:300]!r}")
                return None
        head, _, self._buffer = self._buffer.partition(end)
        return head

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            if not self._more():
                raise Malformed(f"a reply of {size} bytes ends after {len(self._buffer)}")
        body, self._buffer = self._buffer[:size], self._buffer[size:]
        return body

    def _more(self) -> bool:
        try:
            data = self._socket.recv(1 << 16)
        except TimeoutError:
            raise
        except OSError:  # reset
            return False
        self._buffer += data
        return bool(data)


def _head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.split(b"\r\n")
    status = _STATUS.fullmatch(first)
    if status is None:
        raise Malformed(f"no status line: {first[:200]!r}")
    headers: dict[str, str] = {}
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise Malformed(f"no header field: {line[:200]!r}")
        name = field[1].decode().lower()
        if name in headers:
            raise Malformed(f"the header {name} twice")
        headers[name] = field[2].decode()
    return int(status[1]), headers
