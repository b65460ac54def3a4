"""Clients that leave, as the kernel tells of them: one task of a worker sees all its connections.

A connection is registered once, for as long as it lives, and only for the end of what its client sends, so that no data
wakes anybody and no request pays for it. It is seen behind pipelined requests too, and beneath TLS.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Protocol

from server.connected import Connected


class Leaving(Protocol):
    """What watches connections."""

    def add(self, fd: int, connection: Connected, /) -> None:
        """Raises OSError where the kernel watches no more; it is not watched then."""
        ...

    def discard(self, fd: int, /) -> None:
        """Before the descriptor is closed, whether it is watched or not."""
        ...

    async def watch(self) -> None:
        """Tells connections of their clients until it is cancelled, which leaves them untold."""
        ...


@contextmanager
def leaving() -> Iterator[Leaving]:
    """What this system has for it, until it is closed."""
    if sys.platform == "linux":
        from server.leaving_epoll import Epoll as Own  # noqa: PLC0415  # each system has one of the two
    else:
        from server.leaving_kqueue import Kqueue as Own  # noqa: PLC0415
    with closing(Own()) as own:
        yield own
