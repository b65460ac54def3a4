"""The time that one request has, its place inside the graph, and where it was when time was up."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Self

import trio

from pipeline.engine.limit import Limit
from pipeline.engine.run import Run
from pipeline.engine.step import OpenStep, asks
from pipeline.errors import DeadlineExceeded
from pipeline.graph.units import format_duration
from pipeline.graph.words import listed

Look = Callable[[], Awaitable[None]]


class Allowance:
    """A place within the limit and its queue, once ``look`` has raised nothing; for all of that, so many seconds.

    ``async with``: raises what ``look`` raises, Overloaded, and DeadlineExceeded when time is up, before the queue, in
    it or inside, whose ``internals`` say where. Cancelled, the place is given up.
    """

    # A class with the scope entered by hand, and only where there is a deadline: a generator with a `with` in it, and a
    # scope that never ends anything, would take as long as reading a small request does.
    __slots__ = ("_look", "_places", "_scope", "_start", "seconds", "where")

    def __init__(self, places: Limit, seconds: float, look: Look | None = None) -> None:
        self._places = places
        self._look = look
        self._start = trio.current_time()
        self._scope: trio.CancelScope | None = None
        self.seconds = seconds
        self.where = "in the model's queue"
        """How far the request has come, for who asks where its time went."""

    @property
    def deadline(self) -> float:
        """On trio's clock."""
        return self._start + self.seconds

    def shorten(self, seconds: float) -> None:
        """To so many seconds in all, where that is less. Asked within no other scope than its own."""
        if seconds >= self.seconds:
            return
        self.seconds = seconds
        if self._scope is None:
            self._bound()
        else:
            self._scope.deadline = self.deadline

    async def __aenter__(self) -> Self:
        if self.seconds != math.inf:
            self._bound()
        try:
            if self._look is not None:
                self.where = "while the model was asked whether it is healthy"
                await self._look()
                self.where = "in the model's queue"
            if not self._places.try_acquire():
                await self._places.acquire()
        except BaseException as error:
            self._end(type(error), error, error.__traceback__)
            raise
        self.where = "before its first step"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._places.release()
        self._end(kind, error, trace)

    def _bound(self) -> None:
        self._scope = trio.CancelScope(deadline=self.deadline)
        self._scope.__enter__()

    def _end(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Raises DeadlineExceeded in the place of an ``error`` that is the end of its time."""
        if self._scope is None:
            return
        self._scope.__exit__(kind, error, trace)
        if self._scope.cancelled_caught:
            told = f"the request took longer than its deadline of {format_duration(self.seconds)}"
            raise DeadlineExceeded(told, internals=f"time was up {self.where}") from None


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
