"""Whether what a step depends on is ready: a server, asked again and again by a task of the open step; a model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol

import trio

from pipeline.engine.failure import bare
from pipeline.errors import told
from pipeline.observe import ModelTurned, RemoteTurned
from pipeline.steps.meanwhile import meanwhile

Ask = Callable[[], Awaitable[str | None]]
"""Why the other side is not ready, None where it is. One that raises says no, and is asked again as any other."""

# Kubernetes probes pods every 10 s and gives up after 1 s; a caller in front notices a second.
_INTERVAL, _PATIENCE = 1.0, 2.0
# One that is not ready is asked soon, since it may be starting, and then ever more seldom, since it may be gone.
_SOON, _SELDOM = 0.25, 5.0


class Readiness(Protocol):
    """What may be ready or not while a step is open, as it is known now. Belongs to the loop."""

    on_change: Callable[[], None] | None
    """Called right where it changed."""

    @property
    def ready(self) -> bool: ...
    @property
    def reason(self) -> str | None:
        """Why it is not ready, for the log; None where it is."""
        ...

    @property
    def is_there(self) -> bool:
        """Whether all is there that is needed, ready or not."""
        ...

    @property
    def asks(self) -> bool:
        """Whether ``look`` asks anybody."""
        ...

    @property
    def turned(self) -> type[RemoteTurned | ModelTurned]:
        """What is told of a change."""
        ...

    def told(self, step: str) -> str | None:
        """What a caller is told of it, where that is more than that the model is not ready."""
        ...

    async def look(self) -> None:
        """Asks who answers for itself, for two seconds at most, once for all who ask meanwhile.

        Cancelled, the next of them asks, and what was known is known on.
        """
        ...


class Watched:
    """A server that is asked all the time."""

    turned = RemoteTurned
    asks = False

    def __init__(self) -> None:
        self.reason: str | None = "it was not asked yet"
        self.on_change: Callable[[], None] | None = None

    @property
    def ready(self) -> bool:
        return self.reason is None

    @property
    def is_there(self) -> bool:
        """A server that is not ready is as good as none."""
        return self.ready

    def told(self, step: str) -> str:
        return f'The server that step "{step}" calls is not ready.'

    async def look(self) -> None:
        """Nothing to do: a task of its own asks."""

    def set(self, reason: str | None) -> None:
        changed = (reason is None) != self.ready
        self.reason = reason
        if changed and self.on_change is not None:
            self.on_change()


class Health:
    """Whether a model takes requests, by its own word: a flag that its code may flip, or what it answers when asked.

    ``ask``: its author's own, of which the last answer counts. One that raises, or has none in time, says no.
    """

    turned = ModelTurned

    def __init__(self, flag: Callable[[], bool], ask: Ask | None) -> None:
        self._flag = flag
        self._ask = ask
        self._answer: str | None = None
        # Set once who asks has an answer or has left; and how many answers there were.
        self._asking: trio.Event | None = None
        self._answers = 0
        self.on_change: Callable[[], None] | None = None

    @property
    def ready(self) -> bool:
        return self._flag() if self._ask is None else self._answer is None

    @property
    def reason(self) -> str | None:
        return self._answer or (None if self.ready else "its ready is False")

    @property
    def is_there(self) -> bool:
        """A model is there once it is loaded, healthy or not."""
        return True

    def told(self, step: str) -> str | None:
        """KServe says no more than that it is not ready."""
        return None

    @property
    def asks(self) -> bool:
        return self._ask is not None

    async def look(self) -> None:
        """Asks its own ``healthy``, where it has one. Cancelled, that is cancelled, and the next who waits asks."""
        if self._ask is None:
            return
        answers = self._answers
        while self._asking is not None:
            await self._asking.wait()
            if self._answers != answers:
                return
        asking = self._asking = trio.Event()
        try:
            reason = await _asked(self._ask)
            self._answers += 1
        finally:
            self._asking = None
            asking.set()
        before, self._answer = self.ready, reason
        if self.ready != before and self.on_change is not None:
            self.on_change()


class Both:
    """A model's own word, and the server that it counts on."""

    def __init__(self, health: Health, server: Watched) -> None:
        self._health = health
        self._server = server
        self.on_change: Callable[[], None] | None = None
        health.on_change = server.on_change = self._changed

    @property
    def ready(self) -> bool:
        return self._server.ready and self._health.ready

    @property
    def is_there(self) -> bool:
        return self._server.is_there and self._health.is_there

    @property
    def reason(self) -> str | None:
        return self._server.reason or self._health.reason

    @property
    def turned(self) -> type[RemoteTurned | ModelTurned]:
        return ModelTurned if self._server.ready and not self._health.ready else RemoteTurned

    def told(self, step: str) -> str | None:
        return self._health.told(step) if self._server.ready else self._server.told(step)

    @property
    def asks(self) -> bool:
        return self._health.asks

    async def look(self) -> None:
        """Asks the model, as ``Health.look``; the server is asked all the time."""
        await self._health.look()

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()


class Standing:
    """What the steps of an open model depend on, by step."""

    def __init__(self) -> None:
        self._known: dict[str, Readiness] = {}
        self._asked: list[Readiness] = []
        self.depends = False
        """Whether there is any: every request asks, and most models depend on nothing."""
        self.asks = False
        """Whether some answer for themselves."""

    def add(self, step: str, readiness: Readiness) -> None:
        self._known[step] = readiness
        self.depends = True
        if readiness.asks:
            self._asked.append(readiness)
            self.asks = True

    def heard(self, turned: Callable[[str, Readiness], None]) -> None:
        """Tells of each that changes from now on, and of those that are not ready now."""
        for step, readiness in self._known.items():
            readiness.on_change = partial(turned, step, readiness)
            if not readiness.ready:
                turned(step, readiness)

    @property
    def ready(self) -> bool:
        return all(readiness.ready for readiness in self._known.values())

    @property
    def is_there(self) -> bool:
        """Whether all is there that is needed, whatever a model says of its health: that shows on it alone."""
        return all(readiness.is_there for readiness in self._known.values())

    @property
    def told(self) -> str | None:
        """What a caller is told of the first that is not ready."""
        return next((own.told(step) for step, own in self._known.items() if not own.ready), None)

    async def look(self) -> None:
        """Asks those that answer for themselves, beside each other. Cancelled, what was known is known on."""
        if len(self._asked) <= 1:
            # Most often; a nursery takes as long as the rest of a small request.
            for readiness in self._asked:
                await readiness.look()
            return
        try:
            async with trio.open_nursery() as nursery:
                for readiness in self._asked:
                    nursery.start_soon(readiness.look)
        except BaseException as error:  # noqa: BLE001  # it is raised again, without the nursery's group around it
            raise bare(error) from None


@asynccontextmanager
async def watched(ask: Ask) -> AsyncIterator[Watched]:
    """Asks once before it goes on, and then until the context ends. Cancelled, the task that asks has ended."""
    known = Watched()
    known.set(await _asked(ask))
    async with meanwhile(partial(_watch, ask, known)):
        yield known


async def _watch(ask: Ask, known: Watched) -> None:
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
    return f"no answer within {_PATIENCE:g} s"
