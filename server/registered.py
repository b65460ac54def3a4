"""What a script has registered, as a source of pipelines: what its repository brings by name, and its graphs."""

from __future__ import annotations

import contextvars
import inspect
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import AsyncExitStack

import trio

from pipeline.availability import refusal
from pipeline.errors import Code, ModelNotFound, ModelNotReady, retold, told
from pipeline.graph.fields import NAME_RULE, is_model_name
from pipeline.graph.scalars import shown
from pipeline.model import Model
from pipeline.pipeline import Pipeline
from pipeline.steps.catalog import harmless
from pipeline.threads import in_own_thread
from pipeline.turns import Turns
from server.model_repository import ModelRepository

_LOG = logging.getLogger("pipeline_serve")
_LEFT_UNREADY = "the repository's load left a model whose ready is False"
Undo = Callable[[], Awaitable[None]]


def unnamable(name: str) -> str:
    """What to say of a name that KServe serves, and we do not."""
    return f'model "{shown(name)}" cannot be served: a name is {NAME_RULE}, for it stands in a URL'


class Registered:
    """One pipeline for each name of a Model, and those of graphs, which the script's repository does not know.

    The repository does one thing at a time for each name, in threads where it is not async.
    """

    def __init__(self, registry: ModelRepository, made: Callable[[Model, str], Pipeline]) -> None:
        self._registry = registry
        self._made = made
        self._graphs: dict[str, list[Pipeline]] = {}
        self._pipelines: dict[str, tuple[Model, Pipeline]] = {}
        self._turns = Turns()

    def __iter__(self) -> Iterator[Pipeline]:
        for name, model in tuple(self._registry.get_models().items()):
            # Any other is not served: who looks for it is told so.
            if is_model_name(name):
                yield self._pipeline(name, model)
        for pipelines in tuple(self._graphs.values()):
            yield from pipelines

    def add(self, model: Model, name: str) -> tuple[Pipeline, Undo]:
        """The model under that name, in the place of another one.

        ``Undo`` brings that back where this one cannot be opened. Raises GraphFaults for what is no name.
        """
        pipeline, before = self._pipeline(name, model), self._registry.get_model(name)
        self._registry.update(model, name)

        def undo(name: str) -> None:
            if before is not model and self._registry.get_model(name) is model:
                self._forget(name)
                if before is not None:
                    self._registry.update(before, name)

        return pipeline, lambda: self._in_thread(name, undo, f'undoing "{name}"')

    def add_graph(self, pipeline: Pipeline) -> Undo:
        """In the place of one of its name and version, which ``Undo`` brings back."""
        name, before = pipeline.name, self._graphs.get(pipeline.name, [])
        self._graphs[name] = [*(own for own in before if own.version != pipeline.version), pipeline]

        async def undo() -> None:
            self._graphs[name] = before
            if not before:
                del self._graphs[name]

        return undo

    # ---- a source of models

    def names(self) -> Collection[str]:
        return [*self._registry.get_models(), *self._graphs]

    async def find(self, name: str, /) -> Sequence[Pipeline]:
        """The model that the repository brings under that name, or the graphs that were registered.

        Raises ModelNotFound where there is none, ModelNotReady, and what ``load`` raises. Cancelled, an async ``load``
        is cancelled; one in a thread ends by itself, and until then the repository does nothing else for that name.
        """
        if name in self._graphs:
            return self._graphs[name]
        if not is_model_name(name):
            raise retold(ModelNotReady, Code.UNAVAILABLE, unnamable(name))
        try:
            await self._load(name)
        except (ModelNotFound, ModelNotReady):
            raise
        except Exception as error:
            raise refusal(name, error) from error
        model = self._registry.get_model(name)
        if model is None:
            raise ModelNotFound(name)
        if not model.ready:
            raise ModelNotReady(name, internals=_LEFT_UNREADY)
        return [self._pipeline(name, model)]

    async def unloaded(self, name: str, /) -> None:
        """The repository's ``unload``, which may be a script's own; the model has been stopped. A graph stays.

        Cancelled, as ``find``.
        """
        await self._in_thread(name, self._forget, f'unload of "{name}"')

    async def _load(self, name: str) -> None:
        if inspect.iscoroutinefunction(self._registry.load):
            from pipeline.engine.asyncio_loop import asyncio_loop  # noqa: PLC0415  # few registries need asyncio at all

            async with self._turns.of(name), asyncio_loop() as loop:
                await loop.run(self._registry.load, name)
        else:
            await self._in_thread(name, self._registry.load, f'load of "{name}"')

    def _forget(self, name: str) -> None:
        self._pipelines.pop(name, None)
        try:
            if self._registry.get_model(name) is not None:
                self._registry.unload(name)
        except Exception as error:  # noqa: BLE001  # the model is gone all the same
            _LOG.error('unload of model "%s" failed: %s', name, told(error), exc_info=error)

    def _pipeline(self, name: str, model: Model) -> Pipeline:
        """The same each time. Raises GraphFaults for what is no name."""
        known, pipeline = self._pipelines.get(name, (None, None))
        if pipeline is None or known is not model:
            pipeline = self._made(model, name)
            self._pipelines[name] = model, pipeline
        return pipeline

    async def _in_thread(self, name: str, function: Callable[[str], object], what: str) -> None:
        """Calls it with the name, whose turn it has until it ends. Raises what it raises.

        Cancelled, it ends by itself: a system task has the turn then, since the server does not wait to stop.
        """
        over, errors = trio.Event(), list[BaseException]()

        def work() -> None:
            try:
                function(name)
            except BaseException as error:  # noqa: BLE001  # raised below, by who waits
                errors.append(error)

        async def run(turn: AsyncExitStack) -> None:
            try:
                async with turn:
                    await in_own_thread(work)
            finally:
                over.set()

        async with AsyncExitStack() as turn:
            await turn.enter_async_context(self._turns.of(name))
            trio.lowlevel.spawn_system_task(run, turn.pop_all(), context=contextvars.copy_context())
        await over.wait()
        if errors:
            with harmless(what):
                raise errors.pop()
