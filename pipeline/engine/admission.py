"""The time that one request has, its place inside the graph, and where it was when time was up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import trio

from pipeline.engine.limit import Limit
from pipeline.engine.run import Run
from pipeline.engine.step import OpenStep, asks
from pipeline.errors import DeadlineExceeded
from pipeline.graph.units import format_duration
from pipeline.graph.words import listed


class Allowance:
    """The time that one request has, from when it asks for admission on."""

    __slots__ = ("_scope", "_start", "seconds", "where")

    def __init__(self, scope: trio.CancelScope, seconds: float) -> None:
        self._scope = scope
        self._start = trio.current_time()
        self.seconds = seconds
        self.where = "in the model's queue"
        """How far the request has come, for who asks where its time went."""

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
async def admitted(
    places: Limit, seconds: float, look: Callable[[], Awaitable[None]] | None = None
) -> AsyncIterator[Allowance]:
    """A place within the limit and its queue, once ``look`` has raised nothing; all of that for so many seconds.

    Raises what ``look`` raises, Overloaded, and DeadlineExceeded when time is up, before the queue, in it or inside,
    whose ``internals`` say where. Cancelled, the place is given up.
    """
    with trio.move_on_after(seconds) as scope:
        allowance = Allowance(scope, seconds)
        if look is not None:
            allowance.where = "while the model was asked whether it is healthy"
            await look()
            allowance.where = "in the model's queue"
        await places.acquire()
        allowance.where = "before its first step"
        try:
            yield allowance
        finally:
            places.release()
    if scope.cancelled_caught:
        spent = format_duration(allowance.seconds)
        told = f"the request took longer than its deadline of {spent}"
        raise DeadlineExceeded(told, internals=f"time was up {allowance.where}")


def whereabouts(run: Run, steps: Sequence[OpenStep]) -> str:
    """``in step "predict" (http://…)``: which of the plan's ``steps`` a request is in, and what those ask."""
    running, waiting = run.under_way()
    inside = [
        *(f'step "{step.name}"{_asks(step)}' for step in map(steps.__getitem__, running)),
        *(f'step "{step.name}"{_asks(step)}, which had not begun' for step in map(steps.__getitem__, waiting)),
    ]
    return f"in {listed(inside)}" if inside else "after its last step"


def _asks(step: OpenStep) -> str:
    return f" ({asked})" if (asked := asks(step)) else ""
