"""The time that one request has, its place inside the graph, and where it was when time was up."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Self

from pipeline.engine.deadlines import Once, Timer
from pipeline.engine.limit import Limit
from pipeline.engine.run import Run
from pipeline.engine.step import OpenStep, asks
from pipeline.engine.visits import Visits
from pipeline.errors import DeadlineExceeded
from pipeline.graph.units import format_duration
from pipeline.graph.words import listed

Look = Callable[[], Awaitable[None]]


class Allowance:
    """A place within the limit and its queue, once ``look`` has raised nothing; for all of that, so many seconds.

    ``async with``: a visit before it waits for anything, and until its end. Raises what ``look`` raises, Overloaded,
    and DeadlineExceeded when time is up, before the queue, in it or inside, whose ``internals`` say where. Cancelled,
    the place is given up.
    """

    # A class, since a generator with a `with` in it takes as long as reading a small request does.
    __slots__ = ("_look", "_places", "_start", "_timer", "_visits", "clock", "deadline", "seconds", "where")

    def __init__(
        self, visits: Visits, places: Limit, seconds: float, look: Look | None = None, timer: Timer | None = None
    ) -> None:
        """``timer``: the caller's, for the time being; else there is one for this alone."""
        self._visits = visits
        self._places = places
        self._look = look
        self._timer = timer = Once() if timer is None else timer
        self.clock = timer.clock
        self._start = self.clock.current_time()
        self.seconds = seconds
        self.deadline = self._start + seconds
        """On trio's ``clock``."""
        self.where = "in the model's queue"
        """How far the request has come, for who asks where its time went."""

    def shorten(self, seconds: float) -> None:
        """To so many seconds in all, where that is less. Asked within no other scope than its own."""
        if seconds >= self.seconds:
            return
        self.seconds = seconds
        self.deadline = self._start + seconds
        self._timer.start(self.deadline, self.clock.current_time())

    async def __aenter__(self) -> Self:
        self._visits.__enter__()
        if self.seconds != math.inf:
            self._timer.start(self.deadline, self._start)
        try:
            if self._look is not None:
                self.where = "while the model was asked whether it is healthy"
                await self._look()
                self.where = "in the model's queue"
            if not self._places.try_acquire():
                await self._places.acquire()
        except BaseException as error:
            self._visits.__exit__()
            if self._timer.stop(type(error), error, error.__traceback__):
                raise self._over() from None
            raise
        self.where = "before its first step"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._places.release()
        self._visits.__exit__()
        if self._timer.stop(kind, error, trace):
            raise self._over() from None

    def _over(self) -> DeadlineExceeded:
        """What to raise in the place of an error that is the end of its time."""
        told = f"the request took longer than its deadline of {format_duration(self.seconds)}"
        return DeadlineExceeded(told, internals=f"time was up {self.where}")


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
