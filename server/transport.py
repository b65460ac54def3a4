"""What HTTP/1.1 needs of a connection, and the plain socket that has it.

Asked first and waited for only where there is nothing: most often a request has come whole, and its reply fits into the
buffers of the kernel.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Protocol

import trio

from server.connected import Moving

Part = bytes | memoryview

# A head and a small body; what of a large one comes with its head is copied once, and so should be little.
_PIECE = 2**14
# As many parts as one call takes on every system (IOV_MAX).
_MOST_PARTS = 1024


class Transport(Moving, Protocol):
    """A connection, as bytes. One task uses it; all of it ends by being cancelled, and loses what was on its way.

    A client that is gone reads as one that is done, and raises OSError where it is sent something.
    """

    async def receive(self) -> bytes:
        """Some bytes; none at the end. Waits for them, and lets others run in any case."""
        ...

    async def receive_into(self, buffer: memoryview, /) -> int:
        """How many bytes of the buffer are filled; 0 at the end."""
        ...

    def send_now(self, parts: Sequence[Part], /) -> int:
        """How many bytes of the parts go out without waiting, which may be none."""
        ...

    async def send(self, parts: Sequence[Part], gone: int = 0, /) -> None:
        """What of the parts has not gone out."""
        ...

    def hint(self, data: bytes, /) -> None:
        """Sends a few bytes, outside of the task and without waiting, where nothing is being sent."""
        ...

    async def end(self) -> None:
        """Nothing more is sent; the client may still do so."""
        ...


class Plain:
    """A TCP or Unix socket that does not block."""

    def __init__(self, own: socket.socket) -> None:
        self._socket = own
        self._fd = own.fileno()
        self.received = 0
        self.sent = 0
        # What of a hint did not fit: a reply in its place would be read as the rest of it.
        self._hinted = b""

    def has_more(self) -> bool:
        try:
            return bool(self._socket.recv(1, socket.MSG_PEEK))
        except OSError:
            return False

    async def receive(self) -> bytes:
        while True:
            await trio.lowlevel.wait_readable(self._fd)
            try:
                data = self._socket.recv(_PIECE)
            except (BlockingIOError, InterruptedError):
                continue
            except OSError:
                return b""
            self.received += len(data)
            return data

    async def receive_into(self, buffer: memoryview, /) -> int:
        while True:
            try:
                size = self._socket.recv_into(buffer)
            except (BlockingIOError, InterruptedError):
                await trio.lowlevel.wait_readable(self._fd)
            except OSError:
                return 0
            else:
                self.received += size
                return size

    def send_now(self, parts: Sequence[Part], /) -> int:
        if len(parts) > _MOST_PARTS:
            return 0
        try:
            if self._hinted:
                self._hinted = self._hinted[self._socket.send(self._hinted) :]
                return self.send_now(parts) if not self._hinted else 0
            size = self._socket.sendmsg(parts)
        except (BlockingIOError, InterruptedError):
            return 0
        self.sent += size
        return size

    async def send(self, parts: Sequence[Part], gone: int = 0, /) -> None:
        rest = [memoryview(part) for part in parts if len(part)]
        first = 0
        while True:
            while first < len(rest) and gone >= len(rest[first]):
                gone -= len(rest[first])
                first += 1
            if first == len(rest):
                return
            rest[first] = rest[first][gone:]
            gone = self.send_now(rest[first : first + _MOST_PARTS])
            if not gone:
                await trio.lowlevel.wait_writable(self._fd)

    def hint(self, data: bytes, /) -> None:
        try:
            self._hinted = data[self._socket.send(data) :]
        except BlockingIOError:
            return

    async def end(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            return
