"""Being asked to stop, by a signal or otherwise, and what is done about it."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from typing import NoReturn

import trio

from server.exits import LEFT, SIGNAL_BASE, STOP
from server.service import Service

_LOG = logging.getLogger("pipeline_serve")


@contextlib.contextmanager
def signals_heard() -> Iterator[AsyncIterator[int] | None]:
    """The signals that stop a process, as they come; None in a thread that is not the main one, which hears none."""
    if threading.current_thread() is not threading.main_thread():
        _LOG.info("serving in a thread that is not the main one: signals are not heard, stop() ends it")
        yield None
        return
    with trio.open_signal_receiver(*STOP) as signals:
        yield signals


@contextlib.contextmanager
def last_resort(seconds: float, busy: Callable[[], Collection[str]]) -> Iterator[Callable[[], None]]:
    """What begins to count, once: after so many seconds the process ends, unless the context has ended by then.

    The log names the models that are ``busy``. It counts in a thread: code may keep the loop busy too.
    """
    over, begun = threading.Event(), threading.Event()

    def count() -> None:
        if over.wait(min(seconds, threading.TIMEOUT_MAX)):
            return
        names: Collection[str] = ()
        # The loop may be changing what is looked at.
        with contextlib.suppress(RuntimeError):
            names = busy()
        whose = ", ".join(f'model "{name}"' for name in names) or "a model"
        _LOG.error("ending the process: code of %s goes on, cancelled or not", whose)
        logging.shutdown()
        os._exit(LEFT)

    def begin() -> None:
        if not begun.is_set():
            begun.set()
            threading.Thread(target=count, name="the last resort", daemon=True).start()

    try:
        yield begin
    finally:
        over.set()


def end_at_once(number: int) -> NoReturn:
    """For the second of the signals to stop: whoever sent it does not want to wait."""
    _LOG.warning("second signal: ending at once")
    logging.shutdown()
    os._exit(SIGNAL_BASE + number)


async def watch(  # what a stop touches
    signals: AsyncIterator[int] | None,
    asked: trio.Event,
    service: Service,
    stopping: trio.Event,
    drain_delay: float,
    on_signal: Callable[[], None] = lambda: None,
) -> None:
    """Turns the server not ready once it is to stop, and sets ``stopping`` after ``drain_delay`` seconds.

    ``on_signal`` is called where a signal says so; a second one ends the process at once. Runs until cancelled, which
    takes nothing back.
    """
    async with trio.open_nursery() as nursery:
        if signals is not None:
            nursery.start_soon(_watch_signals, signals, service, asked, on_signal)
        await asked.wait()
        if not service.draining:
            _LOG.info("asked to stop: draining, then stopping")
        service.draining = True
        await trio.sleep(drain_delay)
        stopping.set()


async def _watch_signals(
    signals: AsyncIterator[int], service: Service, asked: trio.Event, on_signal: Callable[[], None]
) -> None:
    first = True
    async for number in signals:
        if not first:
            end_at_once(number)
        first = False
        on_signal()
        if not service.draining:
            _LOG.info("%s: draining, then stopping", signal.Signals(number).name)
        service.draining = True
        asked.set()
