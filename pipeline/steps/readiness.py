"""Whether what a step depends on is ready: a server, asked again and again by a task of the open step; a model."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import trio

from pipeline.errors import told
from pipeline.observe import ModelTurned, RemoteTurned
from pipeline.steps.meanwhile import meanwhile

Ask = Callable[[], Awaitable[str | None]]
"""Why the other side is not ready, None where it is. One that raises says no, and is asked again as any other."""

# Kubernetes probes pods every 10 s and gives up after 1 s; a caller in front notices a second.
_INTERVAL, _PATIENCE = 1.0, 2.0
# One that is not ready is asked soon, since it may be starting, and then ever more seldom, since it may be gone.
_SOON, _SELDOM = 0.25, 5.0


class Readiness:
    """What is known now. ``reason``: why it is not ready, for the log; None where it is."""

    turned = RemoteTurned

    def __init__(self) -> None:
        self.reason: str | None = "it was not asked yet"
        self.on_change: Callable[[], None] | None = None
        """Called in the loop, right where it changed."""

    @property
    def ready(self) -> bool:
        return self.reason is None

    def told(self, step: str) -> str:
        """What a caller is told of it."""
        return f'The server that step "{step}" calls is not ready.'

    async def look(self, _: float = 0) -> None:
        """Nothing to do: it is looked at all the time."""

    def set(self, reason: str | None) -> None:
        changed = (reason is None) != self.ready
        self.reason = reason
        if changed and self.on_change is not None:
            self.on_change()


class Health:
    """Whether a model takes requests, by its own word: a flag that its code may flip, or what it answers when asked.

    ``ask``: its author's own; ``reason`` is what came of it last. One that raises, or has no answer in time, says no.
    """

    turned = ModelTurned

    def __init__(self, flag: Callable[[], bool], ask: Ask | None) -> None:
        self._flag = flag
        self._ask = ask
        self.reason: str | None = None
        self.on_change: Callable[[], None] | None = None

    @property
    def ready(self) -> bool:
        return self._flag() if self._ask is None else self.reason is None

    def told(self, step: str) -> str | None:
        """KServe says no more than that it is not ready."""
        return None

    async def look(self, seconds: float = math.inf) -> None:
        """Asks it, where there is somebody to ask, for so long at most. Cancelled, what was known is known on."""
        if self._ask is None:
            return
        reason = await _asked(self._ask, min(seconds, _PATIENCE))
        before, self.reason = self.ready, reason
        if self.ready != before and self.on_change is not None:
            self.on_change()


Ready = Readiness | Health
"""What may be ready or not while a step is open."""


@asynccontextmanager
async def watched(ask: Ask) -> AsyncIterator[Readiness]:
    """Asks once before it goes on, and then until the context ends. Cancelled, the task that asks has ended."""
    known = Readiness()
    known.set(await _asked(ask))
    async with meanwhile(partial(_watch, ask, known)):
        yield known


async def _watch(ask: Ask, known: Readiness) -> None:
    pause = _SOON
    while True:
        if known.ready:
            pause = _SOON
            await trio.sleep(_INTERVAL)
        else:
            await trio.sleep(pause)
            pause = min(2 * pause, _SELDOM)
        known.set(await _asked(ask))


async def _asked(ask: Ask, seconds: float = _PATIENCE) -> str | None:
    with trio.move_on_after(seconds):
        try:
            return await ask()
        except Exception as error:  # noqa: BLE001  # it would close the open model, for a question about another one
            return f"asking failed with {told(error)}"
    return f"no answer within {seconds:g} s"
