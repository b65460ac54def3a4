"""One coroutine in a task of an asyncio loop, seen from the trio task that waits for it.

Knows no thread and no generator. asyncio tells of a cancellation once, and its code cleans up with awaits of its own;
so the task is cancelled once, and waited for until it has really ended.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Generic, NamedTuple, TypeVar, cast

import sniffio
import trio

from pipeline.engine.limit import Limit
from pipeline.engine.soon import in_asyncio, in_trio
from pipeline.errors import WrongAnswer

T = TypeVar("T")
_LOG = logging.getLogger("pipeline_serve")
# What cancelled code gets to clean up: longer than to end a connection in good order, shorter than a `close` may take.
CLEANUP_SECONDS = 3.0


class AsyncioTask(Generic[T]):
    """``work``, begun at once; made, and waited for, in a task of trio, whose context variables it sees.

    ``limit``: of which whoever waits holds a token. Left to end by itself, the work keeps that until it has. ``ended``
    is called on trio's side when it is over.
    """

    __slots__ = ("_cancelled", "_ended", "_limit", "_loop", "_over", "_task", "_token", "_work", "what")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        work: Callable[[], Awaitable[T]],
        what: str,
        limit: Limit | None = None,
        ended: Callable[[], object] | None = None,
    ) -> None:
        self.what = what
        self._loop = loop
        self._work = work
        self._limit = limit
        self._ended = ended
        self._token = trio.lowlevel.current_trio_token()
        self._over = trio.Event()
        self._cancelled = False
        self._task: asyncio.Task[Outcome] | None = None
        context = contextvars.copy_context()
        # Under a blocking face it says that all of this is trio's.
        context.run(sniffio.current_async_library_cvar.set, None)
        loop.call_soon_threadsafe(self._begin, context=context)

    async def result(self, *, leaving: bool = False) -> T:
        """What the work gives, or raises; what is no Exception, as a CancelledError of its own, as WrongAnswer.

        Cancelled, it is cancelled, and has a few seconds to end; what it gives or raises then is what came of it. After
        them it is told of in the log, and left to end by itself. With ``leaving`` it has been asked to end, and is
        cancelled only after these seconds.
        """
        try:
            await self._over.wait()
        except trio.Cancelled:
            if not leaving:
                self.cancel()
            with trio.move_on_after(CLEANUP_SECONDS, shield=True):
                await self._over.wait()
            if not self._over.is_set():
                self._leave()
                raise
            if isinstance(self._outcome.error, asyncio.CancelledError):
                raise
            # Raised in here, what clean-up raises has the cancellation as its context.
            return self._taken()
        return self._taken()

    def cancel(self) -> None:
        """The task hears of it, once however often this is called."""
        if not self._cancelled:
            self._cancelled = True
            in_asyncio(self._loop, self._cancel)

    def _leave(self) -> None:
        since = "its cancellation" if self._cancelled else "being closed, and is cancelled now"
        self.cancel()
        _LOG.warning("%s runs on: it has not ended within %g s of %s", self.what, CLEANUP_SECONDS, since)
        if self._limit is not None:
            self._limit.keep()
            in_asyncio(self._loop, self._release)

    def _tell(self) -> None:
        self._over.set()
        if self._ended is not None:
            self._ended()

    @property
    def _outcome(self) -> Outcome:
        task = self._task
        if task is None or task.cancelled():
            # Before its first step; then nothing of ours has run in it.
            return Outcome(None, asyncio.CancelledError())
        return task.result()

    def _taken(self) -> T:
        value, error = self._outcome
        self._task = None
        if error is None:
            return cast(T, value)
        try:
            if isinstance(error, Exception):
                raise error
            told = f"{self.what} raised {type(error).__name__}; code that fails raises an Exception"
            raise WrongAnswer(told) from error
        finally:
            # Or the error's traceback and this frame hold each other, and every tensor on the way.
            del error

    # ---- in the loop's thread

    def _begin(self) -> None:
        self._task = self._loop.create_task(outcome_of(self._work), name=self.what)
        self._task.add_done_callback(self._end)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _end(self, _: asyncio.Task[Outcome]) -> None:
        in_trio(self._token, self._tell)

    def _release(self) -> None:
        if self._task is not None and self._limit is not None:
            limit = self._limit
            self._task.add_done_callback(lambda _: limit.release())


class Outcome(NamedTuple):
    """What came of some work, as it crosses over."""

    value: Any
    error: BaseException | None


async def outcome_of(work: Callable[[], Awaitable[Any]]) -> Outcome:
    """Never raises: a task that raises SystemExit ends the loop, and with it everybody else's tasks."""
    try:
        return Outcome(await work(), None)
    except BaseException as error:  # noqa: BLE001  # who waits raises it
        return Outcome(None, error)
