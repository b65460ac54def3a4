"""What a step is called with, once its kind has opened it: its place, its limit, its loop, its handles."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.engine.each import one_after_the_other, several_at_once
from pipeline.engine.handles import Handles
from pipeline.engine.items import Items
from pipeline.engine.limit import Limit, Tokens
from pipeline.engine.step import AsyncCall, Context, LoopStep, OpenStep, Place, ThreadStep
from pipeline.engine.target import Target
from pipeline.engine.thread_pool import ThreadPool
from pipeline.graph.dag import Graph
from pipeline.graph.each import promised
from pipeline.graph.edges import Interfaces
from pipeline.graph.spec import StepSpec
from pipeline.tensors.forms import Bound
from pipeline.tensors.signature import Signature
from pipeline.tensors.tensor import Value

if TYPE_CHECKING:
    from pipeline.engine.asyncio_loop import AsyncioLoop

# A step's waiting room where the file does not say (graph.md, "Policy").
_QUEUE = 100
# What a detached step has where it says no timeout: as long as callers of an HTTP API wait (graph.md, "Wiring").
_DETACHED_SECONDS = 60.0


class Code(Protocol):
    """What the kind of a step has made of it: ``function(inputs, context)``, to be awaited unless it is ``blocking``.

    ``loop``: where it is to be awaited, if that is not trio's. ``where``: what it asks, for the log.
    ``limited`` hears of the step's limit, where its work may go on when its call has ended: it keeps the token then.
    ``turns``: what takes the place of the step's usual limit, shared with other steps.
    """

    @property
    def function(self) -> Callable[..., Any]: ...
    @property
    def blocking(self) -> bool: ...
    @property
    def loop(self) -> AsyncioLoop | None: ...
    @property
    def where(self) -> str | None: ...
    @property
    def limited(self) -> Callable[[Limit], object] | None: ...
    @property
    def turns(self) -> Tokens | None: ...


class Opening:
    """Makes the steps of one graph ready for the engine. ``opened`` are those that are, by name; handles look there.

    ``on_wait(step)`` hears of requests that wait for a step only since its code may keep state.
    """

    def __init__(
        self,
        graph: Graph,
        interfaces: Interfaces,
        opened: Mapping[str, OpenStep],
        threads: ThreadPool,
        on_wait: Callable[[str], None],
    ) -> None:
        self._graph = graph
        self._interfaces = interfaces
        self._opened = opened
        self._threads = threads
        self._on_wait = on_wait

    def step(self, step: StepSpec, code: Code, learned: Signature) -> OpenStep:
        """The step that its kind has opened as ``code``.

        ``learned``: what its model told of itself, of the whole step.
        """
        function, loop = code.function, code.loop
        limit = self._limit(step, code.turns)
        if limit is not None and code.limited is not None:
            code.limited(limit)
        timeout = _DETACHED_SECONDS if step.detached and step.timeout is None else step.timeout
        handles = self._handles(step, "thread" if code.blocking else "asyncio" if loop else "loop")
        items = None if step.each is None else self._items(step, learned)
        if code.blocking and step.where != "loop":
            if items is not None:
                function = one_after_the_other(function, items)
            return ThreadStep(step.name, function, timeout, limit, handles, code.where)
        if code.blocking:
            function = _on_loop(function)
        elif loop is not None:
            function = _on_asyncio(f'step "{step.name}"', function, loop, limit)
        if items is not None:
            # Each item takes a place of its own.
            function, limit = several_at_once(function, items, limit), None
        return LoopStep(step.name, function, timeout, limit, handles, code.where)

    def _items(self, step: StepSpec, learned: Signature) -> Items:
        gives = promised(step, self._graph, self._interfaces, learned)
        return Items(step, self._interfaces[step.name], gives)

    def _limit(self, step: StepSpec, turns: Tokens | None) -> Limit | None:
        interface = self._interfaces[step.name]
        total = step.limit or interface.limit
        if not total:
            return None
        usual = _QUEUE if interface.queue is None else interface.queue
        queue = usual if step.queue is None else step.queue
        told = interface.keeps_state and step.limit is None
        on_wait = (lambda: self._on_wait(step.name)) if told else None
        what, tokens = f"Step {step.name} of model {self._graph.spec.name}", None if step.limit else turns
        return Limit(what, total, queue, on_wait=on_wait, tokens=tokens)

    def _handles(self, step: StepSpec, place: Place) -> Handles | None:
        if not step.handles:
            return None
        by_name = {own.name: own for own in self._graph.steps}
        targets = {
            name: Target(by_name[reference.source], self._graph, self._interfaces)
            for name, reference in step.handles.items()
        }
        return Handles(step.name, targets, self._opened, self._threads, place)


def _on_loop(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    async def call(*arguments: Any) -> Any:
        return function(*arguments)

    return call


def _on_asyncio(
    what: str, function: Callable[..., Awaitable[Any]], loop: AsyncioLoop, limit: Limit | None
) -> AsyncCall:
    async def call(inputs: Mapping[str, Bound], context: Context) -> Mapping[str, Value]:
        outputs: Mapping[str, Value] = await loop.run(function, inputs, context, what=what, limit=limit)
        return outputs

    return call
