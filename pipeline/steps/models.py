"""A ``run`` step whose class is a ``Model``, or that is one: what it takes, and its life from ``load`` to ``stop``.

It reads the request as it was sent. One that reads another step sees what that gave (docs/adr/027).
"""

from __future__ import annotations

import functools
import inspect
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeGuard

import trio

from pipeline.code.annotations import parameters_of
from pipeline.errors import Code, ModelNotReady, retold, told
from pipeline.graph.interface import Interface
from pipeline.graph.source import Fault
from pipeline.graph.spec import StepSpec
from pipeline.graph.words import HANDLES
from pipeline.hooks import Manner, manner_of
from pipeline.model import Model, has_own
from pipeline.steps.catalog import CLOSE_SECONDS, Call, Home, harmless
from pipeline.steps.course import Course, reads_as_sent
from pipeline.steps.meanwhile import meanwhile
from pipeline.steps.metadata import specs_of
from pipeline.steps.predictor import predictors
from pipeline.steps.predictor_health import predictor_watched
from pipeline.steps.readiness import Both, Health
from pipeline.tensors.signature import Signature
from pipeline.threads import in_own_thread

if TYPE_CHECKING:
    from pipeline.engine.asyncio_loop import AsyncioLoop

_LOG = logging.getLogger("pipeline_serve")
# What a class may call the parameter that is given the name of the graph.
_NAMES = ("name", "model_name")
_LEFT_UNREADY = "its load left self.ready False; load sets self.ready = True, whatever it returns"
_HOOKS = ("preprocess", "validate", "postprocess")


def is_model(target: Any) -> TypeGuard[Model | type[Model]]:
    """Whether what a step runs is a Model, or a class of them."""
    return isinstance(target, Model) or (isinstance(target, type) and issubclass(target, Model))


def names_of(target: Any) -> Collection[str]:
    """The parameters of what a step runs that are given the graph's name where its params say nothing."""
    if not (is_model(target) and isinstance(target, type)):
        return ()
    parameters = parameters_of(target)
    # What takes any keyword hands it on to the class above it, which takes a name.
    hands_on = any(own.kind is own.VAR_KEYWORD for own in parameters.values())
    return [name for name in _NAMES if name in parameters][:1] or (["name"] if hands_on else [])


def describe(step: StepSpec, target: Model | type[Model], faults: list[Fault]) -> Interface:
    """A Model takes what it gets, and nobody knows what it gives. Its instance is not made yet."""
    if not isinstance(target, type) and step.option("params"):
        message = (
            f'step "{step.name}": params are for a class, and {target.name or "this"} is a Model that is made already'
        )
        faults.append(Fault(step.at("params"), message))
    for name in step.handles:
        message = (
            f'step "{step.name}": handle "{name}" can reach no hook of a Model; a function or another class takes it'
        )
        faults.append(Fault(step.at(f"{HANDLES}.{name}"), message))
    blocking = is_blocking(target)
    whole = reads_as_sent(step)
    return Interface(
        parameters=(),
        gives=None,
        blocking=blocking,
        limit=1 if blocking else None,
        # Under KServe nobody is turned away; the graph's own limit bounds who waits.
        queue=math.inf,
        takes_rest=not whole,
        reads_request=whole,
        keeps_state=blocking,
        takes_bytes=whole,
        explains=_explains(step, target),
    )


def is_blocking(target: Model | type[Model]) -> bool:
    """Whether all its hooks are synchronous, and none is a generator: such a model is one trip to a thread."""
    if has_own(target, "__call__"):
        return manner_of(target.__call__) is Manner.BLOCKING
    explain = ["explain"] if has_own(target, "explain") or target.explainer_host else []
    hooks = ["predict", *explain, *(name for name in _HOOKS if has_own(target, name))]
    return all(manner_of(getattr(target, name)) is Manner.BLOCKING for name in hooks)


def _explains(step: StepSpec, target: Model | type[Model]) -> bool:
    host = target.explainer_host or dict(step.option("params", {})).get("explainer_host")
    return has_own(target, "explain") or has_own(target, "__call__") or bool(host)


@asynccontextmanager
async def open_model(step: StepSpec, home: Home, target: Model | type[Model]) -> AsyncIterator[Call]:
    """The model, made where the step has a class, loaded and started; stopped at the end.

    Its synchronous code runs in threads. Raises ModelNotReady where ``load`` says no, or what its code raises.
    Cancelled while loading, a synchronous ``load`` ends by itself, and as one that fails it is not stopped; else
    ``stop`` gets a few seconds, cancelled or not.
    """
    async with AsyncExitStack() as stack:
        loop = None
        if (step.where or target.dialect.place) == "asyncio":
            from pipeline.engine.asyncio_loop import asyncio_loop  # noqa: PLC0415  # few graphs need asyncio at all

            loop = await stack.enter_async_context(asyncio_loop())
        model = await _made(step, home, target) if isinstance(target, type) else target
        life = _Life(step.name, model, loop)
        await life.load()
        stack.push_async_callback(life.stop)
        await life.start()
        if model.engine:
            await stack.enter_async_context(meanwhile(life.run_engine))
        signature = await _signature(life)
        where = await stack.enter_async_context(predictors(step.name, model, loop))
        course = Course(step, model, signature, loop, step.limit or 1)
        # What `load` puts in the place of a hook counts too.
        blocking = is_blocking(target) and is_blocking(model)
        call = course.blocking if blocking else course.awaited
        health = Health(lambda: model.ready, life.why_not_healthy if has_own(model, "healthy") else None)
        server = await stack.enter_async_context(predictor_watched(model))
        readiness = health if server is None else Both(health, server)
        yield Call(
            call, blocking=blocking, signature=signature, readiness=readiness, where=where, limited=course.limited
        )


async def _made(step: StepSpec, home: Home, target: type[Model]) -> Model:
    params: Mapping[str, Any] = step.option("params", {})
    named: dict[str, Any] = {name: home.model for name in names_of(target) if name not in params}
    with harmless(f'__init__ of step "{step.name}"'):
        return await in_own_thread(functools.partial(target, **named, **params))


async def _signature(life: _Life) -> Signature:
    """What it tells of its inputs and outputs. What it tells wrongly is unknown, and told in the log."""
    inputs, outputs = await life.types("get_input_types"), await life.types("get_output_types")
    return Signature(inputs=inputs, outputs=outputs)


class _Life:
    """The hooks of a model that are no part of a request, each where it belongs."""

    def __init__(self, step: str, model: Model, loop: AsyncioLoop | None) -> None:
        self._step = step
        self._model = model
        self._loop = loop
        # One that hangs is the only one: the next waits for its end, as long as it is waited for itself.
        self._probe = trio.CapacityLimiter(1)

    async def load(self) -> None:
        """Loads it, where it is not ready yet. Raises ModelNotReady where that is what it says, or what it raises."""
        if self._model.ready:
            return
        with harmless(f'load of step "{self._step}"'):
            answer = await self._begun(self._model.load)
        if answer is False or not self._model.ready:
            why = "its load returned False" if answer is False else _LEFT_UNREADY
            told = ModelNotReady(self._model.name).message
            raise retold(ModelNotReady, Code.UNAVAILABLE, told, internals=why)

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
        """``stop``, and ``stop_engine`` where there is one; each gets a few seconds, cancelled or not."""
        stops = [("stop", self._model.stop)]
        if self._model.engine:
            stops.append(("stop_engine", self._model.stop_engine))
        for name, stop in stops:
            patience = trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_SECONDS)
            with patience, harmless(f'{name} of step "{self._step}"'):
                await self._called(stop)

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
