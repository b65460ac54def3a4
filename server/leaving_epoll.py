"""Clients that leave, on Linux."""

from __future__ import annotations

import select
import sys

import trio

from server.connected import Connected

if sys.platform == "linux":  # which alone has it

    class Epoll:
        """Edge-triggered: each connection is told of once, and again when it breaks."""

        def __init__(self) -> None:
            self._epoll = select.epoll()
            self._connections: dict[int, Connected] = {}

        def close(self) -> None:
            self._epoll.close()

        def add(self, fd: int, connection: Connected, /) -> None:
            self._epoll.register(fd, select.EPOLLRDHUP | select.EPOLLET)
            self._connections[fd] = connection

        def discard(self, fd: int, /) -> None:
            if self._connections.pop(fd, None) is not None:
                self._epoll.unregister(fd)

        async def watch(self) -> None:
            while True:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                for fd, events in self._epoll.poll(0):
                    self._connections[fd].told(gone=bool(events & (select.EPOLLHUP | select.EPOLLERR)))
