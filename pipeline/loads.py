"""The loads that were asked for: one at a time for each name, in order of asking, until they end or are ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import trio

from pipeline.errors import InferError, ModelNotReady, ServerNotReady
from pipeline.turns import Turns


class Load:
    """One of them; ``error`` is its answer, None where all went well."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.begun = False
        self.answered = trio.Event()
        self.error: InferError | None = ServerNotReady("Server is not ready. It stopped before the model was loaded.")
        self.scope = trio.CancelScope()

    @property
    def ended(self) -> bool:
        """Whether nobody wants it any more."""
        return self.scope.cancel_called

    def end(self) -> None:
        """Begun or not, it comes to nothing."""
        self.scope.cancel()


class Loads:
    """Name → its loads, for as long as they are not over."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._asked: dict[str, list[Load]] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._asked)

    def __contains__(self, name: object) -> bool:
        return name in self._asked

    def ask(self, name: str) -> Load:
        """A new one, from now on to be ended by ``end``. Who asks goes on to its ``turn``."""
        load = Load(name)
        self._asked.setdefault(name, []).append(load)
        return load

    def end(self, name: str) -> None:
        """Those of that name, also those whose turn has not come: whoever asks from now on comes after."""
        for load in self._asked.pop(name, ()):
            load.end()

    @asynccontextmanager
    async def turn(self, load: Load) -> AsyncIterator[None]:
        """The name is this load's alone. Raises ModelNotReady where it is ended, with what is inside cancelled.

        Cancelled, it leaves the line.
        """
        try:
            with load.scope:
                async with self._turns.of(load.name):
                    load.begun = True
                    yield
        finally:
            self._over(load)
        if load.ended:
            raise ModelNotReady(load.name, "It was unloaded while it was loading.")

    def _over(self, load: Load) -> None:
        if load in (asked := self._asked.get(load.name, [])):
            asked.remove(load)
            if not asked:
                del self._asked[load.name]
