"""SIGINT and SIGTERM to a command without trio: an exit code, soon, whatever the command is at."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType
from typing import NoReturn

from server.exits import SIGNAL_BASE

_STOPS = (signal.SIGINT, signal.SIGTERM)
# Of the 2 s within which a signal ends a pull; an interpreter on a busy machine needs the rest.
_PATIENCE = 1.2


@contextmanager
def ends_at_once() -> Iterator[None]:
    """Meanwhile such a signal ends the process with code 128 + n and no words: for imports, when nothing has begun."""
    before = {number: signal.signal(number, _end) for number in _STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def until_told(work: Callable[[threading.Event], int]) -> NoReturn:
    """Ends the process: with the code that ``work`` returns, in a thread, or with 128 + n after signal n.

    A signal sets the flag of ``work``, which then has 1.2 s to end; else it is as after ``kill -9``.
    Raises what ``work`` raises. Without trio, which is a third of the imports of who needs it, and with a queue that a
    signal's handler may put into: it runs between any two steps of this thread, an Event's own included.
    """
    cancel, news = threading.Event(), SimpleQueue[int]()
    for number in _STOPS:
        signal.signal(number, lambda heard, _: news.put(heard))
    from concurrent.futures import ThreadPoolExecutor, wait  # noqa: PLC0415  # not before a signal is heard

    working = ThreadPoolExecutor(1).submit(work, cancel)
    working.add_done_callback(lambda _: news.put(0))
    if told := news.get():
        cancel.set()
        wait([working], _PATIENCE)
        _end(told)
    os._exit(working.result())


def _end(number: int, _: FrameType | None = None) -> NoReturn:
    """Without the interpreter's own end: it waits for threads, and signals are heard no more while it lasts."""
    os._exit(SIGNAL_BASE + number)
