"""What is made when it is first wanted, for all who want it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class Late(Generic[T]):
    """Made in a thread, for it takes long: what it needs is imported then. ``made``: None until it is."""

    def __init__(self, make: Callable[[], T]) -> None:
        self.made: T | None = None
        self._make = make
        self._turn = trio.Lock()

    async def get(self) -> T:
        """Cancelled while it is made, that is finished all the same, and who asks next has it."""
        if self.made is None:
            async with self._turn:
                if self.made is None:
                    self.made = await trio.to_thread.run_sync(self._make, limiter=trio.CapacityLimiter(1))
        return self.made
