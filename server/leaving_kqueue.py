"""Clients that leave, on macOS and the BSDs."""

from __future__ import annotations

import select
import sys
from collections.abc import Iterable, Iterator
from typing import Protocol

import trio

from server.connected import Connected

# So many bytes wait in no socket: only its end is told (kqueue(2), NOTE_LOWAT).
_NEVER = 2**30
_MOST_AT_ONCE = 64


class Event(Protocol):
    """What kqueue tells of a descriptor that is watched for reading."""

    @property
    def ident(self) -> int: ...
    @property
    def flags(self) -> int: ...
    @property
    def fflags(self) -> int:
        """At the end of what comes: the error that it ended with."""
        ...


def ends(events: Iterable[Event], eof: int) -> Iterator[tuple[int, bool]]:
    """Of the events with the flag ``eof``: the descriptor, and whether its connection broke."""
    for event in events:
        if event.flags & eof:
            yield event.ident, event.fflags != 0


if sys.platform != "linux":  # which has none

    class Kqueue:
        """As Epoll does on Linux. Reading alone is watched: what is written ends by our own half-close, too."""

        def __init__(self) -> None:
            self._kqueue = select.kqueue()
            self._connections: dict[int, Connected] = {}

        def close(self) -> None:
            self._kqueue.close()

        def add(self, fd: int, connection: Connected, /) -> None:
            flags = select.KQ_EV_ADD | select.KQ_EV_CLEAR
            own = select.kevent(fd, select.KQ_FILTER_READ, flags, select.KQ_NOTE_LOWAT, _NEVER)
            self._kqueue.control([own], 0)
            self._connections[fd] = connection

        def discard(self, fd: int, /) -> None:
            """The kernel forgets what is closed, which a connection that is handed over is not yet."""
            self._connections.pop(fd, None)

        async def watch(self) -> None:
            while True:
                await trio.lowlevel.wait_readable(self._kqueue.fileno())
                for fd, broke in ends(self._kqueue.control(None, _MOST_AT_ONCE, 0), select.KQ_EV_EOF):
                    if (connection := self._connections.get(fd)) is not None:
                        connection.told(gone=broke)
