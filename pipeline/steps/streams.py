"""A synchronous iterator that a hook gave, as an async one whose items are made in threads."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from typing import Any

import trio

from pipeline.steps.catalog import CLOSE_SECONDS
from pipeline.tensors.own import owned_part
from pipeline.threads import in_own_thread

InThread = Callable[[Callable[[], None]], Coroutine[Any, Any, None]]
"""Calls it in a thread. Cancelled, it returns at once, and the thread ends by itself."""


async def from_thread(items: Iterator[Any], in_thread: InThread) -> AsyncGenerator[Any, None]:
    """The items of a synchronous iterator, each made in a thread when it is asked for.

    Cancelled, the thread ends the item that it makes, and closes the iterator; closed between two, it is closed in one.
    """
    source = _Source(items)
    try:
        while True:
            await in_thread(source.take)
            if source.is_over:
                return
            yield source.item()
    finally:
        source.left = True
        if not source.busy:
            patience = trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_SECONDS)
            with patience:
                await in_own_thread(source.close)


class _Source:
    """An iterator that one thread at a time is in; whoever is the last in it closes it."""

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items
        self._inside = threading.Lock()
        self._made: list[Any] = []
        self.is_over = False
        self.left = False

    @property
    def busy(self) -> bool:
        """Whether a thread that nobody waits for any more is still in it."""
        return self._inside.locked()

    def take(self) -> None:
        with self._inside:
            try:
                self._made.append(owned_part(next(self._items)))
            except StopIteration:
                self.is_over = True
        if self.left:
            self.close()

    def item(self) -> Any:
        return self._made.pop()

    def close(self) -> None:
        close = getattr(self._items, "close", None)
        with self._inside:
            if close is not None:
                close()
