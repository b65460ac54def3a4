"""Work for a thread, and the way of what it gives back to the task that waits for it."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar, cast

import trio
from sniffio import current_async_library_cvar

from pipeline.engine.limit import Limit, Waiter

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Work(Protocol[T_co]):
    """What a thread does. Where it was given a limit's token, it gives that back, whatever happens.

    ``last``: gives back a token at the end of the work, after which the thread goes on with what waits for it.
    """

    def __call__(self, last: Callable[[Limit], None], /) -> T_co: ...


class Doers(Protocol):
    """Who does it."""

    def start(self, jobs: Iterable[Job[Any]], /) -> None:
        """They have their tokens. In any thread."""
        ...

    def gives_up(self, job: Job[Any], /) -> bool:
        """Whether nobody has begun with the job; nobody does any more, and who is in it is told."""
        ...


class Job(Generic[T]):
    """Work, its way to a thread, and the way of what it gives back to the task that waits."""

    __slots__ = (
        "_context", "_error", "_limit", "_task", "_value", "_work",
        "begun", "crew", "following", "given", "stop"
    )  # fmt: skip

    def __init__(self, crew: Doers, work: Work[T], limit: Limit | None) -> None:
        """In the task that waits for it."""
        self.crew = crew
        self.begun = False
        """Whether a thread has taken it, or none is to any more. The crew's to write, as ``stop``."""
        self.stop: Callable[[], None] | None = None
        """Tells the thread that is in it that nobody waits."""
        self.given = False
        self.following: Waiter | None = None
        """What its thread is to go on with."""
        self._work = work
        self._limit = limit
        self._task: trio.lowlevel.Task | None = trio.lowlevel.current_task()
        self._context = contextvars.copy_context()
        if self._context.get(current_async_library_cvar) is not None:
            # In the thread no library runs.
            self._context.run(current_async_library_cvar.set, None)
        self._value: T | None = None
        self._error: BaseException | None = None

    # ---- in the loop's thread

    def aborted(self, _: Callable[[], object]) -> trio.lowlevel.Abort:
        self.abandon()
        return trio.lowlevel.Abort.SUCCEEDED

    def abandon(self) -> None:
        """Nobody waits for it any more."""
        self._task = None
        if self._limit is not None and not self.given and self._limit.leave(self):
            return
        if self.crew.gives_up(self) and self._limit is not None:
            self._limit.release()

    def refuse(self, error: BaseException) -> None:
        """There is no thread for it."""
        if self._limit is not None:
            self._limit.release()
        self._error = error
        self.back()

    def result(self) -> T:
        if self._error is None:
            value, self._value = self._value, None
            return cast(T, value)
        try:
            raise self._error
        finally:
            # Or the error's traceback and the job hold each other, and every tensor on the way.
            self._error = None

    def back(self) -> None:
        """Its task goes on, where that waits."""
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)
        else:
            # Nobody asks for it; and an error's traceback and the job would hold each other.
            self._value = self._error = None

    # ---- in any thread

    def wake(self) -> None:
        """It has its token."""
        self.crew.start((self,))

    # ---- in a thread of the crew

    def do(self) -> None:
        try:
            self._value = self._context.run(self._work, self._last)
        except BaseException as error:  # noqa: BLE001  # who waits raises it
            self._error = error
        # The thread holds the job for a moment longer than its task does, and tensors must not be in it then.
        del self._work, self._context

    def _last(self, limit: Limit) -> None:
        self.following = limit.hand_on()
