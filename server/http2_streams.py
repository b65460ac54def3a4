"""The streams of an HTTP/2 connection: Hypercorn's, each of which fails by itself.

Hypercorn knows no request that it cannot read, ends a connection where a body comes after its reply, and tells nobody
that it is idle where a stream ends without a reply. It keeps all that is made for a client whose window is shut, and
works for one that wants nothing. The rest is Hypercorn's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import trio
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Body, StreamClosed
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h2 import H2Protocol

_FULL = 2**15
"""Bytes that are kept of a reply that its client does not take; then what makes it waits."""
# So many frames in ten seconds may ask for nothing (CVE-2019-9512, 9515); a request that is taken back before its reply
# (CVE-2023-44487) counts as ten.
_RESTLESS, _SECONDS = 10_000, 10.0
_COSTS: Mapping[type[h2.events.Event], int] = {
    h2.events.StreamReset: 10,
    h2.events.PingReceived: 1,
    h2.events.RemoteSettingsChanged: 1,
    h2.events.PriorityUpdated: 1,
    h2.events.UnknownFrameReceived: 1,
}


class Streams(H2Protocol):
    """It is idle while no stream is open: none has a request under way, or a reply whose end is still to be sent."""

    def __init__(self, *parts: Any) -> None:
        """``parts``: Hypercorn's."""
        super().__init__(*parts)
        self._taken = trio.lowlevel.ParkingLot()
        """Those who wait for the client to take something of what is buffered."""
        self._since = -math.inf
        self._spent = 0
        """By the client, since then, on what asks for nothing."""

    async def handle(self, event: Event) -> None:
        await super().handle(event)
        if isinstance(event, Closed):
            await self.give_up()
        else:
            await self.tell()

    async def stream_send(self, event: StreamEvent) -> None:
        if not isinstance(event, StreamClosed):
            await super().stream_send(event)
            # Hypercorn takes any part for enough, the nothing too that it sends into a window that is shut.
            while isinstance(event, Body) and self._is_full(event.stream_id):
                await self._taken.park()
            return
        # Not by Hypercorn, which when the server stops says goodbye before the end of the reply.
        buffer = self.stream_buffers.get(event.stream_id)
        if buffer is not None and not buffer.complete:
            # The app has ended without the end of its reply.
            with suppress(h2.exceptions.ProtocolError):
                self.connection.reset_stream(event.stream_id, h2.errors.ErrorCodes.INTERNAL_ERROR)
            await self._put_out()
        if (stream := self.streams.pop(event.stream_id, None)) is not None:
            await stream.handle(event)
            await self.has_data.set()
        await self._forget(event.stream_id)
        await self.tell()

    def _is_full(self, stream_id: int) -> bool:
        buffer = self.stream_buffers.get(stream_id)
        return buffer is not None and len(buffer.buffer) >= _FULL

    async def _send_data(self, stream_id: int) -> None:
        await super()._send_data(stream_id)
        self._taken.unpark_all()
        if stream_id not in self.stream_buffers:
            await self.tell()

    async def tell(self) -> None:
        """Whether it is idle."""
        if not self.closed:
            await self.send(Updated(idle=not self.streams and not self.stream_buffers))

    async def _put_out(self) -> None:
        if data := self.connection.data_to_send():
            await self.send(RawData(data))

    async def _forget(self, stream_id: int) -> None:
        """What has not been sent by now, because of a reset, never is; Hypercorn would keep it."""
        buffer = self.stream_buffers.get(stream_id)
        if buffer is not None and not buffer.complete:
            await buffer.close()
            self.priority.unblock(stream_id)
            await self.has_data.set()
            self._taken.unpark_all()

    def goodbye(self) -> bytes:
        self.connection.close_connection()
        return self.connection.data_to_send()

    async def give_up(self) -> None:
        for buffer in list(self.stream_buffers.values()):
            await buffer.close()
        self._taken.unpark_all()

    async def _handle_events(self, events: list[h2.events.Event]) -> None:
        if self._is_restless(events):
            self.connection.close_connection(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
            await self._put_out()
            await self.send(Closed())
            return
        for event in events:
            # The client may have taken it back already.
            with suppress(h2.exceptions.StreamClosedError):
                await self._take(event)
        await self._put_out()

    async def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.DataReceived(stream_id=int(stream_id)) if stream_id not in self.streams:
                # Its reply was complete before its body; Hypercorn would end the connection, and every other stream.
                self.connection.acknowledge_received_data(event.flow_controlled_length or 0, stream_id)
            case h2.events.RequestReceived(stream_id=int(stream_id)) if self._refuses(stream_id, event.headers or ()):
                return
            case h2.events.PriorityUpdated():
                # Deprecated, and may be ignored (RFC 9113, 5.3.2); Hypercorn breaks at those of a thousand streams.
                return
            case h2.events.StreamReset(stream_id=int(stream_id)):
                await super()._handle_events([event])
                await self._forget(stream_id)
            case _:
                await super()._handle_events([event])

    def _refuses(self, stream_id: int, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """A request that cannot be read fails its own stream (RFC 9113, 8.1.1); there is no CONNECT.

        What comes behind a stop may be asked again elsewhere (8.7).
        """
        if self.context.terminated.is_set():
            self.connection.reset_stream(stream_id, h2.errors.ErrorCodes.REFUSED_STREAM)
            return True
        fields = dict(headers)
        method, path = fields.get(b":method", b""), fields.get(b":path", b"")
        if method == b"CONNECT":
            self.connection.send_headers(stream_id, [(b":status", b"501")], end_stream=True)
            return True
        if method and method.isascii() and path and path.isascii():
            return False
        self.connection.reset_stream(stream_id, h2.errors.ErrorCodes.PROTOCOL_ERROR)
        return True

    def _is_restless(self, events: list[h2.events.Event]) -> bool:
        """Whether the client keeps the server busy, by what has come with these events, without wanting anything."""
        now = trio.current_time()
        if now - self._since > _SECONDS:
            self._since, self._spent = now, 0
        for event in events:
            idle = isinstance(event, h2.events.DataReceived) and not event.flow_controlled_length
            self._spent += 1 if idle else _COSTS.get(type(event), 0)
        return self._spent > _RESTLESS
