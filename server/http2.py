"""HTTP/2: Hypercorn's parts, put together so that what a client sends breaks at most its own connection.

Hypercorn knows no HTTP/2 request that it cannot read, forgets replies that wait for a client that has left, and shields
what it writes, from the end of a request's time too; it starts no idle time where HTTP/2 begins, or ends a stream,
without a reply. It keeps all that is made for a client whose window is shut. The rest is Hypercorn's.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import hypercorn
import trio
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Body, StreamClosed
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr, wrap_app
from priority.priority import PriorityError

from pipeline.engine.failure import leaves
from server.connected import Connected
from server.finish import finishing
from server.head import Head, Refused
from server.pace import paced

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework

_FULL = 2**15
"""Bytes that are kept of a reply that its client does not take; then what makes it waits."""
_DEAF = 60.0
"""Seconds in which a client has to take what it is sent, at most a frame or two; nginx's."""
_GOODBYE = 1.0
"""Seconds in which a client may take the last frame; one that does not read is not waited for."""
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
# What h2 and Hypercorn raise for what a client sends, and do not make the end of its connection.
_NO_HTTP2 = (h2.exceptions.H2Error, PriorityError)


class Http2:
    """HTTP/2 for the connections of a worker, answered by one ASGI app."""

    def __init__(
        self, app: ASGIFramework, state: dict[str, Any], requests: set[Connected], *, grace: float, keep_alive: float
    ) -> None:
        """``state``: of the app's lifespan. ``requests``: those under way, for the clock. Times in seconds."""
        self._config = hypercorn.Config()
        self._config.graceful_timeout = grace
        self._config.keep_alive_timeout = keep_alive
        # Its default closes a connection after 1,000 requests; nothing here wants that.
        self._config.keep_alive_max_requests = 2**62
        self._config.errorlog = logging.getLogger("hypercorn.error")
        self._config.include_server_header = False
        self._app = wrap_app(paced(finishing(app), requests), self._config.wsgi_max_body_size, "asgi")
        self._context = WorkerContext(None)
        self._state = state

    async def serve(self, stream: trio.abc.Stream, data: bytes = b"", asked: Head | None = None) -> None:
        """One connection, until it ends. ``data`` has come of it already; ``asked`` for it, where it was an upgrade.

        Raises Refused where it is none. Cancelled, its requests are cancelled and its stream is closed at once.
        """
        parts = self._app, self._config, self._context, ConnectionState(self._state.copy()), stream
        try:
            await Connection(*parts, data=data, asked=asked)
        except* _NO_HTTP2 as broken:
            causes = ", ".join(sorted({type(error).__name__ for error in leaves(broken)}))
            raise Refused(400, f"its client sent what HTTP does not know ({causes})") from broken

    async def stop(self) -> None:
        """Idle connections end, the others with their last stream."""
        await self._context.terminated.set()


class Connection(TCPServer):
    """A client's connection, which speaks HTTP/2 from the bytes on that have come already. Awaited, it is served.

    Cancelled, its requests are cancelled and its stream is closed at once, whatever is still being written.
    """

    _spoken: _Http2 | None = None
    _left = False
    _idle = True

    def __init__(self, *parts: Any, data: bytes = b"", asked: Head | None = None) -> None:
        """``parts``: Hypercorn's. ``asked``: the request that asked for the upgrade, which is stream 1 then."""
        super().__init__(*parts)
        self._data = data
        self._asked = asked

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cut)
            await self._serve()
            nursery.cancel_scope.cancel()

    async def _cut(self) -> None:
        """Ends with the connection. What is shielded in it, a reply on its way out, ends only with its stream."""
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(self.stream)
                if self._spoken is not None:
                    # Replies that wait for the client's window wait no longer.
                    await self._spoken.give_up()

    async def _serve(self) -> None:
        secure = isinstance(self.stream, trio.SSLStream)
        plain = self.stream.transport_stream if secure else self.stream
        try:
            family, socket = plain.socket.family, plain.socket
            client, server = (parse_socket_addr(family, name) for name in (socket.getpeername(), socket.getsockname()))
            async with TaskGroup() as tasks:
                self._task_group = tasks
                state = ConnectionState(self.state)
                self._spoken = _Http2(
                    self.app, self.config, self.context, tasks, state, secure, client, server, self.protocol_send
                )
                self.protocol = self._spoken  # type: ignore[assignment]  # of the wrapper only this much is used
                await self.idle_task.restart(tasks, self._idle_timeout)
                await self._begin(self._spoken)
                await self._read_data()
                # A client that has left takes its connection along, which Hypercorn would hold for the idle time.
                self._left = True
                await self.idle_task.stop()
        except OSError:
            return
        finally:
            await self._close()

    async def _begin(self, spoken: _Http2) -> None:
        if self._asked is None:
            await spoken.initiate()
        else:
            await spoken.initiate(*_as_stream(self._asked))
        if self._data:
            await spoken.handle(RawData(self._data))

    async def protocol_send(self, event: Event) -> None:
        if isinstance(event, Updated):
            if self._left:
                return  # the last reply's end would start the idle time
            if event.idle == self._idle:
                return  # what is no request, a PING, does not start it anew
            self._idle = event.idle
        if isinstance(event, RawData):
            await self._send(event.data)
        else:
            await super().protocol_send(event)

    async def _send(self, data: bytes) -> None:
        """As Hypercorn, but for a client that takes nothing: its connection ends."""
        async with self.send_lock:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _DEAF) as sending:
                try:
                    await self.stream.send_all(data)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    await self.protocol.handle(Closed())
        if sending.cancelled_caught:
            await trio.aclose_forcefully(self.stream)
            await self.protocol.handle(Closed())

    async def _close(self) -> None:
        """Without Hypercorn's end of file before it, beside which a reply on its way out fails as the app's fault."""
        try:
            await self.stream.aclose()
        except trio.BusyResourceError:
            # TLS says goodbye, and cannot while a reply is still being written.
            await trio.aclose_forcefully(self.stream)

    async def _initiate_server_close(self) -> None:
        with (
            suppress(trio.BrokenResourceError, trio.ClosedResourceError),
            trio.move_on_after(_GOODBYE),
        ):
            async with self.send_lock:
                if self._spoken is not None and (goodbye := self._spoken.goodbye()):
                    await self.stream.send_all(goodbye)
        await self.protocol.handle(Closed())
        await self._close()


def _as_stream(asked: Head) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """(fields, settings) of the stream that a request becomes which asked for HTTP/2 (RFC 7540, 3.2)."""
    fields = [(name.encode(), text.encode("latin-1")) for name, text in asked.headers.items()]
    pseudo = [(b":method", asked.method.encode()), (b":path", asked.target.encode())]
    authority = [(b":authority", text) for name, text in fields if name == b"host"]
    return [*pseudo, *authority, *fields], dict(fields)[b"http2-settings"]


class _Http2(H2Protocol):
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
            await self._update()

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
            await self._flush()
        await self._close_stream(event.stream_id)
        await self._update()

    def _is_full(self, stream_id: int) -> bool:
        buffer = self.stream_buffers.get(stream_id)
        return buffer is not None and len(buffer.buffer) >= _FULL

    async def _send_data(self, stream_id: int) -> None:
        await super()._send_data(stream_id)
        self._taken.unpark_all()
        if stream_id not in self.stream_buffers:
            await self._update()

    async def _update(self) -> None:
        if not self.closed:
            await self.send(Updated(idle=not self.streams and not self.stream_buffers))

    async def _close_stream(self, stream_id: int) -> None:
        """What has not been sent by now, because of a reset, never is; Hypercorn would keep it."""
        await super()._close_stream(stream_id)
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
            await self._flush()
            await self.send(Closed())
            return
        for event in events:
            if isinstance(event, h2.events.DataReceived) and event.stream_id not in self.streams:
                # Its reply was complete before its body; Hypercorn would end the connection, and every other stream.
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            else:
                await super()._handle_events([event])
        await self._flush()

    def _is_restless(self, events: list[h2.events.Event]) -> bool:
        """Whether the client keeps the server busy, by what has come with these events, without wanting anything."""
        now = trio.current_time()
        if now - self._since > _SECONDS:
            self._since, self._spent = now, 0
        for event in events:
            idle = isinstance(event, h2.events.DataReceived) and not event.flow_controlled_length
            self._spent += 1 if idle else _COSTS.get(type(event), 0)
        return self._spent > _RESTLESS

    async def _create_stream(self, request: h2.events.RequestReceived) -> None:
        """A request that cannot be read fails its own stream (RFC 9113, 8.1.1); there is no CONNECT."""
        fields = dict(request.headers)
        method, path = fields.get(b":method", b""), fields.get(b":path", b"")
        try:
            if method == b"CONNECT":
                self.connection.send_headers(request.stream_id, [(b":status", b"501")], end_stream=True)
            elif not (method and method.isascii() and path and path.isascii()):
                self.connection.reset_stream(request.stream_id, h2.errors.ErrorCodes.PROTOCOL_ERROR)
            else:
                await super()._create_stream(request)
        except h2.exceptions.StreamClosedError:
            return  # the client has taken it back already
