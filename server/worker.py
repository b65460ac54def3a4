"""The process: models, connections, signals; and how it stops.

The nurseries, outermost first: models end last, and then the asyncio loop that any of them started; connections get
the grace period; accepting is cancelled first. The HTTP side is Hypercorn's trio worker, put together here from its
parts so that what breaks in one connection stays there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import hypercorn
import trio
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import (
    AppWrapper,
    ConnectionState,
    LifespanState,
)
from hypercorn.utils import wrap_app

from pipeline.engine.asyncio_loop import asyncio_kept
from server.config import Config
from server.connection import Connection
from server.controls import Controls
from server.finish import finishing
from server.handle import Service
from server.listen import Listening
from server.stopping import last_resort, signals_heard
from server.stopping import watch as watch_stop

if TYPE_CHECKING:
    from quart_trio import QuartTrio

_LOG = logging.getLogger("pipeline_serve")
# Beside the grace period: what closes a step has 5 s, and so has what ends the asyncio loop.
_CLOSING = 10.0


async def serve(
    service: Service,
    app: QuartTrio,
    listening: Listening,
    config: Config,
    announce: Callable[[], None],
    controls: Controls,
) -> None:
    """Serves until a signal or its ``controls`` say stop, then drains: not ready, no new connections, the old ones
    within ``grace``.

    What is left of that is for detached steps.

    Models are opened once the port is bound; ``announce`` is called once signals are heard. A second signal ends the
    process at once; after one, so does code of a model that goes on when all that is over. Cancelled, it stops without
    draining; models are closed.
    """
    try:
        patience = config.drain_delay + config.grace + _CLOSING
        with signals_heard() as signals, last_resort(patience, service.repository.busy) as on_signal:
            service.owns_interrupts = True
            service.repository.own_interrupts()
            announce()
            async with asyncio_kept(), trio.open_nursery() as models:
                await models.start(service.repository.serve)
                stopping = trio.Event()
                async with controls.taken() as asked, trio.open_nursery() as watch:
                    watch.start_soon(watch_stop, signals, asked, service, stopping, config.drain_delay, on_signal)
                    deadline = await serve_connections(app, listening, hypercorn_config(config), stopping)
                    with trio.move_on_at(deadline) as waiting:
                        # No request is left that could begin one.
                        await service.repository.drained()
                    if waiting.cancelled_caught:
                        _LOG.warning("the grace period is over; detached steps that still run are cancelled")
                    watch.cancel_scope.cancel()
                models.cancel_scope.cancel()
    finally:
        if listening.unix_path is not None:
            listening.unix_path.unlink(missing_ok=True)


def hypercorn_config(config: Config) -> hypercorn.Config:
    """Hypercorn's own settings, where they follow ours."""
    own = hypercorn.Config()
    own.graceful_timeout = config.grace
    own.keep_alive_timeout = config.keep_alive
    # Its default closes a connection after 1,000 requests; nothing here wants that.
    own.keep_alive_max_requests = 2**62
    own.errorlog = logging.getLogger("hypercorn.error")
    own.include_server_header = False
    if config.tls_cert is not None:
        own.certfile, own.keyfile = str(config.tls_cert), str(config.tls_key)
    return own


async def serve_connections(
    app: QuartTrio, listening: Listening, config: hypercorn.Config, stopping: trio.Event
) -> float:
    """Accepts and answers until ``stopping``; then closes idle connections and gives the others the grace period.

    Returns the end of that period, on trio's clock. Cancelled, every connection is cancelled with what it works on.
    """
    state: LifespanState = {}
    wrapped = wrap_app(finishing(app), config.wsgi_max_body_size, "asgi")
    lifespan = Lifespan(wrapped, config, state)
    context = WorkerContext(None)
    handler = partial(_connection, wrapped, config, context, state)
    async with trio.open_nursery() as lifespans:
        await lifespans.start(lifespan.handle_lifespan)
        await lifespan.wait_for_startup()
        async with trio.open_nursery() as connections:
            listener = _listener(listening, config)
            async with trio.open_nursery() as accept:
                accept.start_soon(partial(trio.serve_listeners, handler, [listener], handler_nursery=connections))
                await stopping.wait()
                accept.cancel_scope.cancel()
            await context.terminated.set()
            deadline = connections.cancel_scope.deadline = trio.current_time() + config.graceful_timeout
        if connections.cancel_scope.cancelled_caught:
            _LOG.warning("the grace period is over; what was still running is cancelled")
        await lifespan.wait_for_shutdown()
        lifespans.cancel_scope.cancel()
    return deadline


def _listener(listening: Listening, config: hypercorn.Config) -> trio.abc.Listener[trio.abc.Stream]:
    plain = trio.SocketListener(trio.socket.from_stdlib_socket(listening.socket))
    context = config.create_ssl_context()
    if context is None:
        return plain
    return trio.SSLListener(plain, context, https_compatible=True)


async def _connection(
    app: AppWrapper,
    config: hypercorn.Config,
    context: WorkerContext,
    state: LifespanState,
    stream: trio.abc.Stream,
) -> None:
    """One connection, for as long as it lives. What breaks in it is logged and ends it, and nothing else.

    That is a client's doing: what goes wrong in the app is a reply. So it is a line, and the traceback only for who
    asks for it.
    """
    try:
        await Connection(app, config, context, ConnectionState(state.copy()), stream)  # type: ignore[arg-type]
    except* Exception as broken:  # noqa: BLE001  # a broken connection must never take the others with it
        causes = ", ".join(sorted({type(error).__name__ for error in _leaves(broken)}))
        _LOG.warning("a connection broke: its client sent what HTTP does not know (%s)", causes)
        _LOG.debug("the connection that broke", exc_info=broken)


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
