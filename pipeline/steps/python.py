"""``run``: a function, an async function, or a class of the user's own; a Model is for ``models.py``."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from pipeline.code.annotations import parameters_of
from pipeline.code.bind import Many, One, binder
from pipeline.code.load import NotLoaded
from pipeline.code.signature import BadSignature, Signature, gives, signature_of
from pipeline.engine.step import Context
from pipeline.errors import WrongAnswer
from pipeline.graph.interface import Interface
from pipeline.graph.source import Fault
from pipeline.graph.spec import StepSpec
from pipeline.graph.words import HANDLES, later, meant, near
from pipeline.steps import models
from pipeline.steps.catalog import CLOSE_SECONDS, Call, Home, harmless
from pipeline.steps.cores import cores
from pipeline.tensors.answer import values_of
from pipeline.tensors.forms import Bound, Form
from pipeline.tensors.own import owned
from pipeline.tensors.signature import TensorSpec, as_declared, disagreement
from pipeline.tensors.tensor import Value
from pipeline.threads import in_own_thread

if TYPE_CHECKING:
    from pipeline.engine.asyncio_loop import AsyncioLoop

Values = Callable[[str, Any], Mapping[str, Value]]
"""What a step of that name returned, as values by name."""

KEYS = {"run": ("params", "handles")}


def schema() -> Mapping[str, Any]:
    """The JSON Schema of each word, for editors."""
    return {
        "run": {"$ref": "#/$defs/function"},
        "params": {
            "type": "object",
            "description": "Keyword arguments of the class, or of the function's own parameters",
        },
    }


def describe(step: StepSpec, home: Home, faults: list[Fault]) -> Interface | None:
    """Loads the user's code (its top level runs) and reads its signature; what is wrong is appended to ``faults``."""
    target = _target(step, home, faults)
    if target is None:
        return None
    if models.is_model(target):
        if isinstance(target, type):
            _params(step, target, faults)
        return models.describe(step, target, faults)
    params = _params(step, target, faults)
    signature = _signature(step, target, params, faults)
    if signature is None:
        return None
    handles = _heard(step, target, params, signature, faults)
    is_async = _is_async(target)
    # A class may keep state on self, and nothing tells whether it guards it; functions share nothing by themselves.
    keeps_state = not is_async and _has_state(target)
    return Interface(
        parameters=tuple(own for own in signature.parameters if own.name not in handles),
        gives=gives(step.name, signature),
        blocking=not is_async,
        limit=None if is_async else 1 if keeps_state else cores(),
        takes_rest=signature.rest,
        reads_request=signature.reads_request,
        keeps_state=keeps_state,
        named_parameters=True,
    )


@asynccontextmanager
async def open_step(step: StepSpec, home: Home) -> AsyncIterator[Call]:
    """The user's function, or an instance of the user's class, loaded and bound; closed at the end.

    ``__init__``, ``load`` and ``close`` run in a thread where they are synchronous, else where the step does. Raises
    what they raise. Cancelled while loading, a synchronous ``load`` ends by itself; ``close`` gets a few seconds even
    then.
    """
    faults: list[Fault] = []
    target = _target(step, home, faults)
    if models.is_model(target):
        async with models.open_model(step, home, target) as call:
            yield call
        return
    params = step.option("params", {})
    signature = _signature(step, target, params, faults) if target is not None else None
    if target is None or signature is None:
        raise NotLoaded(faults[0].message)
    opened = functools.partial(_call, step, signature=signature, blocking=not _is_async(target))
    async with _asyncio(step) as loop:
        if not isinstance(target, type):
            yield opened(functools.partial(target, **params) if params else target, loop=loop)
            return
        with harmless(f'__init__ of step "{step.name}"'):
            instance = await in_own_thread(functools.partial(target, **params))
        try:
            with harmless(f'load of step "{step.name}"'):
                await _hook(instance, "load", loop)
            yield opened(instance, loop=loop)
        finally:
            patience = trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_SECONDS)
            with patience, harmless(f'close of step "{step.name}"'):
                await _hook(instance, "close", loop)


@asynccontextmanager
async def _asyncio(step: StepSpec) -> AsyncIterator[AsyncioLoop | None]:
    """The loop of asyncio, held while the step is open, where that is its place."""
    if step.where != "asyncio":
        yield None
        return
    from pipeline.engine.asyncio_loop import asyncio_loop  # noqa: PLC0415  # asyncio takes a while to import

    async with asyncio_loop() as loop:
        yield loop


async def _hook(instance: Any, name: str, loop: AsyncioLoop | None) -> None:
    hook = getattr(instance, name, None)
    if hook is None:
        return
    if not inspect.iscoroutinefunction(hook):
        await in_own_thread(hook)
    elif loop is None:
        await hook()
    else:
        await loop.run(hook)


def _target(step: StepSpec, home: Home, faults: list[Fault]) -> Any:
    if callable(step.target):
        return step.target
    if not isinstance(step.target, str):
        faults.append(Fault(step.at("run"), f'step "{step.name}": run is file.py:name or package.module:name'))
        return None
    try:
        found = home.code.load(step.target, home.folder)
    except NotLoaded as error:
        faults.append(Fault(step.at("run"), f'step "{step.name}": {error}'))
        return None
    if not callable(found):
        message = f'step "{step.name}": {step.target} is a {type(found).__name__}; a step is a function or a class'
        faults.append(Fault(step.at("run"), message))
        return None
    return found


def _params(step: StepSpec, target: Any, faults: list[Fault]) -> Mapping[str, Any]:
    """The step's params, checked against what takes them: ``__init__`` of a class, else the function itself."""
    params = step.option("params", {})
    if not isinstance(params, Mapping):
        faults.append(Fault(step.at("params"), f'step "{step.name}": params is a map of keyword arguments'))
        return {}
    taker = "__init__ of its class" if isinstance(target, type) else "its function"
    try:
        parameters = parameters_of(target)
    except (TypeError, ValueError):
        return params
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    names = [name for name, own in parameters.items() if own.kind in by_name]
    takes_any = any(own.kind is own.VAR_KEYWORD for own in parameters.values())
    unknown = [] if takes_any else [name for name in params if name not in names]
    for name in unknown:
        message = f'step "{step.name}": {taker} has no parameter "{name}"{meant(name, names)}'
        faults.append(Fault(step.at(f"params.{name}"), message))
    for name in () if isinstance(target, type) else step.handles:
        if name in params:
            message = f'step "{step.name}": "{name}" is a handle and one of its params; name the handle otherwise'
            faults.append(Fault(step.at(f"{HANDLES}.{name}"), message))
    # A misspelt name is one mistake: it is not missing as well.
    given = {*params, *(near(name, names) for name in unknown), *models.names_of(target)}
    for name in names if isinstance(target, type) else ():
        if parameters[name].default is inspect.Parameter.empty and name not in given:
            message = f'step "{step.name}": {taker} needs "{name}"; give it under params'
            faults.append(Fault(step.at("params"), message))
    return params


def _signature(step: StepSpec, target: Any, params: Mapping[str, Any], faults: list[Fault]) -> Signature | None:
    called = _called(target)
    what = f'step "{step.name}": {step.target if isinstance(step.target, str) else getattr(target, "__name__", target)}'
    if called is None:
        faults.append(Fault(step.at("run"), f"{what} is a class without __call__; that is what a request runs"))
        return None
    if inspect.isasyncgenfunction(called) or inspect.isgeneratorfunction(called):
        faults.append(Fault(step.at("run"), later(f"{what} is a generator; a step that streams")))
        return None
    try:
        if isinstance(target, type):
            return signature_of(called, handles=frozenset(step.handles), skip=1)
        return signature_of(target, bound=frozenset(params), handles=frozenset(step.handles))
    except BadSignature as error:
        faults.append(Fault(step.at("run"), f"{what} cannot be bound: {error}"))
        return None


def _heard(
    step: StepSpec, target: Any, params: Mapping[str, Any], signature: Signature, faults: list[Fault]
) -> Collection[str]:
    """The parameters that misspelt handles were meant for. A handle that nothing can receive is a fault."""
    forms = {argument.parameter.name: argument.parameter.form for argument in signature.arguments}
    if signature.rest or Form.CONTEXT in forms.values():
        return ()
    fed = {*(step.inputs if isinstance(step.inputs, Mapping) else ()), *(own.name for own in step.references)}
    free = [own.name for own in signature.parameters if own.name not in fed]
    found: set[str] = set()
    for name, reference in step.handles.items():
        # One that is among the params, or that is written wrongly, is told as that.
        if name in forms or name in params or reference.guessed:
            continue
        function = step.target.rpartition(":")[2] if isinstance(step.target, str) else _named(target)
        if (meaning := near(name, free)) is not None:
            reason = f'; did you mean "{meaning}"?'
            found.add(meaning)
        else:
            reason = ", which has no Context to look for it in either: take it by name"
        message = f'step "{step.name}": handle "{name}" is no parameter of {function}{reason}'
        faults.append(Fault(step.at(f"{HANDLES}.{name}"), message))
    return found


def _named(target: Any) -> str:
    return getattr(target, "__name__", type(target).__name__)


def _called(target: Any) -> Callable[..., Any] | None:
    """The function that runs per request."""
    if isinstance(target, type):
        return target.__call__ if "__call__" in dir(target) and not _is_metaclass_call(target) else None
    if isinstance(target, functools.partial):
        return _called(target.func)
    if inspect.isroutine(target):
        # What a decorator's wrapper is, it is; one that is no coroutine function answers with what it wraps.
        function: Callable[..., Any] = target if inspect.iscoroutinefunction(target) else inspect.unwrap(target)
        return function
    called: Callable[..., Any] = type(target).__call__
    return called


def _is_metaclass_call(target: type) -> bool:
    """Every class can be called through its metaclass; what counts is a ``__call__`` of its instances."""
    return not any("__call__" in vars(base) for base in target.__mro__)


def _is_async(target: Any) -> bool:
    called = _called(target)
    return called is not None and inspect.iscoroutinefunction(called)


def _is_plain(target: Any) -> bool:
    """Callables that keep nothing between calls though they are no functions: partials and numpy's ufuncs."""
    return isinstance(target, functools.partial) or type(target).__module__.partition(".")[0] == "numpy"


def _has_state(target: Any) -> bool:
    """Whether it is an object, or a class of such, that may keep something between calls."""
    return not inspect.isroutine(target) and not _is_plain(target)


def _call(
    step: StepSpec, function: Callable[..., Any], *, signature: Signature, blocking: bool, loop: AsyncioLoop | None
) -> Call:
    name = step.name
    values: Values = values_of if signature.returns is None else functools.partial(_held, signature.returns)
    if step.detached:
        values = functools.partial(_unread, values)
    elif _has_state(function):
        values = _owning(values)
    match binder(step, signature):
        case One(argument):

            def run_one(inputs: Mapping[str, Bound], context: Context) -> Mapping[str, Value]:
                return values(name, function(argument(inputs, context)))

            async def await_one(inputs: Mapping[str, Bound], context: Context) -> Mapping[str, Value]:
                return values(name, await function(argument(inputs, context)))

            return Call(run_one if blocking else await_one, blocking=blocking, loop=loop)
        case Many(arguments):

            def run_many(inputs: Mapping[str, Bound], context: Context) -> Mapping[str, Value]:
                positional, keyword = arguments(inputs, context)
                return values(name, function(*positional, **keyword))

            async def await_many(inputs: Mapping[str, Bound], context: Context) -> Mapping[str, Value]:
                positional, keyword = arguments(inputs, context)
                return values(name, await function(*positional, **keyword))

            return Call(run_many if blocking else await_many, blocking=blocking, loop=loop)


def _owning(values: Values) -> Values:
    """The same for an object that may keep what it returns: the values are the request's own."""

    # No partial: that would hold the answer until it has returned, and so seem to keep it.
    def own(step: str, answer: Any) -> Mapping[str, Value]:
        found = values(step, answer)
        del answer
        return owned(found)

    return own


def _unread(values: Values, step: str, answer: Any) -> Mapping[str, Value]:
    """Nothing: nobody reads it, and most such steps return None. What is no answer of a step is refused all the same.

    It may be a coroutine that its author forgot to await.
    """
    if answer is not None:
        values(step, answer)
    return {}


def _held(spec: TensorSpec, step: str, answer: Any) -> Mapping[str, Value]:
    """The answer of a step that declares what it returns. Raises WrongAnswer where it is something else."""
    values = {name: as_declared(spec, value) for name, value in values_of(step, answer).items()}
    reason = disagreement(spec, values[step], {}) if step in values else f"expected {spec}, got {', '.join(values)}"
    if reason is not None:
        raise WrongAnswer(f'step "{step}" declares its result: {reason}')
    return values
