"""What a reply is read through: its parser is never given a byte past the reply's end, nor much work at once.

A parser keeps what it was given. Bytes that a server sent past the end of a reply would be the start of the next one,
which may be another caller's. So pieces end where a reply could: at a blank line, which ends heads, interim replies and
bodies in chunks (RFC 9112, 2.1 and 7.1; h11 takes a bare line feed too), or by the count that the head announced.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore
import trio
from anyio.lowlevel import checkpoint

# A piece of chunks of one byte takes the parser some 8 ms, and nothing else runs meanwhile.
_PIECE = 2048
# As many as Go's net/http takes.
_INTERIM_REPLIES = 5
_BLANK_LINE = re.compile(rb"\n\r?\n")


class Stream(httpcore.AsyncNetworkStream):
    """One connection. Cancelled, a read loses nothing; what a write has sent by then is unknown."""

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner
        self._left = b""
        self._may_have_more = False
        self._last = b""  # the end of what was given, where a blank line may have begun
        self._in_head = True
        self._blank_lines = 0
        self._counted = 0

    def begin_body(self, length: int | None) -> None:
        """The head has been read. ``length``: bytes of the body; None where it is in chunks or ends with the stream."""
        self._in_head = False
        self._counted = length or 0

    @property
    def is_clean(self) -> bool:
        """Whether, now that a reply was read, the next bytes that come can be those of another."""
        return not self._left and not self._may_have_more and _is_quiet(self.get_extra_info("ssl_object"))

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._left:
            if not self._counted:
                await checkpoint()
        else:
            self._left = await self._inner.read(max_bytes, timeout)
            # asyncio's streams read ahead, and keep what is more.
            self._may_have_more = len(self._left) == max_bytes
        end = min(self._counted, max_bytes) or self._end_of_piece(max_bytes)
        piece, self._left = self._left[:end], self._left[end:]
        self._counted -= min(self._counted, len(piece))
        return piece

    def _end_of_piece(self, max_bytes: int) -> int:
        """Where the first blank line ends, which may have begun in the piece before."""
        seen = self._last + self._left[: min(_PIECE, max_bytes)]
        blank = _BLANK_LINE.search(seen)
        end = (blank.end() if blank else len(seen)) - len(self._last)
        self._last = b"" if blank else seen[-2:]
        if blank and self._in_head:
            self._blank_lines += 1
            if self._blank_lines > 1 + _INTERIM_REPLIES:
                raise httpcore.RemoteProtocolError(f"more than {_INTERIM_REPLIES} interim replies came before it")
        return end

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._in_head, self._blank_lines, self._counted, self._last = True, 0, 0, b""
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        return Stream(await self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _is_quiet(tls: ssl.SSLObject | None) -> bool:
    """Whether nothing that arrived still waits to be decrypted; what does is lost by this look at it."""
    if tls is None:
        return True
    try:
        tls.read(1)
    except ssl.SSLWantReadError:
        return True
    except ssl.SSLError:
        return False
    return False


def _backend() -> httpcore.AsyncNetworkBackend:
    """trio's own on trio: what anyio has around each stream takes a tenth of a small call."""
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return httpcore.AnyIOBackend()
    return httpcore.TrioBackend()


class Network(httpcore.AsyncNetworkBackend):
    """Connects as httpcore does, on the loop that it was made on. Cancelled, no socket is left."""

    def __init__(self) -> None:
        self._inner = _backend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return Stream(await self._inner.connect_tcp(host, port, timeout, local_address, socket_options))

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None
    ) -> httpcore.AsyncNetworkStream:
        return Stream(await self._inner.connect_unix_socket(path, timeout, socket_options))

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)
