"""Being asked to stop, by a signal or otherwise, and what is done about it."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator

import trio

from server.handle import Service

_LOG = logging.getLogger("pipeline_serve")
_STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_SIGNAL_BASE = 128


@contextlib.contextmanager
def signals_heard() -> Iterator[AsyncIterator[int] | None]:
    """The signals that stop a process, as they come; None in a thread that is not the main one, which hears none."""
    if threading.current_thread() is not threading.main_thread():
        _LOG.info("serving in a thread that is not the main one: signals are not heard, stop() ends it")
        yield None
        return
    with trio.open_signal_receiver(*_STOP) as signals:
        yield signals


async def watch(
    signals: AsyncIterator[int] | None, asked: trio.Event, service: Service, stopping: trio.Event, drain_delay: float
) -> None:
    """Turns the server not ready once it is to stop, and sets ``stopping`` after ``drain_delay`` seconds.

    A second signal ends the process at once. Runs until cancelled, which takes nothing back.
    """
    async with trio.open_nursery() as nursery:
        if signals is not None:
            nursery.start_soon(_watch_signals, signals, service, asked)
        await asked.wait()
        if not service.draining:
            _LOG.info("asked to stop: draining, then stopping")
        service.draining = True
        await trio.sleep(drain_delay)
        stopping.set()


async def _watch_signals(signals: AsyncIterator[int], service: Service, asked: trio.Event) -> None:
    first = True
    async for number in signals:
        if not first:
            _LOG.warning("second signal: ending at once")
            logging.shutdown()
            os._exit(_SIGNAL_BASE + number)
        first = False
        if not service.draining:
            _LOG.info("%s: draining, then stopping", signal.Signals(number).name)
        service.draining = True
        asked.set()
