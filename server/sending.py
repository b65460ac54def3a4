"""A reply that is sent while it is made. Its head goes with its first part: what fails before is a reply of its own.

Knows no protocol and no transport.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from pipeline.errors import Code, InferError
from pipeline.wire.codec import Reply


class Wire(Protocol):
    """The way to a caller. Each waits while the caller takes less than it is sent; cancelled, the wire is to be cut."""

    async def begin(self, status: int, headers: Mapping[str, str], /) -> None: ...
    async def send(self, part: bytes, /) -> None: ...
    async def end(self) -> None: ...


class Sending:
    """What of a reply has been sent. Without a ``wire`` none is sent before it is whole, and it is at most so large."""

    __slots__ = ("_headers", "_most", "_wire", "ended", "received", "size", "status")

    def __init__(self, wire: Wire | None, headers: Mapping[str, str], most: int) -> None:
        """``headers`` go with every reply; ``most`` in bytes."""
        self._wire = wire
        self._headers = headers
        self._most = most
        self.status = 0
        """That of the head, once it has been sent."""
        self.size = 0
        self.ended = False
        self.received = 0
        """Bytes of the request's body, once it is here."""

    @property
    def begun(self) -> bool:
        """Whether anything has been sent: what goes wrong from then on cannot be told in words."""
        return self.status > 0

    async def all_of(self, reply: Reply, stream: AsyncIterator[bytes]) -> Reply:
        """The reply, with what of the stream has not been sent by the end. Raises what the stream raises.

        Cancelled, it leaves the stream to its owner.
        """
        if self._wire is None:
            return Reply(reply.status, reply.headers, await self._collected(stream))
        async for part in stream:
            if part:
                if not self.begun:
                    self.status = reply.status
                    await self._wire.begin(reply.status, {**reply.headers, **self._headers})
                await self._wire.send(part)
                self.size += len(part)
        if self.begun:
            await self._wire.end()
            self.ended = True
        return Reply(reply.status, reply.headers)

    async def _collected(self, stream: AsyncIterator[bytes]) -> list[bytes]:
        parts, size = [], 0
        async for part in stream:
            size += len(part)
            if size > self._most:
                told = f"the answer is a stream of more than {self._most} bytes, which HTTP/1.0 can only be sent whole"
                raise InferError(Code.UNIMPLEMENTED, f"{told}; ask over HTTP/1.1")
            parts.append(part)
        return parts
