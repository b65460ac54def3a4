"""Whether what a step depends on is ready: asked again and again, by a task that the open step owns."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import trio

from pipeline.errors import told
from pipeline.steps.meanwhile import meanwhile

Ask = Callable[[], Awaitable[str | None]]
"""Why the other side is not ready, None where it is. One that raises says no, and is asked again as any other."""

# Kubernetes probes pods every 10 s and gives up after 1 s; a caller in front notices a second.
_INTERVAL, _PATIENCE = 1.0, 2.0
# One that is not ready is asked soon, since it may be starting, and then ever more seldom, since it may be gone.
_SOON, _SELDOM = 0.25, 5.0


class Readiness:
    """What is known now. ``reason``: why it is not ready, for the log; None where it is."""

    def __init__(self) -> None:
        self.reason: str | None = "it was not asked yet"
        self.on_change: Callable[[], None] | None = None
        """Called in the loop, right where it changed."""

    @property
    def ready(self) -> bool:
        return self.reason is None

    def set(self, reason: str | None) -> None:
        changed = (reason is None) != self.ready
        self.reason = reason
        if changed and self.on_change is not None:
            self.on_change()


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


async def _asked(ask: Ask) -> str | None:
    with trio.move_on_after(_PATIENCE):
        try:
            return await ask()
        except Exception as error:  # noqa: BLE001  # it would close the open model, for a question about another one
            return f"asking failed with {told(error)}"
    return f"no answer within {_PATIENCE:.0f} s"
