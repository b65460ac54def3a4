"""Clients that leave, on macOS and the BSDs."""

from __future__ import annotations

import select
import sys

import trio

from server.connected import Connected

# So many bytes wait in no socket: only its end is told (kqueue(2), NOTE_LOWAT).
_NEVER = 2**30
_MOST_AT_ONCE = 64

if sys.platform != "linux":  # which has none

    class Kqueue:
        """As Epoll does on Linux. A connection that broke has an error in its event."""

        def __init__(self) -> None:
            self._kqueue = select.kqueue()
            self._connections: dict[int, Connected] = {}

        def close(self) -> None:
            self._kqueue.close()

        def add(self, fd: int, connection: Connected, /) -> None:
            self._connections[fd] = connection
            flags = select.KQ_EV_ADD | select.KQ_EV_CLEAR
            filters = select.KQ_FILTER_READ, select.KQ_FILTER_WRITE
            self._kqueue.control([select.kevent(fd, own, flags, select.KQ_NOTE_LOWAT, _NEVER) for own in filters], 0)

        def discard(self, fd: int, /) -> None:
            """The kernel forgets what is closed."""
            self._connections.pop(fd, None)

        async def watch(self) -> None:
            while True:
                await trio.lowlevel.wait_readable(self._kqueue.fileno())
                for event in self._kqueue.control(None, _MOST_AT_ONCE, 0):
                    connection = self._connections.get(event.ident)
                    if connection is not None and event.flags & select.KQ_EV_EOF:
                        connection.told(gone=event.filter == select.KQ_FILTER_WRITE or event.fflags != 0)
