"""HTTP/1.1 over one connection: request after request, each read, answered and sent by one task.

Nothing here is made per request that can be made per connection: no task, no scope, no timer. The client's leaving and
the clock are looked after by who sees all connections.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from pipeline.wire.codec import Reply
from server.body import Body
from server.company import Company
from server.connected import Connected, Phase
from server.head import Head, Refused, asked_by, asks_for_http2, read_head, require_promising, too_slow
from server.outgoing import Outgoing
from server.transport import Transport

Answer = Callable[[Head, Body, Outgoing], Awaitable[Reply | None]]
"""Makes the reply to a request. Where it is sent in parts, or None, there is nothing left to send."""
Refuse = Callable[[Refused, str, str], Reply]
"""Makes the reply to what is no request, of that method and path as far as they are known."""

_LOG = logging.getLogger("pipeline_serve")
_END = b"\r\n\r\n"
_HTTP2 = b"PRI * HTTP/2.0\r\n\r\n"
_EMPTY_LINE = b"\r\n"
_EMPTY_LINES = re.compile(rb"(?:\r\n)+")
_SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
# Seconds for a client to stop sending, so that no reset takes the last reply from it: nginx's.
_LINGER_PART, _LINGER = 5.0, 30.0
TO_ASK = 1.0
"""Seconds for a client that has not been told that the server stops: it may be about to ask."""


@dataclass(frozen=True, slots=True)
class Handover:
    """The client goes on in HTTP/2. ``data`` has come of it already; ``head``: the request that asked for it."""

    data: bytes
    head: Head | None = None


class Http1:
    """One connection, from its first byte."""

    def __init__(  # noqa: PLR0913, PLR0917  # a connection is all of this
        self,
        transport: Transport,
        state: Connected,
        answer: Answer,
        refuse: Refuse,
        date: Callable[[], str],
        most: int,
        company: Company,
    ) -> None:
        """``most``: bytes of a body."""
        self._transport = transport
        self._state = state
        self._answer = answer
        self._refusal = refuse
        self._company = company
        self._body = Body(transport, state, most)
        self._outgoing = Outgoing(transport, state, self._body, date)
        self._asked: tuple[bytes, Head] | None = None
        state.look = self._outgoing.look

    async def converse(self, *, may_upgrade: bool) -> Handover | None:
        """Answers until the client is done, or cannot be followed, or goes on in HTTP/2, which it may without TLS.

        Cancelled, the request under way is cancelled.
        """
        data: bytes | None = b""
        try:
            while data is not None:
                # With an empty line behind a body no other request has begun (RFC 9112, 2.2).
                if data and data != _EMPTY_LINE:
                    await trio.lowlevel.checkpoint()
                else:
                    self._state.enter(Phase.IDLE)
                    data = await self._transport.receive()
                    while data == _EMPTY_LINE:
                        data = await self._transport.receive()
                end = data.find(_END)
                if end < 0 or data.startswith(_EMPTY_LINE):
                    data = await self._whole_head(data)
                    if not data:
                        return None
                    end = data.find(_END)
                head = self._head_of(data[:end])
                end += len(_END)
                if may_upgrade and "upgrade" in head.headers and asks_for_http2(head):
                    await self._transport.send([_SWITCHING])
                    return Handover(data[end:], head)
                data = await self._exchange(head, data, end)
        except Refused as refused:
            # Only as the first that is said (RFC 9113, 3.3): behind a request it may be somebody else's.
            if may_upgrade and data and data.startswith(_HTTP2) and len(data) == self._transport.received:
                return Handover(data)
            await self._refuse(refused, data or b"")
        except OSError:  # the client is gone
            return None
        return None

    def _head_of(self, said: bytes) -> Head:
        """Most clients ask for the same again, and in the same words."""
        if self._asked is None or said != self._asked[0]:
            self._asked = said, read_head(said)
        return self._asked[1]

    async def _exchange(self, head: Head, data: bytes, at: int) -> bytes | None:
        """Answers one request, whose body begins in ``data`` at ``at``. What follows it, None where nothing can."""
        state, body, outgoing = self._state, self._body, self._outgoing
        state.phase = Phase.WORK
        if not head.keeps:
            state.last = True
        body.begin(head, data, at)
        outgoing.expect(head.method, old=not head.minor)
        if state.done_sending:
            state.look_for_client()
        reply = await self._answer(head, body, outgoing)
        if reply is not None and not outgoing.begun:
            if self._company.has_others(state):
                await trio.lowlevel.checkpoint()
            await outgoing.whole(reply.status, reply.headers.items(), reply.body)
        elif not outgoing.ended:
            return None  # without its end, so that the client sees that something is missing
        if outgoing.closes or not (body.ended or await body.drop()):
            if not body.ended or body.follows:
                await self._linger()
            return None
        if state.last and not body.follows:
            # The server stops since the reply began, which does not say so: that of what is asked at once will.
            state.enter(Phase.IDLE)
            with trio.move_on_after(TO_ASK):
                return await self._transport.receive() or None
            return None
        return body.follows

    async def _whole_head(self, data: bytes) -> bytes:
        """What begins with a whole head. Empty where none comes; Refused where it takes too long, or is none."""
        self._state.enter(Phase.HEAD)
        with self._state.waiting():
            return await self._rest_of_head(data)
        raise too_slow("header")

    async def _rest_of_head(self, data: bytes) -> bytes:
        """With empty lines before it left out (RFC 9112, 2.2)."""
        seen = 0
        while True:
            if data.startswith(_EMPTY_LINE):
                data, seen = data[_EMPTY_LINES.match(data).end() :], 0  # type: ignore[union-attr]  # it matches
            if data.find(_END, max(0, seen - len(_END) + 1)) >= 0:
                return data
            require_promising(data, seen)
            seen = len(data)
            more = await self._transport.receive()
            if not more:
                return b""
            data += more

    async def _refuse(self, refused: Refused, data: bytes) -> None:
        _LOG.debug("refused with %d: %s", refused.status, refused)
        self._state.last = True
        method, path = asked_by(data)
        self._outgoing.expect(method, old=False)
        reply = self._refusal(refused, method, path)
        with contextlib.suppress(OSError):  # the client may be gone
            await self._outgoing.whole(reply.status, reply.headers.items(), reply.body)
            await self._linger()

    async def _linger(self) -> None:
        """What the client still sends would reset the connection, and take the reply from it."""
        self._state.enter(Phase.LINGER)
        await self._transport.end()
        with trio.move_on_after(_LINGER):
            while True:
                with trio.move_on_after(_LINGER_PART) as quiet:
                    if not await self._transport.receive():
                        return
                if quiet.cancelled_caught:
                    return
