"""Tasks beside each other, of which the first failure is everybody's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from pipeline.engine.failure import bare


class Siblings:
    """The first failure cancels the others and is raised bare; of two at once, that of the lower rank."""

    __slots__ = ("_error", "_failed", "nursery")

    nursery: trio.Nursery

    def __init__(self) -> None:
        self._error: BaseException | None = None
        # The rank of who failed; below every rank while none has, and where it is no failure of the work's own.
        self._failed = -1

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """The work, which starts its siblings in ``nursery``. Those raise nothing: they tell ``fail``.

        Cancelled, all of them are.
        """
        try:
            async with trio.open_nursery() as self.nursery:
                await work()
        except (trio.Cancelled, BaseExceptionGroup) as cancelled:
            # They raise nothing but their cancellation, and those of several tasks come in a group.
            if self._error is None:
                raise bare(cancelled) from None
        if self._error is not None:
            try:
                raise self._error
            finally:
                # Or the error's traceback and this object hold each other, and every tensor in its frames.
                self._error = None

    def bars(self, rank: int) -> bool:
        """Whether one of that rank may not begin: one before it has failed.

        Where a later one has, this one goes on until it is cancelled: it may fail in the same moment, and then its
        error is the one.
        """
        return self._error is not None and self._failed < rank

    @property
    def has_failed(self) -> bool:
        return self._error is not None

    async def fail(self, rank: int, error: BaseException) -> None:
        """Who caught ``error`` tells it, and ends."""
        rank = rank if isinstance(error, Exception) else -1
        if self._error is None or rank < self._failed:
            self._failed, self._error = rank, error
        # Siblings that fail in this very moment have been woken already; cancelled now, they could not say so, and the
        # error would hang on the order in which the loop runs its tasks.
        await trio.lowlevel.cancel_shielded_checkpoint()
        self.nursery.cancel_scope.cancel()
