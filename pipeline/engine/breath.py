"""Turns for others, in code of a loop that need not wait for anything."""

from __future__ import annotations

from time import perf_counter

import trio

# What a tick of others may wait for: a probe, a deadline, a client that leaves.
_SLICE = 0.001


class Breath:
    """A checkpoint where the last one is some time ago; one on every call of microseconds would double its cost."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = perf_counter()

    async def take(self) -> None:
        """Cancelled, it raises at once, whenever the last turn was."""
        if perf_counter() - self._last < _SLICE:
            await trio.lowlevel.checkpoint_if_cancelled()
        else:
            await trio.lowlevel.checkpoint()
            self._last = perf_counter()
