"""The body of a request over HTTP/1.1: received when it is asked for, or dropped where nobody asked.

One whose length is known is received into one buffer, which is what is handed on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import trio

from pipeline.errors import Code, InferError
from server.chunks import Chunks
from server.connected import Connected, Phase
from server.head import CHUNKED, Head, too_slow
from server.reply_head import CONTINUE
from server.transport import Part, Transport

# What is cheaper to copy than to look at through a view.
_SMALL = 2**12
# A body that is worth waiting for though its reply is made already, so that its connection can be used again.
_WORTH_WAITING = 2**20
# Seconds for it, in all, and bytes that are dropped at once.
_TO_DROP, _DROP = 5.0, 2**16


class Body:
    """Of one request after the other of a connection. Cancelled, what was on its way is lost, and with it what follows.

    What cannot be had of it is raised as an InferError with its status; there is no next request then.
    """

    __slots__ = (
        "_at", "_broken", "_chunks", "_data", "_invites", "_left", "_most", "_state", "_transport", "_waited",
    )  # fmt: skip

    def __init__(self, transport: Transport, state: Connected, most: int) -> None:
        self._transport = transport
        self._state = state
        self._most = most
        self._data = b""
        self._at = 0
        self._left = 0
        """Bytes that are still to be taken, of what is here or of the connection; CHUNKED while its end is unknown."""
        self._broken = False
        self._invites = False
        self._waited: tuple[float | None, int] = None, 0
        """Since when, and from how many bytes on, to who watches the clock: all its waits are one."""
        self._chunks: Chunks | None = None

    def begin(self, head: Head, data: bytes, at: int) -> None:
        """The body that is in ``data`` from ``at`` on, as far as it has come."""
        self._data, self._at, self._left = data, at, head.length
        self._broken, self._invites, self._waited = False, head.expects, (None, 0)
        self._chunks = Chunks() if head.length == CHUNKED else None

    @property
    def ended(self) -> bool:
        """Whether it was taken whole."""
        return self._left == 0

    @property
    def follows(self) -> bytes:
        """What has come after it, once it was taken whole."""
        return self._data[self._at :]

    @property
    def outlasts(self) -> bool:
        """Whether what is left of it is too much to wait for, or may never come: no request follows it."""
        if not self._left:
            return False
        left = self._left - (len(self._data) - self._at)
        return self._broken or self._left == CHUNKED or left > _WORTH_WAITING or (self._invites and left > 0)

    async def whole(self) -> Part:
        """All of it, read-only, and a view of what was received unless it is small or came in chunks."""
        length = self._left
        if not length:
            return b""
        if length == CHUNKED:
            return await self._joined()
        if length > self._most:
            raise self._too_large()
        end = self._at + length
        if end <= len(self._data):
            here = self._data[self._at : end] if length < _SMALL else memoryview(self._data)[self._at : end]
            self._at, self._left = end, 0
            return here
        buffer = np.empty(length, np.uint8).data
        await self._fill(buffer)
        return buffer.toreadonly()

    async def piece(self) -> bytes:
        """Some of it, nothing at its end; what is larger than the limit is for who reads the pieces to refuse."""
        waited = False
        while self._left:
            if self._at < len(self._data):
                parts = self._decoded()
                if waited:
                    self._look()
                if parts:
                    return b"".join(parts)
            else:
                waited = True
                async with self._waiting():
                    await self._receive()
        return b""

    async def drop(self) -> bool:
        """Drops what is left, as long as that may take. Whether it came whole."""
        if self.outlasts:
            return False
        self._take_here()
        scratch = memoryview(bytearray(min(self._left, _DROP)))
        self._state.enter(Phase.LINGER)
        with trio.move_on_after(_TO_DROP):
            while self._left:
                size = await self._transport.receive_into(scratch[: self._left])
                if not size:
                    return False
                self._left -= size
        return not self._left

    def _take_here(self) -> int:
        here = min(len(self._data) - self._at, self._left)
        self._at += here
        self._left -= here
        return here

    async def _fill(self, buffer: memoryview) -> None:
        at = self._at
        got = self._take_here()
        buffer[:got] = self._data[at : at + got]
        self._data, self._at = b"", 0
        async with self._waiting():
            while self._left:
                size = await self._transport.receive_into(buffer[got:])
                if not size:
                    raise self._cut_short()
                got += size
                self._left -= size
                # One that comes as fast as it is taken has no end that others would wait for.
                await trio.lowlevel.checkpoint()
        self._look()

    async def _joined(self) -> memoryview:
        body = bytearray()
        self._extend(body)
        if self._left:
            async with self._waiting():
                while self._left:
                    await self._receive()
                    self._extend(body)
            self._look()
        return memoryview(body).toreadonly()

    def _look(self) -> None:
        """A client that was done sending before its body had been received is asked now whether it has left."""
        if not self._left and self._state.done_sending:
            self._state.look_for_client()

    def _extend(self, body: bytearray) -> None:
        for part in self._decoded():
            body += part
        if len(body) > self._most:
            raise self._too_large()

    @asynccontextmanager
    async def _waiting(self) -> AsyncIterator[None]:
        """Who watches the clock may end what waits for a body. A client that waits for a word gets it first."""
        state = self._state
        state.enter(Phase.BODY)
        state.since, state.moved = self._waited
        try:
            with state.waiting() as wait:
                if self._invites:
                    self._invites = False
                    await self._transport.send([CONTINUE])
                yield
            if wait.cancelled_caught:
                self._broken = True
                raise too_slow("body")
        except OSError:
            raise self._cut_short() from None
        finally:
            self._waited = state.since, state.moved
            state.enter(Phase.WORK)

    async def _receive(self) -> None:
        self._data, self._at = await self._transport.receive(), 0
        if not self._data:
            raise self._cut_short()

    def _decoded(self) -> list[Part]:
        """What is here of it."""
        if self._chunks is None:
            at = self._at
            return [self._data[at : at + self._take_here()]]
        data, self._data, self._at = self._data[self._at :], b"", 0
        parts = self._chunks.take(data)
        if self._chunks.ended:
            self._left, self._data = 0, self._chunks.rest
        return parts

    def _too_large(self) -> InferError:
        return InferError(Code.TOO_LARGE, f"the body is larger than {self._most} bytes (--max-body)")

    def _cut_short(self) -> InferError:
        self._broken = True
        missing = "its last chunk" if self._chunks else f"{self._left} bytes"
        return InferError(Code.INVALID_ARGUMENT, f"the body ends too early: {missing} did not come")
