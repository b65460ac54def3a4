"""One request's way through the hooks of an open model: where each of them runs, and what its answer is.

Async hooks are awaited on the loop, or on asyncio's; synchronous ones run in a thread, one at a time.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from pipeline.engine.blame import Blame
from pipeline.engine.limit import Limit
from pipeline.engine.place import part_in_thread
from pipeline.engine.step import Context
from pipeline.engine.thread_pool import ThreadPool
from pipeline.graph.spec import REQUEST, StepSpec
from pipeline.graph.words import VERBS
from pipeline.hooks import Headers, Hop, Manner, Ran, hops_of
from pipeline.model import Model, hooks_of, verb_of
from pipeline.steps.predictor import asked_for
from pipeline.steps.streams import from_thread
from pipeline.tensors.forms import Bound, describe
from pipeline.tensors.message import InferRequest
from pipeline.tensors.own import handed_on, owned
from pipeline.tensors.signature import Signature
from pipeline.tensors.tensor import Json, Raw, Tensor, Value

if TYPE_CHECKING:
    from pipeline.engine.asyncio_loop import AsyncioLoop

_NOTHING: Mapping[str, Value] = {}


class Course:
    """How an open model answers. ``loop``: asyncio's, where its async hooks run there; None for this one.

    ``turns``: how many synchronous hooks may run beside each other; the graph's own limit bounds who waits.
    """

    def __init__(
        self, step: StepSpec, model: Model, signature: Signature, loop: AsyncioLoop | None, turns: Limit
    ) -> None:
        self._name = step.name
        self._detached = step.detached
        self._as_sent = reads_as_sent(step)
        self._blame = Blame(step)
        self._model = model
        self._dialect = model.dialect
        self._hops = {verb: hops_of(hooks_of(model, verb_of(verb))) for verb in VERBS}
        self._only_output = next(iter(signature.outputs)) if len(signature.outputs) == 1 else step.name
        self._loop = loop
        # Code for asyncio expects its synchronous hooks on the loop's own thread, and asks there which loop runs.
        self._asyncio_in_thread = nullcontext if loop is None else loop.from_threads.running
        self._limit: Limit | None = None
        # On the loop nothing is cancelled in the middle of synchronous code.
        self._before = trio.from_thread.check_cancelled if step.where != "loop" else lambda: None
        self._turns = turns
        self._threads = ThreadPool()

    def blocking(self, inputs: Mapping[str, Bound], context: Context) -> Mapping[str, Value]:
        """The answer of a model all of whose hooks are synchronous, in a thread."""
        request, value, headers, told, ran = self._begun(inputs, context)
        *before, last = self._hops[context.verb]
        with self._asyncio_in_thread(), asked_for(context):
            for hop in before:
                value = hop.run(value, headers, told, ran, self._before)
            found = self._answer(last.run(value, headers, told, ran, self._before), told, request, context)
            return owned(found)

    async def awaited(self, inputs: Mapping[str, Bound], context: Context) -> Mapping[str, Value]:
        """The answer. Cancelled, an async hook is cancelled; one in a thread ends by itself, and no other begins."""
        request, value, headers, told, ran = self._begun(inputs, context)

        def answered(result: Any) -> Mapping[str, Value]:
            found = self._answer(result, told, request, context)
            del result
            return owned(found)

        def run(hop: Hop, own: Callable[[Any], Any]) -> Any:
            return own(hop.run(value, headers, told, ran, self._before))

        async def awaited(hop: Hop, own: Callable[[Any], Any]) -> Any:
            return own(await hop.awaited(value, headers, told, ran))

        *before, last = self._hops[context.verb]
        # What a hook gave is the request's own before the model may be called again.
        with asked_for(context):
            for hop, own in (*((hop, handed_on) for hop in before), (last, answered)):
                match hop.manner:
                    case Manner.BLOCKING:
                        value = await self._in_thread(functools.partial(run, hop, own))
                    case Manner.AWAITED if self._loop is not None:
                        value = await self._loop.run(awaited, hop, own, what=f'step "{self._name}"', limit=self._limit)
                    case Manner.AWAITED:
                        value = await awaited(hop, own)
                    case Manner.AT_ONCE:
                        value = own(hop.run(value, headers, told, ran))
        outputs: Mapping[str, Value] = value
        return outputs

    def _begun(self, inputs: Mapping[str, Bound], context: Context) -> tuple[InferRequest, Any, Headers, Headers, Ran]:
        """The request, what the first hook is given of it, its headers, those of the reply, and who hears of hooks."""
        request = self._request(inputs, context)
        return request, self._dialect.payload(request), dict(context.headers), {}, self._ran(context)

    def _ran(self, context: Context) -> Ran:
        """Hooks are phases of the request, but for those of a call by a handle, or for an item: they are within one."""
        if context.caller is not None or context.whole is not None:
            return lambda name, start, end: None
        return functools.partial(context.tally.ran, self._name)

    def limited(self, limit: Limit) -> None:
        """The limit of the step, for a hook on asyncio that goes on when its call has ended."""
        self._limit = limit

    # ---- what the model sees

    def _request(self, inputs: Mapping[str, Bound], context: Context) -> InferRequest:
        """The request as it was sent, where that is what the step reads; else one of what it is given.

        One JSON value, or bytes, is a body; tensors are the inputs of a request that has none.
        """
        if self._as_sent and context.caller is None and context.whole is None:
            return context.request
        values = {name: self._value(name, given, context) for name, given in inputs.items()}
        body, plain = None, False
        match list(values.values()):
            case [Json(value)]:
                body, plain = value, True
            case [Raw(bytes() as data)]:
                body, plain = data, True
        return msgspec.structs.replace(
            context.request, inputs=values, body=body, plain=plain, input_parameters={}, outputs=()
        )

    def _value(self, name: str, given: Bound, context: Context) -> Value:
        match given:
            case Tensor() | Json() | Raw(bytes()):
                return given
            case Raw():
                reason = "is a stream, which can be nothing but the answer of a graph"
            case _:
                reason = f"is one tensor, and it got {describe(given)}; say which one, as step.tensor"
        raise self._blame.misfit(name, given, context, reason)

    # ---- what its hooks mean

    def _answer(
        self, result: Any, told: Mapping[str, str], request: InferRequest, context: Context
    ) -> Mapping[str, Value]:
        if self._detached:
            return _NOTHING
        context.answer.headers |= {str(name).lower(): str(text) for name, text in told.items()}
        match result:
            case AsyncIterator():
                return {self._name: Raw(result if self._loop is None else self._loop.iterate(result))}
            case Iterator():
                return {self._name: Raw(from_thread(result, self._in_thread))}
        found = self._dialect.answer(result, request, context.answer)
        match found:
            case Tensor():
                return {self._only_output: found}
            case Json() | Raw():
                return {self._name: found}
        return found

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        """What the work gives, in a thread, once no other synchronous hook of the model runs."""

        def within() -> Any:
            with self._asyncio_in_thread():
                return work()

        return await part_in_thread(self._name, within, self._turns, self._threads)


def reads_as_sent(step: StepSpec) -> bool:
    """Whether the step reads the request, all of it and nothing else."""
    match step.references:
        case (reference,) if reference.source == REQUEST and reference.name is None:
            return step.each is None
        case _:
            return False
