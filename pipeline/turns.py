"""Whose turn it is, by name; and what becomes of what somebody asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from pipeline.errors import InferError, ServerNotReady


class Turns:
    """One at a time for each name, in order of asking. It knows only names that somebody has, or waits for."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[trio.Event]] = {}

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


class Asked:
    """One load that somebody asked for; ``error`` is its answer, None where all went well."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.begun = False
        self.answered = trio.Event()
        self.error: InferError | None = ServerNotReady("Server is not ready. It stopped before the model was loaded.")
