"""Clients that leave, as the kernel tells of them: one task of a worker sees all its connections.

A connection is registered once, for as long as it lives, and only for the end of what its client sends, so that no data
wakes anybody and no request pays for it. It is seen behind pipelined requests too, and beneath TLS.
"""

from __future__ import annotations

import select
import sys
from typing import Protocol, Self

import trio

from server.connected import Connected


class Leaving(Protocol):
    """What watches connections."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...

    def add(self, fd: int, connection: Connected, /) -> None: ...

    def discard(self, fd: int, /) -> None:
        """Before the descriptor is closed."""
        ...

    async def watch(self) -> None:
        """Tells connections of their clients until it is cancelled, which leaves them untold."""
        ...


def leaving() -> Leaving:
    """What this system has for it."""
    if sys.platform == "linux":
        return Epoll()
    else:  # noqa: RET505  # so that the type checker sees which is meant
        from server.leaving_kqueue import Kqueue  # noqa: PLC0415  # there is none on Linux

        return Kqueue()


class Epoll:
    """Linux. Edge-triggered: each connection is told of once, and again when it breaks."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._connections: dict[int, Connected] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._epoll.close()

    def add(self, fd: int, connection: Connected, /) -> None:
        self._connections[fd] = connection
        self._epoll.register(fd, select.EPOLLRDHUP | select.EPOLLET)

    def discard(self, fd: int, /) -> None:
        if self._connections.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    async def watch(self) -> None:
        while True:
            await trio.lowlevel.wait_readable(self._epoll.fileno())
            for fd, events in self._epoll.poll(0):
                self._connections[fd].told(gone=bool(events & (select.EPOLLHUP | select.EPOLLERR)))
