"""The time that one request has, and its place inside the graph."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from pipeline.engine.limit import Limit
from pipeline.errors import DeadlineExceeded
from pipeline.graph.units import format_duration


class Allowance:
    """The time that one request has, from its admission on."""

    __slots__ = ("_scope", "_start", "seconds")

    def __init__(self, scope: trio.CancelScope, seconds: float) -> None:
        self._scope = scope
        self._start = trio.current_time()
        self.seconds = seconds

    @property
    def deadline(self) -> float:
        """On trio's clock."""
        return self._scope.deadline

    def shorten(self, seconds: float) -> None:
        """To so many seconds in all, where that is less."""
        if seconds < self.seconds:
            self.seconds = seconds
            self._scope.deadline = self._start + seconds


@asynccontextmanager
async def admitted(places: Limit, seconds: float) -> AsyncIterator[Allowance]:
    """A place within the limit and its queue, for so many seconds.

    Raises Overloaded, and DeadlineExceeded when time is up, in the queue or inside. Cancelled, the place is given up.
    """
    with trio.move_on_after(seconds) as scope:
        allowance = Allowance(scope, seconds)
        await places.acquire()
        try:
            yield allowance
        finally:
            places.release()
    if scope.cancelled_caught:
        spent = format_duration(allowance.seconds)
        raise DeadlineExceeded(f"the request took longer than its deadline of {spent}")
