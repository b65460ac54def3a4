"""One client's connection, from being accepted to its end: TLS, which HTTP it is, and what breaks stays in it."""

from __future__ import annotations

import functools
import heapq
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import trio

from pipeline.engine.deadlines import Again, Deadlines, Timer
from pipeline.engine.failure import leaves
from pipeline.wire.codec import Reply
from server import asgi
from server.body import Body
from server.company import Company
from server.connected import Connected, Phase
from server.handle import handle
from server.head import Head, Refused
from server.http1 import TO_ASK, Answer, Handover, Http1, Refuse
from server.leaving import Leaving
from server.outgoing import Outgoing
from server.reply_head import Today
from server.secure import Secure
from server.service import Service
from server.transport import Plain, Transport

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework

_LOG = logging.getLogger("pipeline_serve")
# So many end at once where no descriptor is free; nginx's.
_ROOM = 32
_QUIET = (Phase.SHAKE, Phase.IDLE, Phase.LINGER)


class Http2(Protocol):
    """What goes on with a client that speaks HTTP/2, from the bytes on that have come, or the request that asked."""

    async def __call__(self, stream: trio.abc.Stream, data: bytes = b"", asked: Head | None = None) -> None:
        """Raises Refused for what no HTTP/2 is."""
        ...


Answering = Callable[[socket.socket, str, Timer], Answer]
"""What answers the requests of a connection of that scheme; the timer is the connection's."""


def by_handle(service: Service) -> Answering:
    """Everything is answered by ``handle``, in the task of its connection."""

    def answering(_accepted: socket.socket, _scheme: str, timer: Timer) -> Answer:
        def answer(head: Head, body: Body, outgoing: Outgoing) -> Awaitable[Reply]:
            # Where the end of the connection is the end of the reply, nobody could tell that it broke off.
            wire = outgoing if head.minor else None
            return handle(service, head.method, head.path, head.headers, body.whole, wire, timer)

        return answer

    return answering


def by_app(app: ASGIFramework, state: dict[str, Any]) -> Answering:
    """Everything is answered by an ASGI application; ``state``: of its lifespan."""

    def answering(accepted: socket.socket, scheme: str, _timer: Timer) -> Answer:
        about = {"scheme": scheme, "state": state, **asgi.addresses(accepted)}
        return functools.partial(asgi.ask, app, about=about)

    return answering


class Conversations:
    """Those of a worker. ``connections``: what each of them is at."""

    def __init__(  # noqa: PLR0913  # a worker's connections are all of this
        self,
        answering: Answering,
        refuse: Refuse,
        http2: Http2,
        leaving: Leaving,
        *,
        most: int,
        secure: ssl.SSLContext | None,
        told: Callable[[int], None] = lambda _: None,
    ) -> None:
        """``most``: bytes of a body. ``told``: how many there are, at once and whenever that changes."""
        self.connections: set[Connected] = set()
        self._answering = answering
        self._refuse = refuse
        self._http2 = http2
        self._leaving = leaving
        self._most = most
        self._secure = secure
        self._told = told
        self._today = Today()
        self._company = Company()
        self._stopping = False
        self.deadlines = Deadlines()
        """Of the requests under way; to be watched."""
        told(0)

    def stop(self) -> None:
        """Ends those in which nothing is asked any more; the others end with their next reply.

        Whose client has just connected, or just been answered, may have sent a request that is not here yet.
        """
        self._stopping = True
        for own in self.connections:
            own.last = True
        now = trio.current_time()
        for own in self._quiet():
            if own.phase is Phase.IDLE and not _may_ask(own, now):
                own.scope.cancel()

    async def hurry(self) -> None:
        """Once stopping: ends those that say nothing soon, or nothing that is listened to. Cancelled, none is ended."""
        await trio.sleep(TO_ASK)
        for own in self._quiet():
            own.scope.cancel()

    def make_room(self) -> None:
        """Ends some that have been idle for longest, so that others can be accepted, as nginx does."""
        idle = [own for own in self._quiet() if own.phase is Phase.IDLE and own.since is not None]
        for own in heapq.nsmallest(_ROOM, idle, key=lambda own: own.since or 0.0):
            own.scope.cancel()

    def _quiet(self) -> Iterator[Connected]:
        for own in self.connections:
            if own.phase in _QUIET and not (own.phase is Phase.IDLE and own.moving and own.moving.has_more()):
                yield own

    async def serve(self, accepted: socket.socket) -> None:
        """One connection, for as long as it lives. What breaks in it is logged and ends it, and nothing else.

        What goes wrong in the app is a reply; what its client does, or the system, is a line, and the traceback is for
        who asks for it. All else is a fault of the server. Cancelled, what it works on is cancelled, and it is closed
        at once.
        """
        own = Connected()
        own.last = self._stopping
        self.connections.add(own)
        self._told(len(self.connections))
        try:
            with own.scope:
                accepted.setblocking(False)
                self._leaving.add(accepted.fileno(), own)
                await self._speak(accepted, own)
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError, Refused) as broken:
            causes = ", ".join(sorted({str(error) or type(error).__name__ for error in leaves(broken)}))
            _LOG.warning("a connection broke: %s", causes)
            _LOG.debug("the connection that broke", exc_info=broken)
        except* Exception as failed:  # noqa: BLE001  # a broken connection must never take the others with it
            _LOG.error("a connection broke by a fault of the server", exc_info=failed)
        finally:
            self.connections.discard(own)
            self._told(len(self.connections))
            if accepted.fileno() >= 0:
                self._leaving.discard(accepted.fileno())
            accepted.close()

    async def _speak(self, accepted: socket.socket, own: Connected) -> None:
        if self._secure is not None:
            await self._speak_securely(accepted, own, self._secure)
            return
        if accepted.family != socket.AF_UNIX:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        handover = await self._converse(Plain(accepted), accepted, own, may_upgrade=True)
        if handover is not None:
            self._leave_to_other(accepted, own)
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(accepted))
            await self._http2(stream, handover.data, handover.head)

    async def _speak_securely(self, accepted: socket.socket, own: Connected, context: ssl.SSLContext) -> None:
        plain = trio.SocketStream(trio.socket.from_stdlib_socket(accepted))
        stream = trio.SSLStream(plain, context, server_side=True, https_compatible=True)
        own.enter(Phase.SHAKE)
        try:
            await stream.do_handshake()
        except trio.BrokenResourceError:
            return
        if stream.selected_alpn_protocol() == "h2":
            self._leave_to_other(accepted, own)
            await self._http2(stream)
            return
        transport = Secure(stream)
        try:
            await self._converse(transport, accepted, own, may_upgrade=False)
        finally:
            self._leave_to_other(accepted, own)
            await transport.close()

    async def _converse(
        self, transport: Transport, accepted: socket.socket, own: Connected, *, may_upgrade: bool
    ) -> Handover | None:
        own.moving = transport
        with Again(self.deadlines) as timer:
            answer = self._answering(accepted, "http" if self._secure is None else "https", timer)
            http1 = Http1(transport, own, answer, self._refuse, self._today.line, self._most, self._company)
            return await http1.converse(may_upgrade=may_upgrade)

    def _leave_to_other(self, accepted: socket.socket, own: Connected) -> None:
        self._leaving.discard(accepted.fileno())
        own.enter(Phase.OTHER)


def _may_ask(own: Connected, now: float) -> bool:
    """Whether it has been idle for less than a client takes that asks one request after the other."""
    return own.is_new or own.since is None or now - own.since < TO_ASK
