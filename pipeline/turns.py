"""Whose turn it is, by name."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import trio


class Turns:
    """One at a time for each name, in order of asking. It knows only names that somebody has, or waits for."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[trio.Event]] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    @asynccontextmanager
    async def of(self, name: str) -> AsyncIterator[None]:
        """Cancelled while it waits, it leaves the line."""
        line = self._lines.setdefault(name, deque())
        own = trio.Event()
        line.append(own)
        try:
            if line[0] is not own:
                await own.wait()
            yield
        finally:
            was_first = line[0] is own
            line.remove(own)
            if not line:
                del self._lines[name]
            elif was_first:
                line[0].set()
