"""A server from elsewhere: what a signal handler, a thread, or a hook on another loop may ask of it while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import trio

from pipeline.errors import told

_LOG = logging.getLogger("pipeline_serve")


class Controls:
    """Of one server at a time. A stop that is asked for before it serves is heard as soon as it does."""

    def __init__(self) -> None:
        self._asked = False
        self._token: trio.lowlevel.TrioToken | None = None
        self._stop = trio.Event()
        self._nursery: trio.Nursery | None = None
        self._early: list[Callable[[], Awaitable[Any]]] = []
        self._lock = threading.Lock()

    def stop(self) -> None:
        """Asks it to stop. Returns at once; may be called in a signal handler, in any thread and in the loop itself."""
        self._asked = True  # first, and looked at last: whichever way the two threads run, it is seen
        if self._token is not None:
            with contextlib.suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._stop.set)

    def call(self, function: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Runs it in the server's loop. From a thread it is waited for, and raises what it raises.

        Who is on a loop, be it the server's or asyncio's, cannot wait, nor can who comes before the server serves: what
        it raises then is for the log.
        """
        with self._lock:
            if self._token is None:
                self._early.append(functools.partial(function, *args))
                return
        if _on_a_loop():
            self._token.run_sync_soon(self._begin, functools.partial(function, *args))
        else:
            trio.from_thread.run(function, *args, trio_token=self._token)

    @contextlib.asynccontextmanager
    async def taken(self) -> AsyncIterator[trio.Event]:
        """The event of a stop that is asked for, while a server runs; then all is forgotten. In trio's loop.

        What is called meanwhile runs within, and is cancelled at the end. Cancelled, the same.
        """
        async with trio.open_nursery() as self._nursery:
            self._stop = trio.Event()
            with self._lock:
                self._token = trio.lowlevel.current_trio_token()
                early, self._early = self._early, []
            if self._asked:
                self._stop.set()
            for call in early:
                self._begin(call)
            try:
                yield self._stop
            finally:
                self._token, self._asked = None, False
                self._nursery.cancel_scope.cancel()

    def _begin(self, call: Callable[[], Awaitable[Any]]) -> None:
        if self._nursery is not None and self._token is not None:
            self._nursery.start_soon(_alone, call)


async def _alone(call: Callable[[], Awaitable[Any]]) -> None:
    """What goes wrong in it ends nothing else."""
    try:
        await call()
    except Exception as error:  # noqa: BLE001  # who asked for it does not wait
        _LOG.error("what was asked of the server failed: %s", told(error), exc_info=error)


def _on_a_loop() -> bool:
    if trio.lowlevel.in_trio_run():
        return True
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
