"""Clients that leave, as the kernel tells of them: one task of a worker sees all its connections.

A connection is registered once, for as long as it lives, and only for the end of what its client sends, so that no data
wakes anybody and no request pays for it. It is seen behind pipelined requests too, and beneath TLS.
"""

from __future__ import annotations

import sys
from typing import Protocol, Self

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
        from server.leaving_epoll import Epoll  # noqa: PLC0415  # each system has one of the two

        return Epoll()
    else:  # noqa: RET505  # so that the type checker sees which is meant
        from server.leaving_kqueue import Kqueue  # noqa: PLC0415

        return Kqueue()
