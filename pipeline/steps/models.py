"""A ``run`` step whose class is a ``Model``, or that is one: what it takes, and the model behind it, opened.

It reads the request as it was sent. One that reads another step sees what that gave (docs/adr/027).
"""

from __future__ import annotations

import functools
import math
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeGuard

from pipeline.code.annotations import parameters_of
from pipeline.engine.limit import Limit
from pipeline.graph.interface import Interface
from pipeline.graph.source import Fault
from pipeline.graph.spec import StepSpec
from pipeline.graph.words import HANDLES
from pipeline.hooks import Manner, manner_of
from pipeline.model import Model, has_own
from pipeline.steps.catalog import Call, Home, harmless
from pipeline.steps.course import Course, reads_as_sent
from pipeline.steps.life import Life, lived
from pipeline.steps.predictor import predictors
from pipeline.steps.predictor_health import predictor_watched
from pipeline.steps.readiness import Both, Health
from pipeline.tensors.signature import Signature
from pipeline.threads import in_own_thread

# What a class may call the parameter that is given the name of the graph.
_NAMES = ("name", "model_name")
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
    """The model, made where the step has a class; alive until the end, and on while other steps hold it open.

    Its synchronous code runs in threads. Raises ModelNotReady where ``load`` says no, or what its code raises.
    Cancelled while it opens or after, as ``lived``.
    """
    async with AsyncExitStack() as stack:
        loop = None
        if (step.where or target.dialect.place) == "asyncio":
            from pipeline.engine.asyncio_loop import asyncio_loop  # noqa: PLC0415  # few graphs need asyncio at all

            loop = await stack.enter_async_context(asyncio_loop())
        model = await _made(step, home, target) if isinstance(target, type) else target
        life = await stack.enter_async_context(lived(step.name, model, loop))
        signature = await _signature(life)
        where = await stack.enter_async_context(predictors(step.name, model, loop))
        # One at a time whatever names the model has; who sets a limit says that it stands more.
        turns = life.turns if step.limit is None else Limit(f"Step {step.name}", step.limit, math.inf)
        course = Course(step, model, signature, loop, turns)
        # What `load` puts in the place of a hook counts too.
        blocking = is_blocking(target) and is_blocking(model)
        call = course.blocking if blocking else course.awaited
        health = Health(lambda: model.ready, life.why_not_healthy if has_own(model, "healthy") else None)
        server = await stack.enter_async_context(predictor_watched(model))
        readiness = health if server is None else Both(health, server)
        yield Call(
            call,
            blocking=blocking,
            signature=signature,
            readiness=readiness,
            where=where,
            limited=course.limited,
            turns=life.turns.tokens if blocking else None,
        )


async def _made(step: StepSpec, home: Home, target: type[Model]) -> Model:
    params: Mapping[str, Any] = step.option("params", {})
    named: dict[str, Any] = {name: home.model for name in names_of(target) if name not in params}
    with harmless(f'__init__ of step "{step.name}"'):
        return await in_own_thread(functools.partial(target, **named, **params))


async def _signature(life: Life) -> Signature:
    """What it tells of its inputs and outputs. What it tells wrongly is unknown, and told in the log."""
    inputs, outputs = await life.types("get_input_types"), await life.types("get_output_types")
    return Signature(inputs=inputs, outputs=outputs)
