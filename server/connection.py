"""One connection: Hypercorn's parts, put together so that what a client sends breaks at most its own connection.

Hypercorn knows no HTTP/2 request that it cannot read, forgets replies that wait for a client that has left, and shields
what it writes, from the end of a request's time too; it starts no idle time where HTTP/2 begins, or ends a stream,
without a reply; and it speaks websockets, which nothing here answers. The rest is Hypercorn's.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h11
import trio
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.events import StreamClosed
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import H2CProtocolRequiredError, H2ProtocolAssumedError, H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr

_GOODBYE = 1.0
"""Seconds in which a client may take the last frame; one that does not read is not waited for."""


class Connection(TCPServer):
    """A client's connection. Awaited, it is served until it ends.

    Cancelled, its requests are cancelled and its stream is closed at once, whatever is still being written.
    """

    _spoken: _Protocol | None = None
    _left = False
    _idle = True
    _torn = False

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
                    await self._spoken.give_up()

    async def _serve(self) -> None:
        secure = isinstance(self.stream, trio.SSLStream)
        plain = self.stream.transport_stream if secure else self.stream
        if secure and not await self._shaken():
            return
        try:
            family, socket = plain.socket.family, plain.socket
            client, server = (parse_socket_addr(family, name) for name in (socket.getpeername(), socket.getsockname()))
            async with TaskGroup() as tasks:
                self._task_group = tasks
                alpn = self.stream.selected_alpn_protocol() if secure else None
                state = ConnectionState(self.state)
                self.protocol = self._spoken = _Protocol(
                    self.app, self.config, self.context, tasks, state, secure, client, server, self.protocol_send, alpn
                )
                await self.protocol.initiate()
                await self.idle_task.restart(tasks, self._idle_timeout)
                with self._spoken.reading:
                    await self._read_data()
                # A client that has left takes its connection along, which Hypercorn would hold for the idle time.
                self._left = True
                await self.idle_task.stop()
        except OSError:
            return
        finally:
            await self._close()

    async def _shaken(self) -> bool:
        """Whether TLS came about, in its time and before a stop: a client that says nothing must not hold that up."""
        done = False
        async with trio.open_nursery() as nursery:
            nursery.cancel_scope.deadline = trio.current_time() + self.config.ssl_handshake_timeout
            nursery.start_soon(self._cancel_at_stop, nursery.cancel_scope)
            with suppress(trio.BrokenResourceError):
                await self.stream.do_handshake()
                done = True
            nursery.cancel_scope.cancel()
        return done

    async def _cancel_at_stop(self, scope: trio.CancelScope) -> None:
        await self.context.terminated.wait()
        scope.cancel()

    async def protocol_send(self, event: Event) -> None:
        if isinstance(event, Updated):
            if self._left:
                return  # the last reply's end would start the idle time
            if event.idle == self._idle:
                return  # what is no request, a PING, does not start it anew
            self._idle = event.idle
        if isinstance(event, RawData) and self._spoken is not None and self._spoken.is_the_replys:
            await self._write(event.data)
        else:
            await super().protocol_send(event)

    async def _write(self, data: bytes) -> None:
        """Cancelled, it is the last that is written, for nobody can tell how much of it has gone out.

        Not closed here, which would be taken for the client's doing: the reply has no end, and so closes it.
        """
        async with self.send_lock:
            if self._torn:
                return
            try:
                await self.stream.send_all(data)
            except trio.Cancelled:
                self._torn = True
                raise
            except (trio.BrokenResourceError, trio.ClosedResourceError):
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


class _Protocol(ProtocolWrapper):
    """HTTP/1.1 until the client asks for HTTP/2: by ALPN, by starting with it, or by an upgrade."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        *self._parts, alpn = parts
        self.protocol = _Http2(*self._parts) if alpn == "h2" else _Http1(*self._parts)
        self.reading = trio.CancelScope()

    async def handle(self, event: Event) -> None:
        try:
            await self.protocol.handle(event)
            if isinstance(event, Closed):
                # Where the reply before a pipelined request cannot be sent, reading would wait for its end for good.
                self.reading.cancel()
        except H2ProtocolAssumedError as error:
            await self._upgrade(error.data)
        except H2CProtocolRequiredError as error:
            await self._upgrade(error.data, error.headers, error.settings)

    async def _upgrade(
        self, data: bytes, headers: list[tuple[bytes, bytes]] | None = None, settings: bytes | None = None
    ) -> None:
        self.protocol = _Http2(*self._parts)
        await self.protocol.initiate(headers, settings)
        if data:
            await self.protocol.handle(RawData(data))

    def goodbye(self) -> bytes:
        """What a client is told before its idle connection is closed: GOAWAY in HTTP/2, nothing in HTTP/1.1."""
        return self.protocol.goodbye() if isinstance(self.protocol, _Http2) else b""

    @property
    def is_the_replys(self) -> bool:
        """Whether what is written is of one reply, by the task that makes it; in HTTP/2 it may be of many."""
        return isinstance(self.protocol, _Http1)

    async def give_up(self) -> None:
        """Replies that wait for the client's window wait no longer."""
        if isinstance(self.protocol, _Http2):
            await self.protocol.give_up()


class _Http1(H11Protocol):
    async def _check_protocol(self, event: h11.Request) -> None:
        """An upgrade to h2c names itself in ``Connection`` and has one ``HTTP2-Settings`` (RFC 7540, 3.2.1)."""
        names = [name for name, _ in event.headers]
        options = b",".join(value for name, value in event.headers if name == b"connection").lower().split(b",")
        asks = names.count(b"http2-settings") == 1 and b"upgrade" in (option.strip() for option in options)
        if asks or b"upgrade" not in names:
            await super()._check_protocol(event)

    async def _create_stream(self, request: h11.Request) -> None:
        """An upgrade that a server does not know it ignores (RFC 9110, 7.8), websockets here."""
        if any(name == b"upgrade" for name, _ in request.headers):
            kept = [field for field in request.headers if field[0] != b"upgrade"]
            request = h11.Request(
                method=request.method, target=request.target, headers=kept, http_version=request.http_version
            )
        await super()._create_stream(request)


class _Http2(H2Protocol):
    """It is idle while no stream is open: none has a request under way, or a reply whose end is still to be sent."""

    async def handle(self, event: Event) -> None:
        await super().handle(event)
        if isinstance(event, Closed):
            await self.give_up()
        else:
            await self._update()

    async def stream_send(self, event: StreamEvent) -> None:
        if not isinstance(event, StreamClosed):
            await super().stream_send(event)
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

    async def _send_data(self, stream_id: int) -> None:
        await super()._send_data(stream_id)
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

    def goodbye(self) -> bytes:
        self.connection.close_connection()
        return self.connection.data_to_send()

    async def give_up(self) -> None:
        for buffer in list(self.stream_buffers.values()):
            await buffer.close()

    async def _handle_events(self, events: list[h2.events.Event]) -> None:
        for event in events:
            if isinstance(event, h2.events.DataReceived) and event.stream_id not in self.streams:
                # Its reply was complete before its body; Hypercorn would end the connection, and every other stream.
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            else:
                await super()._handle_events([event])
        await self._flush()

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
