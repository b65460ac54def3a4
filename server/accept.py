"""Accepting connections, on plain sockets: what is made of one is the business of who is handed it."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
from collections.abc import Callable

import trio

_LOG = logging.getLogger("pipeline_serve")
# What ends with time, or with the end of other connections (accept(2)).
_FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
# Seconds until it is tried again, as in trio's own listeners.
_PAUSE = 0.1
# Of those that wait at once; then whoever else is ready has its turn.
_MOST_AT_ONCE = 64
# Seconds in which a worker that is not busy is awake, on a machine that is; and how many are taken that it leaves.
_FOR_OTHERS = 0.005
_LEFT_BY_OTHERS = 4


def unbounded() -> int:
    """What may be taken at once where nobody else does."""
    return _MOST_AT_ONCE


def take_waiting(listener: socket.socket, take: Callable[[socket.socket], None]) -> None:
    """Hands all connections that wait to ``take``; of a listener that is going to be closed."""
    with contextlib.suppress(OSError):
        while True:
            take(listener.accept()[0])


async def accept(
    listener: socket.socket,
    take: Callable[[socket.socket], None],
    may_take: Callable[[], int],
    make_room: Callable[[], None],
) -> None:
    """Hands every connection to ``take``, which owns it then, until cancelled. The listener is left open.

    ``may_take``: how many at once, of those that others might take as well; 0: only what they leave. Where no
    descriptor is free it asks to ``make_room`` and waits, and says so once, until nobody waits any more.
    """
    full = False
    while True:
        await trio.lowlevel.wait_readable(listener)
        most = may_take()
        if not most:
            await trio.sleep(_FOR_OTHERS)
        try:
            for _ in range(min(most or _LEFT_BY_OTHERS, _MOST_AT_ONCE)):
                accepted, _address = listener.accept()
                take(accepted)
        except OSError as error:
            if error.errno not in _FULL:
                # Nobody is left who waits, or who did has left meanwhile.
                if full:
                    _LOG.info("connections are accepted again")
                full = False
                continue
            if not full:
                _LOG.warning("connections wait to be accepted until others end: %s", error.strerror)
            full = True
            make_room()
            await trio.sleep(_PAUSE)
