"""What ends a request whose time is up: a scope of its own, or one that the requests of a task share, one by one.

Entering and leaving a scope of trio's with a deadline takes a third of a small request, most of it memory that is cold
by then. So a connection enters one for all of its requests, whose deadlines one task watches.
"""

from __future__ import annotations

import math
from types import TracebackType
from typing import Protocol, Self

import trio


class Timer(Protocol):
    """Cancels what its task does between ``start`` and ``stop`` once the time is up. Both within the same scopes."""

    clock: trio.abc.Clock
    """trio's. Asked by each request, which is faster than to ask trio."""

    def start(self, deadline: float, now: float) -> None:
        """Both on trio's clock. ``deadline`` may be moved by another start."""
        ...

    def stop(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        """Whether the ``error`` that came of the work is the end of its time, and of nothing else."""
        ...


class Once:
    """A timer for one request."""

    __slots__ = ("_scope", "clock")

    def __init__(self) -> None:
        self.clock = trio.lowlevel.current_clock()
        self._scope: trio.CancelScope | None = None

    def start(self, deadline: float, now: float) -> None:
        if self._scope is None:
            self._scope = trio.CancelScope(deadline=deadline)
            self._scope.__enter__()
        else:
            self._scope.deadline = deadline

    def stop(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if self._scope is None:
            return False
        self._scope.__exit__(kind, error, trace)
        return self._scope.cancelled_caught


class Again:
    """A timer for one request after the other of the task that enters it."""

    __slots__ = ("_deadlines", "_expired", "_scope", "clock", "deadline")

    def __init__(self, deadlines: Deadlines) -> None:
        self.clock = trio.lowlevel.current_clock()
        self._deadlines = deadlines
        self._scope = trio.CancelScope()
        self._expired = False
        self.deadline = math.inf
        """Of the request under way; infinite between two."""

    def __enter__(self) -> Self:
        self._scope.__enter__()
        self._deadlines.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadlines.remove(self)
        self._scope.__exit__(kind, error, trace)

    def start(self, deadline: float, now: float) -> None:
        self.deadline = deadline
        if deadline <= now:
            # Before its work, not once the watcher has its turn.
            self.expire()
        elif deadline < self._deadlines.next:
            self._deadlines.look_at(deadline)

    def stop(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        self.deadline = math.inf
        if not self._expired:
            return False
        self._expired = False
        # It ends nothing a second time: another takes its place.
        spent, self._scope = self._scope, trio.CancelScope()
        try:
            spent.__exit__(kind, error, trace)
        finally:
            self._scope.__enter__()
        return spent.cancelled_caught

    def expire(self) -> None:
        self._expired = True
        self._scope.cancel()


class Deadlines:
    """Those of the requests under way in tasks that have a timer."""

    def __init__(self) -> None:
        self._timers: set[Again] = set()
        self.next = math.inf
        """When they are looked at again."""
        self._sleep = trio.CancelScope()

    async def watch(self) -> None:
        """Ends what is out of time. Runs until it is cancelled; then nobody's time is watched any more."""
        while True:
            with trio.CancelScope(deadline=self.next) as self._sleep:
                await trio.sleep_forever()
            now = trio.current_time()
            for timer in self._timers:
                if timer.deadline <= now:
                    timer.expire()
            # Most of those it was set for are done by then, and nothing was told of that.
            self.next = min((own.deadline for own in self._timers if own.deadline > now), default=math.inf)

    def look_at(self, deadline: float) -> None:
        """They are looked at then."""
        self.next = self._sleep.deadline = deadline

    def add(self, timer: Again) -> None:
        self._timers.add(timer)

    def remove(self, timer: Again) -> None:
        self._timers.discard(timer)
