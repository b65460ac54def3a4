"""The models of a script by name: KServe's repository, which model code subclasses; and the pipelines they become."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.availability import refusal
from pipeline.errors import Code, ModelNotFound, ModelNotReady, retold, told
from pipeline.graph.fields import NAME_RULE, is_model_name
from pipeline.graph.scalars import shown
from pipeline.model import Model
from pipeline.observe import Event, ModelUnloaded
from pipeline.pipeline import Pipeline
from pipeline.threads import in_own_thread

_LOG = logging.getLogger("pipeline_serve")
MODEL_MOUNT_DIRS = "/mnt/models"
_LEFT_UNREADY = "the repository's load left a model whose ready is False"


class ModelRepository:
    """``models`` by name, and ``models_dir``, whose sub-folders are models.

    Model code subclasses it: ``load`` (sync or async) brings one by name, ``load_model`` one by its folder; either ends
    in ``update``.
    """

    def __init__(self, models_dir: str | os.PathLike[str] = MODEL_MOUNT_DIRS) -> None:
        self.models: dict[str, Any] = {}
        self.models_dir = models_dir

    def load_models(self) -> None:
        """``load_model`` for every sub-folder, in the order of their names."""
        for name in sorted(path.name for path in Path(self.models_dir).iterdir() if path.is_dir()):
            self.load_model(name)

    def set_models_dir(self, models_dir: str | os.PathLike[str]) -> None:
        self.models_dir = models_dir

    def get_model(self, name: str) -> Any:
        """The model; None where there is none of that name."""
        return self.models.get(name)

    def get_models(self) -> dict[str, Any]:
        return self.models

    async def is_model_ready(self, name: str) -> bool:
        """Whether it is there and healthy. Cancelled, its ``healthy`` is."""
        model = self.get_model(name)
        return model is not None and bool(await model.healthy())

    def update(self, model: Any, name: str | None = None) -> None:
        """Adds the model, under its own name or under another one too."""
        self.models[name or model.name] = model

    def load(self, name: str) -> bool | Awaitable[bool | None] | None:
        """For subclasses: brings the model of that name. May be async."""

    def load_model(self, name: str) -> bool | None:
        """For subclasses: brings the model of that sub-folder."""

    def unload(self, name: str) -> None:
        """Forgets the model, and stops it unless that has been done. Raises KeyError for one that is not there."""
        if name not in self.models:
            raise KeyError(f"model with name {name} does not exist")
        model = self.models[name]
        if getattr(model, "ready", True):
            if callable(getattr(model, "stop", None)):
                model.stop()
            if getattr(model, "engine", False):
                model.stop_engine()
        del self.models[name]


def unnamable(name: str) -> str:
    """What to say of a name that KServe serves, and we do not."""
    return f'model "{shown(name)}" cannot be served: a name is {NAME_RULE}, for it stands in a URL'


class Registered:
    """What is registered, as the pipelines that are served: one for each name of a Model, and those of graphs."""

    def __init__(self, registry: ModelRepository, made: Callable[[Model, str], Pipeline]) -> None:
        self._registry = registry
        self._made = made
        self._graphs: dict[str, list[Pipeline]] = {}
        self._pipelines: dict[str, tuple[Model, Pipeline]] = {}

    def __iter__(self) -> Iterator[Pipeline]:
        for name, model in tuple(self._registry.get_models().items()):
            # Any other is not served: who looks for it is told so.
            if is_model_name(name):
                yield self.pipeline(name, model)
        for pipelines in tuple(self._graphs.values()):
            yield from pipelines

    def pipeline(self, name: str, model: Model) -> Pipeline:
        """The pipeline of that model under that name, the same each time. Raises GraphFaults for what is no name."""
        known, pipeline = self._pipelines.get(name, (None, None))
        if pipeline is None or known is not model:
            pipeline = self._made(model, name)
            self._pipelines[name] = model, pipeline
        return pipeline

    def add(self, pipeline: Pipeline) -> None:
        """One of a graph, which the registry knows nothing of."""
        known = self._graphs.setdefault(pipeline.name, [])
        if pipeline not in known:
            known.append(pipeline)

    def forget(self, name: str) -> None:
        """All that is registered under that name, by way of the registry, whose ``unload`` may be a script's own."""
        self._pipelines.pop(name, None)
        self._graphs.pop(name, None)
        if self._registry.get_model(name) is not None:
            self._registry.unload(name)

    # ---- a source of models

    def names(self) -> Collection[str]:
        return [*self._registry.get_models(), *self._graphs]

    async def find(self, name: str) -> Sequence[Pipeline]:
        """The model that the registry brings under that name.

        Raises ModelNotFound where it brings none, ModelNotReady, and what its ``load`` raises. Cancelled, a synchronous
        ``load`` ends by itself.
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
            told = ModelNotReady(name).message
            raise retold(ModelNotReady, Code.UNAVAILABLE, told, internals=_LEFT_UNREADY)
        return [self.pipeline(name, model)]

    async def _load(self, name: str) -> None:
        load = self._registry.load
        if inspect.iscoroutinefunction(load):
            from pipeline.engine.asyncio_loop import asyncio_loop  # noqa: PLC0415  # few registries need asyncio at all

            async with asyncio_loop() as loop:
                await loop.run(load, name)
        else:
            await in_own_thread(load, name)

    def observe(self, event: Event) -> None:
        """Forgets what is unloaded. It has been stopped, which the registry's ``unload`` does not do again."""
        match event:
            case ModelUnloaded(name, replaced=False):
                try:
                    self.forget(name)
                except Exception as error:  # noqa: BLE001  # the model is gone all the same
                    _LOG.error('unload of model "%s" failed: %s', name, told(error), exc_info=error)
