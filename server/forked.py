"""Worker processes: how one is born, what it is given, and how it ended. Unix alone."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from server.channel import Made
from server.crowd import Place
from server.exits import SIGNAL_BASE, STOP

_LOG = logging.getLogger("pipeline_serve")
_BROKEN = 1


@dataclass(frozen=True, slots=True)
class Post:
    """What a worker is given by who starts it.

    ``member``: it takes requests at once, rather than when it is told to; ``together``: all workers have been ready;
    ``made``: what has been loaded and unloaded since the start, up to ``number``.
    """

    place: int
    share: Place
    channel: socket.socket
    member: bool
    together: bool
    made: Mapping[str, Made]
    number: int


def forked(work: Callable[[], int]) -> int:
    """The process that does the work and ends with its exit code; it hears no signal to stop until ``hear``.

    To be called where there is no other thread of Python's, and no loop.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
    try:
        process = os.fork()
        if not process:
            _end(work)
        return process
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end(work: Callable[[], int]) -> NoReturn:
    """Never returns: what stands below on the stack is another process's."""
    code = _BROKEN
    try:
        _draw_anew()
        code = work()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else _BROKEN
    except BaseException:  # noqa: BLE001  # it is told, and nobody is there to hear it
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _draw_anew() -> None:
    """numpy's own random numbers are others than its siblings'; Python sees to its own after each fork."""
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:
        numpy.seed()


def hear() -> None:
    """In a worker: signals to stop come from here on, also those that came before."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP)


@contextlib.contextmanager
def signals_to(wake: socket.socket) -> Iterator[None]:
    """Signals to stop, and of children that end, are a byte each, the signal's number. In the main thread."""
    numbers = (*STOP, signal.SIGCHLD)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    woken = signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(woken)
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def ended(process: int) -> tuple[int, float] | None:
    """The exit code of a child, 128+n where a signal n ended it, and its seconds of CPU; None where it runs."""
    found, status, usage = os.wait4(process, os.WNOHANG)
    if not found:
        return None
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else SIGNAL_BASE - code, usage.ru_utime + usage.ru_stime


def how(code: int) -> str:
    """What is said of a process that ended with that code."""
    if code > SIGNAL_BASE:
        with contextlib.suppress(ValueError):
            return f"was killed by {signal.Signals(code - SIGNAL_BASE).name}"
    return f"ended with exit code {code}"


def threads_left() -> str:
    """What other threads this process has, right after a fork: those that know of forks are gone by then."""
    own = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    tasks = Path("/proc/self/task")
    native = len([*tasks.iterdir()]) - 1 - len(own) if tasks.is_dir() else 0
    return ", ".join([*own, *([f"{native} of libraries"] if native > 0 else [])])
