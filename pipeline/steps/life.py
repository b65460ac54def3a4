"""The life of a Model, from ``load`` to ``stop``: one for each model, however many steps hold it open.

A model that has several names is a step of several graphs: the first to open it loads it, the last to close it stops
it.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from pipeline.engine.limit import Limit
from pipeline.errors import ModelNotReady, told
from pipeline.model import Model, has_own
from pipeline.steps.catalog import CLOSE_SECONDS, harmless
from pipeline.steps.metadata import specs_of
from pipeline.threads import in_own_thread

if TYPE_CHECKING:
    from pipeline.engine.asyncio_loop import AsyncioLoop

_LOG = logging.getLogger("pipeline_serve")
_LEFT_UNREADY = "its load left self.ready False; load sets self.ready = True, whatever it returns"
_LIVES: trio.lowlevel.RunVar[dict[int, _Shared]] = trio.lowlevel.RunVar("the models that are open")


@asynccontextmanager
async def lived(step: str, model: Model, loop: AsyncioLoop | None) -> AsyncIterator[Life]:
    """The model, loaded and started, until the context ends; then stopped, where no other step holds it open.

    Its hooks run where they do for the first that opens it: on asyncio's ``loop``, or on this one. Raises ModelNotReady
    where ``load`` says no, or what its code raises. Cancelled while loading, a synchronous ``load`` ends by itself, and
    the model is not stopped, as one that fails is not; else ``stop`` gets a few seconds, cancelled or not.
    """
    lives = _lives()
    shared = lives.setdefault(id(model), _Shared(model))
    shared.holders += 1
    try:
        yield await shared.begun(step, loop)
    finally:
        shared.holders -= 1
        if not shared.holders:
            await shared.ended()
        # Somebody may have come while it was stopped.
        if not shared.holders:
            lives.pop(id(model), None)


def _lives() -> dict[int, _Shared]:
    try:
        return _LIVES.get()
    except LookupError:
        _LIVES.set({})
        return _LIVES.get()


class _Shared:
    """One model, and how many hold it open. Keeping the model, it keeps its ``id`` from being another's."""

    def __init__(self, model: Model) -> None:
        self.holders = 0
        self._model = model
        self._changing = trio.Lock()
        self._life: Life | None = None
        self._stack = AsyncExitStack()

    async def begun(self, step: str, loop: AsyncioLoop | None) -> Life:
        """Its life, which the first begins; where that fails, the next one tries."""
        async with self._changing:
            if self._life is None:
                life = Life(step, self._model, loop)
                async with AsyncExitStack() as stack:
                    if loop is not None:
                        from pipeline.engine.asyncio_loop import asyncio_loop  # noqa: PLC0415  # it is there already

                        # The step that opens it may be the first to close.
                        await stack.enter_async_context(asyncio_loop())
                    await life.load()
                    stack.push_async_callback(life.stop)
                    await life.start()
                    if self._model.engine:
                        stack.push_async_callback(_Engine(life.run_engine).end)
                    self._life, self._stack = life, stack.pop_all()
            return self._life

    async def ended(self) -> None:
        """Stops it, where it has begun. Nobody else is inside, and who comes now waits."""
        if self._life is None:
            return
        self._changing.acquire_nowait()
        try:
            self._life = None
            await self._stack.aclose()
        finally:
            self._changing.release()


class _Engine:
    """``start_engine``, beside the requests. A system task, since no step that holds the model open need outlive it."""

    def __init__(self, run: Callable[[], Awaitable[None]]) -> None:
        """``run`` raises no Exception."""
        self._run = run
        self._scope = trio.CancelScope()
        self._over = trio.Event()
        trio.lowlevel.spawn_system_task(self._runs, context=contextvars.copy_context())

    async def _runs(self) -> None:
        try:
            with self._scope:
                await self._run()
        finally:
            self._over.set()

    async def end(self) -> None:
        """Cancels it. Cancelled, it has ended all the same."""
        self._scope.cancel()
        with trio.CancelScope(shield=True):
            await self._over.wait()


class Life:
    """The hooks of a model that are no part of a request, each where it belongs; and its turns."""

    def __init__(self, step: str, model: Model, loop: AsyncioLoop | None) -> None:
        self._step = step
        self._model = model
        self._loop = loop
        # One that hangs is the only one: the next waits for its end, as long as it is waited for itself.
        self._probe = trio.CapacityLimiter(1)
        self.turns = Limit(f"Model {model.name}", 1, math.inf)
        """For its synchronous hooks, one of which runs at a time: they may keep what they know on the model."""

    async def load(self) -> None:
        """Loads it, where it is not ready yet. Raises ModelNotReady where that is what it says, or what it raises."""
        if self._model.ready:
            return
        with harmless(f'load of step "{self._step}"'):
            answer = await self._begun(self._model.load)
        if answer is False or not self._model.ready:
            why = "its load returned False" if answer is False else _LEFT_UNREADY
            raise ModelNotReady(self._model.name, internals=why)

    async def start(self) -> None:
        with harmless(f'start of step "{self._step}"'):
            await self._begun(self._model.start)

    async def run_engine(self) -> None:
        """Runs beside the requests; one that fails leaves a model that is not ready, and nothing else."""
        try:
            with harmless(f'start_engine of step "{self._step}"'):
                await self._called(self._model.start_engine)
        except Exception as error:  # noqa: BLE001  # it would close the open model with all its requests
            self._model.ready = False
            _LOG.error('model "%s": start_engine failed: %s', self._model.name, told(error), exc_info=error)

    async def stop(self) -> None:
        """``stop``, and ``stop_engine`` where there is one; each gets a few seconds, cancelled or not.

        From then on the model is not ready, whatever they say: nobody stops it again, and who opens it again loads it.
        """
        stops = [("stop", self._model.stop)]
        if self._model.engine:
            stops.append(("stop_engine", self._model.stop_engine))
        try:
            for name, stop in stops:
                patience = trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_SECONDS)
                with patience, harmless(f'{name} of step "{self._step}"'):
                    await self._called(stop)
        finally:
            self._model.ready = False

    async def why_not_healthy(self) -> str | None:
        return None if await self._called(self._model.healthy, self._probe) else "its healthy says no"

    async def types(self, name: str) -> Mapping[str, Any]:
        """What ``get_input_types`` or ``get_output_types`` tells, by tensor name."""
        try:
            if not has_own(self._model, name):
                return {}
            with harmless(f'{name} of step "{self._step}"'):
                return specs_of(await self._called(getattr(self._model, name)))
        except Exception as error:  # noqa: BLE001  # it is metadata: the model answers without it
            _LOG.warning('model "%s": %s is not used: %s', self._model.name, name, told(error))
            return {}

    async def _begun(self, hook: Callable[[], Any]) -> Any:
        """``load`` or ``start``, which code for asyncio expects to be called where no loop runs yet."""
        if inspect.iscoroutinefunction(hook):
            return await self._called(hook)
        return await in_own_thread(hook)

    async def _called(self, hook: Callable[[], Any], threads: trio.CapacityLimiter | None = None) -> Any:
        if inspect.iscoroutinefunction(hook):
            awaited: Callable[[], Awaitable[Any]] = hook
            return await (awaited() if self._loop is None else self._loop.run(awaited))
        if self._loop is not None:
            hook = functools.partial(_within, self._loop.from_threads.running, hook)
        return await in_own_thread(hook, among=threads)


def _within(context: Callable[[], AbstractContextManager[object]], hook: Callable[[], Any]) -> Any:
    with context():
        return hook()
