"""TLS: the context of a certificate, and a connection through it."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

import trio

from server.transport import Part

_PIECE = 2**16
# What is encrypted at once is kept twice meanwhile.
_MOST_AT_ONCE = 2**18
# Seconds for the goodbye, which a client that is gone does not take.
_GOODBYE = 1.0


def context_of(certificate: Path, key: Path) -> ssl.SSLContext:
    """With HTTP/2 by ALPN, which wants TLS 1.2, and neither compression nor a second handshake (RFC 9113, 9.2)."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["h2", "http/1.1"])
    context.load_cert_chain(certificate, key)
    return context


class Secure:
    """As Plain is, over TLS. What is received is copied once: trio gives bytes, and takes no buffer.

    Nothing can be hinted at from outside of the task, which may be in the middle of a record.
    """

    def __init__(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        self._stream = stream
        self.received = 0
        self.sent = 0

    def has_more(self) -> bool:
        """What waits to be decrypted may be no request."""
        return False

    async def receive(self) -> bytes:
        return await self._receive(_PIECE)

    async def _receive(self, most: int) -> bytes:
        try:
            data = bytes(await self._stream.receive_some(most))
        except trio.BrokenResourceError:
            return b""
        self.received += len(data)
        return data

    async def receive_into(self, buffer: memoryview, /) -> int:
        data = await self._receive(min(len(buffer), _MOST_AT_ONCE))
        buffer[: len(data)] = data
        return len(data)

    def send_now(self, parts: Sequence[Part], /) -> int:
        return 0

    async def send(self, parts: Sequence[Part], gone: int = 0, /) -> None:
        """Small parts in one record, large ones in several, from where they are. None has gone."""
        try:
            small: list[Part] = []
            for part in parts:
                if len(part) < _PIECE:
                    small.append(part)
                    continue
                await self._send(b"".join(small))
                small = []
                view = memoryview(part)
                for start in range(0, len(view), _MOST_AT_ONCE):
                    await self._send(view[start : start + _MOST_AT_ONCE])
            await self._send(b"".join(small))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise BrokenPipeError from error

    async def _send(self, data: Part) -> None:
        if data:
            await self._stream.send_all(data)
            self.sent += len(data)

    def hint(self, data: bytes, /) -> None:
        raise BrokenPipeError

    async def end(self) -> None:
        """There is no half of a TLS connection that HTTP knows of: the goodbye comes at the close."""
        await trio.lowlevel.checkpoint()

    async def close(self) -> None:
        with trio.move_on_after(_GOODBYE):
            await self._stream.aclose()
