"""Accepting connections, on plain sockets: what is made of one is the business of who is handed it."""

from __future__ import annotations

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


async def accept(listener: socket.socket, take: Callable[[socket.socket], None]) -> None:
    """Hands every connection to ``take``, which owns it then, until cancelled. The listener is left open.

    Where no descriptor is free it waits, and says so once, until there is one.
    """
    full = False
    while True:
        await trio.lowlevel.wait_readable(listener)
        try:
            for _ in range(_MOST_AT_ONCE):
                accepted, _address = listener.accept()
                take(accepted)
                full = False
        except OSError as error:
            if error.errno not in _FULL:
                continue  # nobody is left who waits, or who did has left meanwhile
            if not full:
                _LOG.warning("connections wait to be accepted until others end: %s", error.strerror)
            full = True
            await trio.sleep(_PAUSE)
