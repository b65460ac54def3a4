"""Replies on their way to a client over HTTP/1.1: whole, or in parts while they are made, as a Wire."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import trio

from server.body import Body
from server.connected import Connected, Phase
from server.reply_head import CONTINUE, reply_head
from server.transport import Part, Transport

Fields = Iterable[tuple[str, str]]


class Outgoing:
    """The reply to one request after the other of a connection. Cancelled, nobody can tell how much of it went out.

    Where the client is gone, ``whole`` raises OSError; in the middle of what makes a reply, its connection's scope is
    cancelled.
    """

    __slots__ = (
        "_bodiless", "_body", "_chunked", "_date", "_head", "_old", "_state", "_transport",
        "begun", "closes", "ended",
    )  # fmt: skip

    def __init__(self, transport: Transport, state: Connected, body: Body, date: Callable[[], str]) -> None:
        self._transport = transport
        self._state = state
        self._body = body
        self._date = date
        self._head = b""
        self._chunked = False
        self.expect("", old=False)

    def expect(self, method: str, *, old: bool) -> None:
        """The next reply is to a request of that method; ``old``: to a client that speaks HTTP/1.0."""
        self._bodiless = method == "HEAD"
        self._old = old
        self.begun = False
        """Whether one that is sent in parts has begun."""
        self.ended = False
        self.closes = False

    async def whole(self, status: int, fields: Fields, parts: Sequence[Part]) -> None:
        size = sum(map(len, parts))
        head = reply_head(status, fields, self._date(), framing=f"content-length: {size}\r\n{self._connection()}")
        if self._bodiless:
            parts, size = (), 0
        parts = [head, *parts]
        gone = self._transport.send_now(parts)
        if gone < len(head) + size:
            self._state.enter(Phase.SEND)
            self._state.owed = size
            await self._transport.send(parts, gone)
            self._state.owed = 0

    async def begin(self, status: int, headers: Mapping[str, str], /) -> None:
        self.start(status, headers.items(), sized=False)

    def start(self, status: int, fields: Fields, *, sized: bool) -> None:
        """What ``begin`` is for fields that may come twice. ``sized``: they tell the length of the body."""
        self.begun = True
        self._chunked = not (sized or self._old)
        framing = "transfer-encoding: chunked\r\n" if self._chunked else ""
        if not (sized or self._chunked):
            self.closes = True
        self._head = reply_head(status, fields, self._date(), framing=framing + self._connection())

    async def send(self, part: Part, /) -> None:
        """With the head, where this is the first part."""
        if not part or self._bodiless:
            await trio.lowlevel.checkpoint()
        elif self._chunked:
            await self._out([b"%x\r\n" % len(part), part, b"\r\n"])
        else:
            await self._out([part])

    async def end(self) -> None:
        # Before it goes out: a client that leaves then is asked no more.
        self.ended = True
        await self._out([b"0\r\n\r\n"] if self._chunked and not self._bodiless else [])

    def look(self) -> None:
        """Sends what a client that has left answers with a reset, and one that waits may be sent (RFC 9110, 15.2).

        Within a body that is a zero, with which the size of its next chunk begins (RFC 9112, 7.1). HTTP/1.0 has
        neither, nor has a body whose length is told.
        """
        if self._old or self._head or self.ended:
            return
        if not self.begun:
            self._transport.hint(CONTINUE)
        elif self._chunked:
            self._transport.hint(b"0")

    async def _out(self, parts: Sequence[Part]) -> None:
        head, self._head = self._head, b""
        asked = self._state.done_sending
        self._state.enter(Phase.SEND)
        self._state.owed = sum(map(len, parts))
        try:
            await self._transport.send([head, *parts] if head else parts)
        except OSError:
            self._state.scope.cancel()
        self._state.owed = 0
        self._state.enter(Phase.WORK)
        if self._state.done_sending and not asked:
            # It was told while this part was on its way, after which the client may have left.
            self._state.look_for_client()
        await trio.lowlevel.checkpoint()

    def _connection(self) -> str:
        """The line that says whether the connection ends with this reply, as it must where no request can follow it."""
        if self.closes or self._state.last or self._body.outlasts:
            self.closes = True
            return "connection: close\r\n"
        return "connection: keep-alive\r\n" if self._old else ""
