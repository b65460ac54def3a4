"""A server from elsewhere: what a signal handler, a thread, or a hook on another loop may ask of it while it runs."""

from __future__ import annotations

import contextlib
import functools
import logging
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import trio

from pipeline.engine.soon import in_trio
from pipeline.errors import told

_LOG = logging.getLogger("pipeline_serve")

_Call = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class _Serving:
    """What a server that runs is reached by."""

    nursery: trio.Nursery
    stop: trio.Event
    on_stop: Callable[[], None]
    token: trio.lowlevel.TrioToken = field(default_factory=trio.lowlevel.current_trio_token)


class Controls:
    """Of one run of a server. A stop that is asked for before it serves is heard as soon as it does."""

    def __init__(self) -> None:
        self._asked = False
        self._serving: _Serving | None = None
        self._over = False
        self._elsewhere: Callable[[], None] | None = None
        self._early: list[_Call] = []
        self._lock = threading.Lock()

    def stop(self) -> None:
        """Asks it to stop. Returns at once; may be called in a signal handler, in any thread and in the loop itself."""
        # No lock: a handler interrupts whoever holds it. Set first, and looked at last: whichever way two threads run,
        # it is seen.
        self._asked = True
        serving, elsewhere = self._serving, self._elsewhere
        if serving is not None:
            in_trio(serving.token, serving.on_stop)
        elif elsewhere is not None:
            elsewhere()

    def call(self, function: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Runs it in the server's loop. From a thread it is waited for, and raises what it raises.

        Who is on a loop, be it the server's or asyncio's, cannot wait, nor can who comes before the server serves: what
        it raises then is for the log. Raises RuntimeError where the server has stopped, or stops before the end of it.
        """
        call = functools.partial(function, *args)
        with self._lock:
            serving = self._serving
            if self._elsewhere is not None:
                raise RuntimeError("this process only starts the workers, and a running one is reached by none of it")
            if serving is None and not self._over:
                self._early.append(call)
                return
        if serving is None:
            raise _stopped()
        try:
            if _on_a_loop():
                serving.token.run_sync_soon(self._begin, call)
            else:
                trio.from_thread.run(self._waited_for, call, trio_token=serving.token)
        except (trio.RunFinishedError, trio.Cancelled):
            raise _stopped() from None

    @contextlib.contextmanager
    def elsewhere(self, on_stop: Callable[[], None]) -> Iterator[None]:
        """The server runs in other processes: ``on_stop`` is called for a stop, wherever that is asked for.

        Nothing else can be asked of it here: RuntimeError.
        """
        self._elsewhere = on_stop
        if self._asked:
            on_stop()
        try:
            yield
        finally:
            self._elsewhere = None

    @contextlib.asynccontextmanager
    async def taken(self, on_stop: Callable[[], None] | None = None) -> AsyncIterator[trio.Event]:
        """The event of a stop that is asked for, while the server runs: once. In trio's loop.

        ``on_stop`` is called there instead of setting the event. What is called meanwhile runs within, and is cancelled
        at the end. Cancelled, the same.
        """
        async with trio.open_nursery() as nursery:
            stop = trio.Event()
            serving = _Serving(nursery, stop, on_stop or stop.set)
            with self._lock:
                self._serving = serving
                early, self._early = self._early, []
            if self._asked:
                serving.on_stop()
            for call in early:
                self._begin(call)
            try:
                yield serving.stop
            finally:
                with self._lock:
                    self._serving, self._over = None, True
                nursery.cancel_scope.cancel()

    # ---- in the loop

    def _begin(self, call: _Call) -> None:
        """Where the server has stopped meanwhile, nobody is left to tell."""
        if self._serving is not None:
            self._serving.nursery.start_soon(_alone, call)

    async def _waited_for(self, call: _Call) -> None:
        """In a task of trio's own, for a thread: the work itself is among the rest, whose end ends it."""
        if self._serving is None:
            raise _stopped()
        ended, failure = trio.Event(), [_stopped()]

        async def work() -> None:
            try:
                await call()
                failure.clear()
            except Exception as error:  # noqa: BLE001  # the thread raises it
                failure[:] = [error]
            finally:
                ended.set()

        self._serving.nursery.start_soon(work)
        await ended.wait()
        if failure:
            raise failure.pop()


async def _alone(call: _Call) -> None:
    """What goes wrong in it ends nothing else."""
    try:
        await call()
    except Exception as error:  # noqa: BLE001  # who asked for it does not wait
        _LOG.error("what was asked of the server failed: %s", told(error), exc_info=error)


def _stopped() -> Exception:
    return RuntimeError("the server has stopped")


def _on_a_loop() -> bool:
    if trio.lowlevel.in_trio_run():
        return True
    if "asyncio" not in sys.modules:  # which takes a while to import, and most servers never do
        return False
    import asyncio  # noqa: PLC0415  # it is there

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
