"""HTTP/2 over a connection: Hypercorn's parts, put together so that what a client does breaks at most its own.

Hypercorn's connection forgets replies that wait for a client that has left, and shields what it writes, from the end of
a request's time too; it starts no idle time where HTTP/2 begins.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import h2.exceptions
import hypercorn
import trio
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import TrioSingleTask, WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr, wrap_app
from priority.priority import PriorityError

from pipeline.engine.failure import leaves
from server.connected import Connected
from server.finish import finishing
from server.head import Head, Refused
from server.http2_streams import Streams
from server.pace import paced

if TYPE_CHECKING:
    from hypercorn.typing import AppWrapper, ASGIFramework

# Bytes that are received at once.
_PIECE = 2**16
_DEAF = 60.0
"""Seconds in which a client has to take what it is sent, at most a frame or two; nginx's."""
_GOODBYE = 1.0
"""Seconds in which a client may take the last frame; one that does not read is not waited for."""
# What h2 and Hypercorn raise for what a client sends, and do not make the end of its connection.
_NO_HTTP2 = (h2.exceptions.H2Error, PriorityError)


class Http2:
    """HTTP/2 for the connections of a worker, answered by one ASGI app."""

    def __init__(
        self, app: ASGIFramework, state: dict[str, Any], requests: set[Connected], *, keep_alive: float
    ) -> None:
        """``state``: of the app's lifespan. ``requests``: those under way, for the clock. Time in seconds."""
        self._config = hypercorn.Config()
        self._config.keep_alive_timeout = keep_alive
        # Its default closes a connection after 1,000 requests; nothing here wants that.
        self._config.keep_alive_max_requests = 2**62
        self._config.errorlog = logging.getLogger("hypercorn.error")
        self._config.include_server_header = False
        self._app = wrap_app(paced(finishing(app), requests), self._config.wsgi_max_body_size, "asgi")
        self._stopping = trio.Event()
        self._state = state

    async def serve(self, stream: trio.abc.Stream, data: bytes = b"", asked: Head | None = None) -> None:
        """One connection, until it ends. ``data`` has come of it already; ``asked`` for it, where it was an upgrade.

        Raises Refused where it is none. Cancelled, its requests are cancelled and its stream is closed at once.
        """
        try:
            connection = Connection(self._app, self._config, ConnectionState(self._state.copy()), stream)
        except OSError:
            return  # the client is gone
        try:
            await connection.serve(self._stopping, data, asked)
        except* _NO_HTTP2 as broken:
            causes = ", ".join(sorted({type(error).__name__ for error in leaves(broken)}))
            raise Refused(400, f"its client sent what HTTP does not know ({causes})") from broken

    def stop(self) -> None:
        """Idle connections end, the others with their last stream; so do those to come, with what has come of them."""
        self._stopping.set()


class Connection:
    """A client's connection, which speaks HTTP/2 from the bytes on that have come already."""

    def __init__(
        self, app: AppWrapper, config: hypercorn.Config, state: ConnectionState, stream: trio.abc.Stream
    ) -> None:
        """Raises OSError where its client is gone."""
        self._stream = stream
        self._patience = config.keep_alive_timeout
        self._context = WorkerContext(None)
        self._tasks = TaskGroup()
        self._sending = trio.Lock()
        self._idle_time = TrioSingleTask()
        self._idle: bool | None = None
        """As it was told last."""
        self._left = False
        secure = isinstance(stream, trio.SSLStream)
        plain: Any = stream
        own = (plain.transport_stream if secure else plain).socket
        client, server = (parse_socket_addr(own.family, name) for name in (own.getpeername(), own.getsockname()))
        self._streams = Streams(app, config, self._context, self._tasks, state, secure, client, server, self._hear)

    async def serve(self, stopping: trio.Event, data: bytes, asked: Head | None) -> None:
        """Until it ends. ``asked``: the request that asked for the upgrade, which is stream 1 then.

        Cancelled, its requests are cancelled and its stream is closed at once, whatever is still being written.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cut)
            try:
                async with self._tasks:
                    await self._begin(data, asked)
                    # What was asked by now is answered.
                    nursery.start_soon(self._heed, stopping)
                    await self._read()
                    # A client that has left takes its connection along, which Hypercorn would hold for the idle time.
                    self._left = True
                    await self._idle_time.stop()
            finally:
                await self._close()
            nursery.cancel_scope.cancel()

    async def _cut(self) -> None:
        """Ends with the connection. What is shielded in it, a reply on its way out, ends only with its stream."""
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(self._stream)
                # Replies that wait for the client's window wait no longer.
                await self._streams.give_up()

    async def _heed(self, stopping: trio.Event) -> None:
        await stopping.wait()
        await self._context.terminated.set()

    async def _begin(self, data: bytes, asked: Head | None) -> None:
        if asked is None:
            await self._streams.initiate()
        else:
            await self._streams.initiate(*_as_stream(asked))
        if data:
            await self._streams.handle(RawData(data))
        await self._streams.tell()

    async def _read(self) -> None:
        data: bytes | bytearray | None = None
        while data != b"":
            try:
                data = await self._stream.receive_some(_PIECE)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                break
            await self._streams.handle(RawData(bytes(data)))
        await self._streams.handle(Closed())

    async def _hear(self, event: Event) -> None:
        """What HTTP/2 wants of its connection."""
        match event:
            case RawData(data=data):
                await self._send(data)
            case Closed():
                await self._close()
                await self._streams.handle(Closed())
            # What is no request, a PING, does not start the idle time anew, nor does the end of the last reply to a
            # client that has left.
            case Updated(idle=idle) if idle != self._idle and not self._left:
                self._idle = idle
                if idle:
                    await self._idle_time.restart(self._tasks, self._wait_idly)
                else:
                    await self._idle_time.stop()

    async def _send(self, data: bytes) -> None:
        """To a client that takes nothing its connection ends. Not cancelled, for half a frame is none."""
        async with self._sending:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _DEAF) as sending:
                try:
                    await self._stream.send_all(data)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    await self._streams.handle(Closed())
        if sending.cancelled_caught:
            await trio.aclose_forcefully(self._stream)
            await self._streams.handle(Closed())

    async def _close(self) -> None:
        try:
            await self._stream.aclose()
        except trio.BusyResourceError:
            # TLS says goodbye, and cannot while a reply is still being written.
            await trio.aclose_forcefully(self._stream)

    async def _wait_idly(self) -> None:
        with trio.move_on_after(self._patience):
            await self._context.terminated.wait()
        with trio.CancelScope(shield=True):
            await self._part()

    async def _part(self) -> None:
        with (
            suppress(trio.BrokenResourceError, trio.ClosedResourceError),
            trio.move_on_after(_GOODBYE),
        ):
            async with self._sending:
                if goodbye := self._streams.goodbye():
                    await self._stream.send_all(goodbye)
        await self._streams.handle(Closed())
        await self._close()


def _as_stream(asked: Head) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """(fields, settings) of the stream that a request becomes which asked for HTTP/2 (RFC 7540, 3.2)."""
    fields = [(name.encode(), text.encode("latin-1")) for name, text in asked.headers.items()]
    pseudo = [(b":method", asked.method.encode()), (b":path", asked.target.encode())]
    authority = [(b":authority", text) for name, text in fields if name == b"host"]
    return [*pseudo, *authority, *fields], dict(fields)[b"http2-settings"]
