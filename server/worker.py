"""The process: models, connections, signals; and how it stops.

The nurseries, outermost first: models end last, and then the asyncio loop that any of them started; connections get
the grace period; accepting is cancelled first.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from pipeline.engine.asyncio_kept import asyncio_kept
from server.accept import accept, take_waiting, unbounded
from server.config import Config
from server.connected import Connected
from server.controls import Controls
from server.conversation import Conversations, by_app, by_handle
from server.fleet import Fleet
from server.handle import refuse
from server.head import Head
from server.late import Late
from server.leaving import leaving
from server.listen import Listening
from server.reaper import patience, reap
from server.secure import context_of
from server.service import Service
from server.stopping import last_resort, signals_heard
from server.stopping import watch as watch_stop

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework

    from server.http2 import Http2

_LOG = logging.getLogger("pipeline_serve")
# Beside the grace period: what closes a step has 5 s, and so has what ends the asyncio loop.
_CLOSING = 10.0


@dataclass(frozen=True, slots=True)
class Apps:
    """What answers besides ``handle``: ``asgi`` for HTTP/2, and for HTTP/1.1 too where it has ``middleware``."""

    asgi: ASGIFramework
    middleware: bool


async def serve(  # noqa: PLR0913, PLR0917  # what a process is made of
    service: Service,
    apps: Apps,
    listening: Listening,
    config: Config,
    announce: Callable[[], None],
    controls: Controls,
    fleet: Fleet | None = None,
) -> None:
    """Serves until a signal or its ``controls`` say stop, then drains: not ready, no new connections, the old ones
    within ``grace``.

    What is left of that is for detached steps.

    Models are opened once the port is bound; ``announce`` is called once signals are heard. A second signal ends the
    process at once; after one, so does code of a model that goes on when all that is over. One of a ``fleet`` takes
    requests, and stops, when it is told to. Cancelled, it stops without draining; models are closed.
    """
    longest = config.drain_delay + config.grace + _CLOSING
    with signals_heard() as signals, last_resort(longest, service.repository.busy) as on_signal:
        service.owns_interrupts = True
        service.repository.own_interrupts()
        announce()
        async with asyncio_kept(), _beside(service.companions), trio.open_nursery() as models:
            await models.start(service.repository.serve)
            stopping = trio.Event()
            on_stop = None if fleet is None else fleet.ask_stop
            async with controls.taken(on_stop) as asked, trio.open_nursery() as watch:
                watch.start_soon(watch_stop, signals, asked, service, stopping, config.drain_delay, on_signal)
                takes_part = True
                if fleet is not None:
                    watch.start_soon(fleet.serve, partial(_stop, on_signal, asked))
                    takes_part = await fleet.entered(stopping)
                deadline = trio.current_time()
                if takes_part:
                    deadline = await serve_connections(service, apps, listening, config, stopping, fleet)
                listening.socket.close()
                with trio.move_on_at(deadline) as waiting:
                    # No request is left that could begin one.
                    await service.repository.drained()
                if waiting.cancelled_caught:
                    _LOG.warning("the grace period is over; detached steps that still run are cancelled")
                watch.cancel_scope.cancel()
            models.cancel_scope.cancel()


def _nobody(connections: int) -> None:
    """To whom it matters how many there are."""


def _stop(counts: Callable[[], None], asked: trio.Event) -> None:
    counts()
    asked.set()


@asynccontextmanager
async def _beside(companions: Iterable[Callable[[], Awaitable[None]]]) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        for companion in companions:
            nursery.start_soon(companion)
        try:
            yield
        finally:
            nursery.cancel_scope.cancel()


async def serve_connections(  # what answers, where, how, and beside whom
    service: Service,
    apps: Apps,
    listening: Listening,
    config: Config,
    stopping: trio.Event,
    fleet: Fleet | None = None,
) -> float:
    """Accepts and answers until ``stopping``; then closes idle connections and gives the others the grace period.

    Returns the end of that period, on trio's clock. Cancelled, every connection is cancelled with what it works on.
    """
    async with _living(apps) as state:
        http2 = _Http2(apps.asgi, state, config)
        with leaving() as clients:
            conversations = Conversations(
                by_app(apps.asgi, state) if apps.middleware else by_handle(service),
                partial(refuse, service),
                http2.serve,
                clients,
                most=service.max_body,
                secure=None
                if config.tls_cert is None or config.tls_key is None
                else context_of(config.tls_cert, config.tls_key),
                told=_nobody if fleet is None else fleet.share.tell,
            )
            async with trio.open_nursery() as watchers:
                watchers.start_soon(clients.watch)
                watchers.start_soon(conversations.deadlines.watch)
                for watched in (conversations.connections, http2.requests):
                    watchers.start_soon(reap, watched, patience(config.keep_alive))
                async with trio.open_nursery() as connections:
                    async with trio.open_nursery() as accepting:

                        def take(accepted: socket.socket) -> None:
                            connections.start_soon(conversations.serve, accepted)

                        may_take = unbounded if fleet is None else fleet.share.may_take
                        accepting.start_soon(accept, listening.socket, take, may_take, conversations.make_room)
                        await stopping.wait()
                        accepting.cancel_scope.cancel()
                    # Who waits in the line has connected to a server that answers.
                    take_waiting(listening.socket, take)
                    listening.socket.close()
                    conversations.stop()
                    watchers.start_soon(conversations.hurry)
                    http2.stop()
                    deadline = connections.cancel_scope.deadline = trio.current_time() + config.grace
                if connections.cancel_scope.cancelled_caught:
                    _LOG.warning("the grace period is over; what was still running is cancelled")
                watchers.cancel_scope.cancel()
    return deadline


@asynccontextmanager
async def _living(apps: Apps) -> AsyncIterator[dict[str, Any]]:
    """The lifespan of what a script puts around the server, which may wait for its begin and its end."""
    if not apps.middleware:
        yield {}
        return
    from server.lifespan import living  # noqa: PLC0415  # with Hypercorn, for who needs it

    async with living(apps.asgi) as state:
        yield state


class _Http2:
    """HTTP/2, whose libraries are loaded for the first connection that speaks it."""

    def __init__(self, app: ASGIFramework, state: dict[str, Any], config: Config) -> None:
        self.requests: set[Connected] = set()
        self._http2 = Late(partial(_http2, app, state, self.requests, config.keep_alive))
        self._stopping = False

    async def serve(self, stream: trio.abc.Stream, data: bytes = b"", asked: Head | None = None) -> None:
        http2 = await self._http2.get()
        if self._stopping:
            http2.stop()  # which nobody could tell it while it was made
        await http2.serve(stream, data, asked)

    def stop(self) -> None:
        self._stopping = True
        if self._http2.made is not None:
            self._http2.made.stop()


def _http2(app: ASGIFramework, state: dict[str, Any], requests: set[Connected], keep_alive: float) -> Http2:
    from server.http2 import Http2  # noqa: PLC0415

    return Http2(app, state, requests, keep_alive=keep_alive)
